import { OpenTransactionError, primaryCode } from "./errors.ts";
import type { SqliteHandle } from "./handle.ts";

/** A statement whose values and rows have any type. */
export interface Prepared {
  run(...values: readonly unknown[]): { readonly changes: number | bigint };
  all(...values: readonly unknown[]): unknown[];
}

interface Settable {
  setReturnArrays?(enabled: boolean): unknown;
  setReadBigInts?(enabled: boolean): unknown;
  safeIntegers?(enabled: boolean): unknown;
}

/**
 * Prepares a statement that accepts any values and returns plain objects and numbers, whatever the handle's defaults.
 */
export function prepare(handle: SqliteHandle, text: string): Prepared {
  const statement = handle.prepare(text) as unknown as Prepared & Settable;
  statement.setReturnArrays?.(false);
  statement.setReadBigInts?.(false);
  statement.safeIntegers?.(false);
  return statement;
}

export function begin(handle: SqliteHandle, writes: boolean): void {
  try {
    // IMMEDIATE takes the write lock at once. A transaction that started with a read could not wait for it.
    handle.exec(writes ? "BEGIN IMMEDIATE" : "BEGIN");
  } catch (error) {
    if (primaryCode(error) === 1) throw new OpenTransactionError();
    throw error;
  }
}

export function rollback(handle: SqliteHandle): void {
  try {
    handle.exec("ROLLBACK");
  } catch {
    // SQLite rolls back some failed transactions by itself, and then there is nothing to roll back.
  }
}

export function isInTransaction(handle: SqliteHandle): boolean | undefined {
  return handle.isTransaction ?? handle.inTransaction;
}

export function isClosed(handle: SqliteHandle): boolean {
  if (handle.isOpen === false || (handle as { open?: unknown }).open === false) return true;
  try {
    isInTransaction(handle);
    return false;
  } catch {
    return true; // bun:sqlite has no property for it, and throws at this one
  }
}
