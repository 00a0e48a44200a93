// Every query has a LIMIT, so that the connection's `sql_select_limit` cannot truncate it.
export const ALL = "LIMIT 1000000";

// Sorts before every 32-byte id. Not an empty value, which MariaDB's EMPTY_STRING_IS_NULL turns into NULL.
export const BEFORE_ALL: Buffer = Buffer.alloc(1);

// MySQL wants an integer for LIMIT, and mysql2 sends numbers as doubles.
export const limitOf = (limit: number): string => String(limit);

export function powerOfTwo(size: number): number {
  let padded = 1;
  while (padded < size) padded *= 2;
  return padded;
}

/** The list with its last element repeated up to the next power of two; an empty list stays empty. */
export function padList<Item>(items: readonly Item[]): readonly Item[] {
  return items.length === 0 ? items : padTo(powerOfTwo(items.length), items);
}

export function padTo<Item>(
  size: number,
  items: readonly Item[],
  padding = items.at(-1) as Item,
): readonly Item[] {
  return items.length === size ? items : [...items, ...Array<Item>(size - items.length).fill(padding)];
}

export function inList(column: string, padded: readonly unknown[]): string {
  return padded.length === 1 ? `${column} = ?` : `${column} IN (?${", ?".repeat(padded.length - 1)})`;
}
