import type { RowInfo, SessionRow } from "../store/row.ts";
import { pagesOf } from "../store/pages.ts";
import type { Records } from "./records.ts";

/** The most rows to read at once. */
const TOGETHER = 100;

/** The rows with their data, in the given order and a few MiB at a time. Rows that are gone by then are skipped. */
export async function* wholeRows(
  records: Records,
  infos: Iterable<RowInfo> | AsyncIterable<RowInfo>,
): AsyncGenerator<SessionRow> {
  for await (const some of inChunks(infos)) {
    for (const page of pagesOf(some, TOGETHER)) {
      for (const row of await Promise.all(page.map(({ id }) => records.store.read(id))))
        if (row !== null) yield row;
    }
  }
}

async function* inChunks(infos: Iterable<RowInfo> | AsyncIterable<RowInfo>): AsyncGenerator<RowInfo[]> {
  let chunk: RowInfo[] = [];
  for await (const info of infos) {
    if (chunk.push(info) < TOGETHER) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
