import { COLUMNS } from "../../src/sql/table-shape.ts";

/** A table of ours or of a peer's, for filling it with rows that nobody asks for. */
export interface Fillable {
  readonly table: string;
  readonly key: string;
  /** SQL for a new random key whose first byte is this one, given as two hexadecimal digits. */
  readonly newKey: (first: string) => string;
  readonly columns: readonly string[];
}

export const ourTable = (table: string, newKey: Fillable["newKey"]): Fillable => ({
  table,
  key: "id",
  newKey,
  columns: COLUMNS.sessions.filter((name) => name !== "id"),
});

/**
 * Copies rows of the table under new keys until it has so many more. A statement makes the keys with one first byte, in
 * no order: pages end up as full as in a table that grew by itself, and only few of them are written to at a time.
 *
 * @param run answers how many rows a statement has added
 * @returns how many rows were added: fewer where the table has too few to copy
 */
export async function fill(
  { table, key, newKey, columns }: Fillable,
  rows: number,
  run: (text: string) => Promise<number>,
): Promise<number> {
  const names = columns.join(", ");
  const values = columns.map((name) => `a.${name}`).join(", ");
  const slices = 256;
  let added = 0;
  for (let slice = 0; slice < slices; slice++) {
    const count = Math.floor((rows * (slice + 1)) / slices) - Math.floor((rows * slice) / slices);
    const copies = Math.ceil(count / 1_000);
    const source = `(SELECT ${names} FROM ${table} LIMIT 1000) AS a, (SELECT 1 AS one FROM ${table} LIMIT ${copies}) AS b`;
    const first = slice.toString(16).padStart(2, "0");
    if (count > 0)
      added += await run(
        `INSERT INTO ${table} (${key}, ${names}) SELECT ${newKey(first)}, ${values} FROM ${source} LIMIT ${count}`,
      );
  }
  return added;
}
