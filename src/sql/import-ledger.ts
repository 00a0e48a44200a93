import type { Statement } from "./statement.ts";

/**
 * The ledger of imports, `<table>_imports`: the ids of the sessions that were taken over from another table, and
 * nothing else. It belongs to the command that imports, not to the migrations: that command makes it when it first
 * writes, and it can be dropped once nothing is imported any more (decisions/0017).
 */
export interface ImportLedger {
  /** A row when the ledger is there. */
  find(): Statement;
  /** CREATE TABLE IF NOT EXISTS. */
  create(): Statement;
  /** Of these ids those that are in the ledger, as rows with `id`. */
  read(ids: readonly Uint8Array[]): Statement;
  /** Adds the ids that are not in it; changes as many rows as it added. */
  add(ids: readonly Uint8Array[]): Statement;
}

/** The last one repeated up to a power of two, so that few texts are prepared; a repeated id adds nothing. */
export function padded(ids: readonly Uint8Array[]): readonly Uint8Array[] {
  let size = 1;
  while (size < ids.length) size *= 2;
  return [...ids, ...Array<Uint8Array>(size - ids.length).fill(ids.at(-1) as Uint8Array)];
}

export function marks(ids: readonly Uint8Array[], mark: string): string {
  return padded(ids)
    .map(() => mark)
    .join(", ");
}
