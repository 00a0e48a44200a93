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
