import { LARGEST_BATCH } from "../store/pages.ts";
import type { Operation } from "./operation.ts";

/** As many operations as make a statement of their own worth it. */
const WORTH_A_LANE = 16;

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
