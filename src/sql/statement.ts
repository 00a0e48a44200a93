import type { SqlValue } from "./values.ts";

/** A statement with bound values. Texts are built only from the validated table name (R31). */
export interface Statement {
  /** The same text for the same kind of statement, so that drivers can keep it prepared. */
  readonly text: string;
  /** In the order of the placeholders. */
  readonly values: readonly SqlValue[];
  /**
   * Whether the statement writes. If the response to a write is lost, its outcome is unknown. Only writes count for
   * `changes`.
   */
  readonly writes: boolean;
  /**
   * Inside a transaction: if fewer rows than this are changed or returned, everything is rolled back and the
   * transaction resolves to null.
   */
  readonly atLeast?: number;
  /**
   * Inside a transaction: skipped, with an empty result, if the previous statement changed this many rows. A MySQL
   * update reads versions back only if it matched some rows of the batch but not all.
   */
  readonly unlessChanged?: number;
  /** Scans a whole table, so it may take long. */
  readonly long?: boolean;
}

export interface Result {
  readonly rows: readonly Record<string, unknown>[];
  /** Affected rows: matched by the conditions and written, inserted or deleted. 0 for a query. */
  readonly changes: number;
}

/** Statements of a transaction, each of which may depend on the results before it. Null rolls everything back. */
export type Script<T> = Generator<Statement, T | null, Result>;

/** Runs one statement. */
export type Run = (statement: Statement) => Promise<Result>;

export function query(text: string, ...values: SqlValue[]): Statement {
  return { text, values, writes: false };
}

export function write(text: string, ...values: SqlValue[]): Statement {
  return { text, values, writes: true };
}
