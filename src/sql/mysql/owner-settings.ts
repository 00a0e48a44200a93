/**
 * Settings of the application's own connection that would change what statements mean or return, for `check` to show,
 * one phrase each. The store's statements override or avoid them.
 */
type Row = Readonly<Record<string, unknown>>;

/** The capability flag that makes an update count matched rows instead of changed rows. */
const FOUND_ROWS = 2;

export function ownersSettingsOf(config: Row, session: Row, database: string | null): string[] {
  const found: string[] = [];
  const { typeCast, clientFlags, database: usual } = config;
  if (typeCast === false || typeof typeCast === "function")
    found.push(`typeCast (${typeCast === false ? "false" : "a function"})`);
  const switches = ["rowsAsArray", "nestTables", "namedPlaceholders", "dateStrings", "supportBigNumbers"];
  for (const name of [...switches, "bigNumberStrings", "decimalNumbers", "jsonStrings"])
    if (config[name]) found.push(name);
  if (typeof clientFlags === "number" && !(clientFlags & FOUND_ROWS)) found.push("the flag -FOUND_ROWS");
  if (Number(session["row_limit"]) < 2 ** 63)
    found.push(`sql_select_limit = ${String(session["row_limit"])}`);
  const completion = String(session["completion"]);
  if (!/^(NO_CHAIN|0)$/i.test(completion)) found.push(`completion_type = ${completion}`);
  if (typeof usual === "string" && database !== null && usual.toLowerCase() !== database.toLowerCase())
    found.push(`USE ${database}`);
  return found;
}

export const SESSION_QUERY =
  "SELECT CAST(@@sql_select_limit AS CHAR) AS row_limit, CAST(@@completion_type AS CHAR) AS completion LIMIT 1";
