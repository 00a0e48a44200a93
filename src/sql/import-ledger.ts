import type { Statement } from "./statement.ts";

/**
 * The import ledger, `<table>_imports`: only the ids of the sessions that were imported from another table. It belongs
 * to the import command, not to the migrations: the command creates it before its first write, and it can be dropped
 * once imports are finished (decisions/0017).
 */
export interface ImportLedger {
  /** Returns a row if the ledger exists. */
  find(): Statement;
  /** CREATE TABLE IF NOT EXISTS. */
  create(): Statement;
  /** Returns those of the ids that are in the ledger, as rows with `id`. */
  read(ids: readonly Uint8Array[]): Statement;
  /** Adds the ids that are missing. `changes` is the number added. */
  add(ids: readonly Uint8Array[]): Statement;
}

/** Repeats the last id up to a power of two, so that few statement texts are prepared. A repeated id adds nothing. */
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
