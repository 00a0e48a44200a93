import type { SqlValue } from "./values.ts";

/** A statement with bound values. Texts are built from the validated table name only (R31). */
export interface Statement {
  /** The same text for the same shape, so that drivers can keep it prepared. */
  readonly text: string;
  /** In the order of the placeholders. */
  readonly values: readonly SqlValue[];
  /**
   * True for a statement that changes something. A lost answer to one of these leaves the outcome unknown, and
   * only these count for `changes`.
   */
  readonly writes: boolean;
  /**
   * Inside a transaction: when fewer rows than this are changed or returned, everything is rolled back and the
   * transaction answers null.
   */
  readonly atLeast?: number;
  /**
   * Inside a transaction: skipped (an empty result) when the statement before it changed this many rows. A
   * MySQL update reads its versions back only when it matched some rows of the batch and not others.
   */
  readonly unlessChanged?: number;
  /** Reads a whole table, and may take its time. */
  readonly long?: boolean;
}

export interface Result {
  readonly rows: readonly Record<string, unknown>[];
  /** Rows matched by the statement's conditions and written, added or deleted; 0 for a query. */
  readonly changes: number;
}

/** Runs one statement. */
export type Run = (statement: Statement) => Promise<Result>;

export function query(text: string, ...values: SqlValue[]): Statement {
  return { text, values, writes: false };
}

export function write(text: string, ...values: SqlValue[]): Statement {
  return { text, values, writes: true };
}
