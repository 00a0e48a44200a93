import { StoreSettingsError } from "../errors.ts";

/** Which schema a table name resolves to, for a connection as it came and by the pool's own settings. */
export interface Places {
  /** The schema in which the connection, as it came from the pool, finds the name. Null if it does not. */
  readonly now: string | null;
  /** The same for the initial settings of the pool's connections. */
  readonly usual: string | null;
}

/**
 * Returns the schema of the tables, or null while they do not exist. The application may have left another schema on
 * the connection, or may select one when it connects: if only one of the two contains the tables, it is that one.
 * @param setting the setting that selects a schema: "search_path"
 * @throws {StoreSettingsError} both contain them
 */
export function placeOf(
  { now, usual }: Places,
  table: string,
  store: string,
  setting: string,
): string | null {
  if (now === null || usual === null || now === usual) return now ?? usual;
  throw new StoreSettingsError(
    `The table ${table} is in "${now}" and in "${usual}", and the ${setting} of a connection of the pool given to ${store} was changed. Reset ${setting} before release(), or set the option \`table\` to "${usual}.${table.slice(1, -1)}".`,
  );
}

/** Whether a table name has no schema. */
export function isUnplaced(table: string): boolean {
  return !/^(["`]).*\1\.\1/.test(table);
}
