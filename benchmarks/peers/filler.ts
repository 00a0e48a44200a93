/** A table of ours or of a peer's, for filling it with rows that nobody asks for. */
export interface Fillable {
  readonly table: string;
  readonly key: string;
  /** SQL for a new random key. */
  readonly newKey: string;
  readonly columns: readonly string[];
}

const ourColumns = [
  "data",
  "version",
  "user_ref",
  "created_at",
  "updated_at",
  "absolute_expires_at",
  "expires_at",
  "expires_bucket",
  "client",
];

export const ourTable = (table: string, newKey: string): Fillable => ({
  table,
  key: "id",
  newKey,
  columns: ourColumns,
});

/** Copies rows of the table under new keys until it has so many more, 20,000 a statement. */
export async function fill(
  { table, key, newKey, columns }: Fillable,
  rows: number,
  run: (text: string) => Promise<unknown>,
): Promise<void> {
  const names = columns.join(", ");
  for (let made = 0; made < rows; made += 20_000) {
    const count = Math.min(20_000, rows - made);
    const source = `(SELECT ${names} FROM ${table} LIMIT 1000) AS a, (SELECT 1 AS one FROM ${table} LIMIT 20) AS b`;
    await run(
      `INSERT INTO ${table} (${key}, ${names}) SELECT ${newKey}, ${columns.map((name) => `a.${name}`).join(", ")} FROM ${source} LIMIT ${count}`,
    );
  }
}
