/**
 * Settings of the application's own pool or connection that would change what statements mean or return. The store's
 * statements bring their own or do without, so these are for `check` to show, a phrase each.
 */
type Row = Readonly<Record<string, unknown>>;

/** The bit of the capability flags that makes an update count the rows it found, not those it changed. */
const FOUND_ROWS = 2;

/** Of mysql2's configuration of a connection. */
export function mysqlSettings(config: Row, session: Row, database: string | null): string[] {
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

export const ASK_MYSQL_SESSION =
  "SELECT CAST(@@sql_select_limit AS CHAR) AS row_limit, CAST(@@completion_type AS CHAR) AS completion LIMIT 1";

/** Of node-postgres's configuration of a pool. */
export function postgresSettings(options: Row, session: Row): string[] {
  const found = ["types", "binary"].filter((name) => options[name]);
  const { search_path: path, usual_path: usual, role } = session;
  if (path !== usual) found.push(`search_path = ${String(path)}`);
  if (role !== "none") found.push(`SET ROLE ${String(role)}`);
  return found;
}

export const ASK_POSTGRES_SESSION: string =
  "SELECT current_setting('search_path') AS search_path, current_setting('role') AS role, " +
  "(SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path') AS usual_path";

/** Of a handle of SQLite, by what a statement of its owner's would return. */
export function sqliteSettings(answer: unknown): string[] {
  const row: unknown = Array.isArray(answer) ? answer[0] : undefined;
  if (Array.isArray(row)) return ["returnArrays"];
  const value = (row as Row | undefined)?.["one"];
  return typeof value === "bigint" ? ["readBigInts or safeIntegers"] : [];
}
