import { LARGEST_BATCH } from "../store/pages.ts";
import type { Operation } from "./operation.ts";

/** The number of operations that make a separate statement worthwhile. */
const WORTH_A_LANE = 16;

/**
 * How many operations from the head of a queue to send as one batch, at most `maxBatch`; an operation that must be sent
 * alone is. A long queue is divided over the free lanes, so that the process and the server work in parallel.
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
