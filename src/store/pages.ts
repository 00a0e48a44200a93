/**
 * Maximum bytes of row data in a statement; a larger row is sent alone. Servers reject statements over a size limit (16 MiB
 * by default on MariaDB), and one batch of large sessions would fail every request in it.
 */
export const LARGEST_BATCH: number = 4 * 2 ** 20;

/** Groups items, in order, into pages of at most {@link LARGEST_BATCH} bytes. A larger item forms a page of its own. */
export function* pagesOf<Item extends { readonly bytes: number }>(
  items: Iterable<Item>,
  mostItems: number = Infinity,
): Generator<Item[]> {
  let page: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    if (page.length > 0 && (page.length === mostItems || bytes + item.bytes > LARGEST_BATCH)) {
      yield page;
      page = [];
      bytes = 0;
    }
    page.push(item);
    bytes += item.bytes;
  }
  if (page.length > 0) yield page;
}

export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly isLast: boolean;
}

/**
 * Reads rows in order of a key, one bounded page at a time. The last page may be empty. Rows added meanwhile may be missed.
 * @param keyOf the key of a page's last row, after which the next page begins
 */
export async function* pagesByKey<Row, Key>(
  read: (after: Key, limit: number) => Promise<readonly Row[]>,
  limit: number,
  after: Key,
  keyOf: (last: Row) => Key,
): AsyncGenerator<Page<Row>> {
  for (let cursor = after; ;) {
    const rows = await read(cursor, limit);
    const last = rows.at(-1);
    const isLast = last === undefined || rows.length < limit;
    yield { rows, isLast };
    if (isLast) return;
    cursor = keyOf(last);
  }
}

/** Reads a table in order of id, like {@link pagesByKey}. */
export function idPages<Row extends { readonly id: Uint8Array }>(
  read: (after: Uint8Array | null, limit: number) => Promise<readonly Row[]>,
  limit: number,
  after: Uint8Array | null = null,
): AsyncGenerator<Page<Row>> {
  return pagesByKey(read, limit, after, ({ id }) => id);
}
