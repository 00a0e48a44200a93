import type { StoredSessionError } from "../errors.ts";
import type { ExpireQuery, RowTouch, RowUpdate, SessionRow } from "../row.ts";

/** A statement with bound values. Texts are built from the validated table name only (R31). */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
  /**
   * Inside a transaction: when fewer rows than this are changed or returned, everything is rolled back and the
   * transaction answers null.
   */
  readonly atLeast?: number;
}

export interface Result {
  readonly rows: readonly Record<string, unknown>[];
  /** Rows matched by the statement's conditions and written or deleted. */
  readonly changes: number;
}

/** One open database: a pool or a handle, seen through its dialect's client library. */
export interface Database {
  readonly dialect: Dialect;
  run(statement: Statement): Promise<Result>;
  /** All statements in order, in one transaction: every one or none. Null when an `atLeast` was not reached. */
  transaction(statements: readonly Statement[]): Promise<Result[] | null>;
  /** Runs `work` while this process alone, of all that migrate this database, holds the migration lock. */
  exclusively(work: () => Promise<void>): Promise<void>;
  /** Turns a driver's error into one of ours, with a sentence that says what to do. */
  explain(error: unknown): StoredSessionError;
  /** Closes what it opened, and only that. */
  close(): Promise<void>;
}

/**
 * What differs between databases: statement texts and flags. Nothing outside `database/` asks which database it
 * is.
 */
export interface Dialect {
  readonly name: "sqlite" | "postgres" | "mysql" | "mariadb";
  /** How a batch leaves: as one statement over all its rows, or as the plain statements in one transaction. */
  readonly batches: "statement" | "transaction";
  /** How a batched update tells which rows it wrote: it returns their ids, or the versions are read back. */
  readonly tells: "returning" | "versions";
  readonly lanes: { readonly read: number; readonly write: number; readonly maxBatch: number };

  read(ids: readonly Uint8Array[]): Statement;
  insert(rows: readonly SessionRow[]): Statement;
  update(updates: readonly RowUpdate[]): Statement;
  /** Delete with the loaded version, then insert; the first has an `atLeast`. One statement where one can do it. */
  replace(loaded: SessionRow, next: SessionRow): readonly Statement[];
  touch(touches: readonly RowTouch[]): Statement;
  delete(ids: readonly Uint8Array[]): Statement;
  listByUser(userRefs: readonly Uint8Array[], limit: number): Statement;
  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Statement;
  /** The ids (and buckets) of the next rows to expire, in index order. */
  findExpired(query: ExpireQuery): Statement;
  count(now: number): Statement;
  scan(after: Uint8Array | null, limit: number): Statement;
  lease(name: string, holder: string, until: number, now: number): readonly Statement[];
  /** A result's row as the contract's row. */
  decode(row: Record<string, unknown>): SessionRow;
}
