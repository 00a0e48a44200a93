import { StoreSettingsError } from "../errors.ts";

/** Where one of the tables' names leads, on a connection as it came and by the pool's own settings. */
export interface Places {
  /** The schema in which the name is found on the connection as it came from the pool; null where it is not. */
  readonly now: string | null;
  /** The same by the settings that connections of this pool begin with. */
  readonly usual: string | null;
}

/**
 * The schema in which the tables are; null while they are nowhere. An application may have left another schema on the
 * connection, or may choose one itself when it connects: where only one of the two has the tables, it is that one.
 * @param setting what leads to a schema: "search_path"
 * @throws {StoreSettingsError} both have them
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

/** Whether a table is named without its schema. */
export function isUnplaced(table: string): boolean {
  return !/^(["`]).*\1\.\1/.test(table);
}
