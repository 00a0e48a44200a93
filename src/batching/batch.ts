import type { Operation } from "./operation.ts";

/** As many operations as make a statement of their own worth it. */
const WORTH_A_LANE = 16;

/**
 * Bytes of the rows in a statement at most, or one row that is larger: a server refuses statements above a size of its
 * own (16 MiB is MariaDB's), and whoever met one of many large sessions would fail with it.
 */
export const LARGEST_BATCH: number = 4 * 2 ** 20;

/**
 * How many from the head of a queue leave as one batch, of `maxBatch` at most; one that is to leave alone does. Many are
 * divided over the free lanes, so that the process and the server work at the same time.
 */
export function batchSize(queue: readonly Operation[], lanes: number, maxBatch: number): number {
  const shares = Math.max(1, Math.min(lanes, Math.floor(queue.length / WORTH_A_LANE)));
  const most = Math.min(maxBatch, Math.ceil(queue.length / shares));
  let bytes = 0;
  for (let count = 0; count < most; count++) {
    if (queue[count]!.alone) return Math.max(1, count);
    bytes += queue[count]!.bytes;
    if (bytes > LARGEST_BATCH && count > 0) return count;
  }
  return most;
}

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
