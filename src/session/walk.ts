import { setImmediate as turn } from "node:timers/promises";
import type { RowInfo } from "../store/row.ts";
import { fractionOf } from "../store/progress.ts";
import type { Records } from "./records.ts";

export interface WalkOptions {
  /** The most rows in memory at once. Default 500. */
  readonly batchSize?: number;
  /** Begins behind this id. Default: at the start. */
  readonly after?: Uint8Array | null;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly scanned: number; readonly fraction: number }) => void;
}

/** Every row, without its data, ordered by id and read in bounded pages. Rows added meanwhile may be missed. */
export async function* walk(records: Records, options: WalkOptions = {}): AsyncGenerator<RowInfo> {
  const { batchSize = 500, signal, onProgress } = options;
  let cursor: Uint8Array | null = options.after ?? null;
  let scanned = 0;
  for (;;) {
    if (signal?.aborted) return;
    const rows: RowInfo[] = await records.store.scanInfo(cursor, batchSize);
    yield* rows;
    scanned += rows.length;
    const last = rows.at(-1);
    const finished = last === undefined || rows.length < batchSize;
    onProgress?.({ scanned, fraction: finished ? 1 : fractionOf(last.id) });
    if (finished) return;
    cursor = last.id;
    // node:sqlite is synchronous: without this turn of the event loop no signal would be handled until the end.
    await turn();
  }
}
