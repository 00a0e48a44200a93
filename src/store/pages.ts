/**
 * Bytes of the rows in a statement at most, or one row that is larger: a server refuses statements above a size of its
 * own (16 MiB is MariaDB's), and whoever met one of many large sessions would fail with it.
 */
export const LARGEST_BATCH: number = 4 * 2 ** 20;

/** In the order given, as many together as have {@link LARGEST_BATCH} bytes at most, or one that has more. */
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
