import { setImmediate as turn } from "node:timers/promises";
import type { RowInfo } from "../store/row.ts";
import { idPages } from "../store/pages.ts";
import { fractionOf } from "../store/progress.ts";
import type { Records } from "./records.ts";

export interface WalkOptions {
  /** Maximum number of rows in memory. Default 500. */
  readonly batchSize?: number;
  /** Starts after this id. Default: at the beginning. */
  readonly after?: Uint8Array | null;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly scanned: number; readonly fraction: number }) => void;
}

/** Every row, without its data, ordered by id and read in bounded pages. Rows added meanwhile may be missed. */
export async function* walk(records: Records, options: WalkOptions = {}): AsyncGenerator<RowInfo> {
  const { batchSize = 500, after, signal, onProgress } = options;
  let scanned = 0;
  if (signal?.aborted) return;
  const read = (cursor: Uint8Array | null, limit: number) => records.store.scanInfo(cursor, limit);
  for await (const { rows, isLast } of idPages(read, batchSize, after)) {
    yield* rows;
    scanned += rows.length;
    onProgress?.({ scanned, fraction: isLast ? 1 : fractionOf(rows.at(-1)!.id) });
    if (isLast) return;
    // node:sqlite is synchronous: without this turn of the event loop no signal would be handled until the end.
    await turn();
    if (signal?.aborted) return;
  }
}
