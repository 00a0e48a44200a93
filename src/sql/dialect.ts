import type { Lanes } from "../store/lanes.ts";
import type { KnownId } from "./known-rows.ts";
import type { ImportLedger } from "./import-ledger.ts";
import type { ImportSource } from "./import-source.ts";
import type { Ask, Inspected } from "./inspection.ts";
import type { RailsTable } from "./rails-table.ts";
import type { LoginDialect } from "./login-dialect.ts";
import type { Portable } from "./portable.ts";
import type { Result, Run, Script, Statement } from "./statement.ts";
import type { INDEXED, TableName } from "./table-shape.ts";
import type {
  ExpireCursor,
  ExpireQuery,
  FutureQuery,
  RowInfo,
  RowTouch,
  RowUpdate,
  SessionRow,
} from "../store/row.ts";

/** Lanes of each kind over shards: a batch goes to one of them. */
const OVER_SHARDS = 16;

/** The lanes of a database server, as configured by the application. */
export function lanesOf(given: Partial<Lanes> | undefined, maxBatch: number, isSharded = false): Lanes {
  return {
    read: given?.read ?? (isSharded ? OVER_SHARDS : 4),
    write: given?.write ?? (isSharded ? OVER_SHARDS : 2),
    maxBatch: given?.maxBatch ?? maxBatch,
    gather: "busy",
  };
}

export type { Result, Run, Script, Statement } from "./statement.ts";

/**
 * An open database: a pool or handle behind its client library.
 *
 * Every method rejects with a {@link StoreError} whose message says what to do and whose `cause` is the driver's error.
 * Operations that are safe to retry (deadlocks, serialization failures, busy files; see `retry.ts`) have been retried
 * by then. Missing tables are a NotMigratedError, which is not cached. A write whose response was lost has the outcome
 * `unknown`.
 */
export interface Database {
  readonly dialect: Dialect;
  /** Path of the file that the first operation opens or creates. Undefined if there is none. */
  readonly file?: string | undefined;
  /**
   * Await this before creating a statement that names the tables. In an application's pool, finds once which schema the
   * tables are in, so that a search_path or USE left on a connection cannot redirect statements. Undefined once the
   * schema is known.
   */
  locate?(): Promise<void> | undefined;
  readonly run: Run;
  /** Total milliseconds spent waiting for locks; see {@link SessionStore.waitedForLocks}. */
  waitedForLocks?(): number;
  /** Drops the connection of any operation that takes longer; see {@link SessionStore.giveUpAfter}. */
  giveUpAfter?(milliseconds: number): void;
  /**
   * Runs all statements in order in one transaction. Resolves to null, after a rollback, if a statement did not reach
   * its `atLeast`.
   */
  transaction(statements: readonly Statement[]): Promise<Result[] | null>;
  /**
   * Runs a script in one transaction. Resolves to null, after a rollback, if the script returns null. The script runs
   * again after a transaction that was undone. Optional: without it there is no audit trail.
   */
  interactive?<T>(script: () => Script<T>): Promise<T | null>;
  /**
   * Runs `work` while holding the migration lock of this database, and in one transaction if the database can roll back
   * CREATE TABLE. `work` must only use the given `run`.
   */
  exclusively<T>(work: (run: Run) => Promise<T>): Promise<T>;
  /**
   * Returns durability warnings: one sentence per setting under which an acknowledged write may be lost. Empty if there
   * are none (R33).
   */
  durabilityWarnings?(): Promise<readonly string[]>;
  /**
   * Returns settings of the application's pool or handle that would change results, one phrase each. The store itself
   * is immune to them.
   */
  ownersSettings?(): Promise<readonly string[]>;
  /** Called before `close`. Cancels long operations, so that `close` does not wait for them. */
  closing?(): void;
  /** Waits for running operations and closes only what this object opened. Later calls reject with a ClosedError. */
  close(): Promise<void>;
}

/** Table and index names as used in statements: validated, quoted, and schema-qualified if there is a schema. */
export interface Names {
  readonly sessions: string;
  readonly leases: string;
  readonly migrations: string;
  /** The import ledger, which exists once sessions were imported. */
  readonly imports: string;
  /** Of the audit trail. */
  readonly audit: string;
  readonly auditSubjects: string;
  readonly auditCheckpoints: string;
  readonly auditDays: string;
  readonly links: string;
  /** Names of the indexes, quoted, without a schema. */
  readonly userIndex: string;
  readonly expiryIndex: string;
  readonly auditTimeIndex: string;
  readonly auditEventIndex: string;
  readonly auditSubjectIndex: string;
  readonly auditSessionIndex: string;
  readonly auditUserIndex: string;
  readonly linkIndex: string;
}

/** A row of `<table>_migrations`. */
export interface JournalEntry {
  readonly version: number;
  readonly name: string;
  /** SHA-256 of the frozen text, in hex. */
  readonly checksum: string;
  readonly appliedAt: number;
}

/** A statement for one shard, or one whose answer has a row for each shard. */
export interface ShardStatement {
  /** As an operator knows it. */
  readonly shard: string;
  /** Null for a shard that is known not to be there. */
  readonly statement: Statement | null;
  /** For a result that covers several shards: what each changed, or why it did not. */
  readonly read?: (rows: Result["rows"]) => readonly ShardAnswer[];
}

export interface ShardAnswer {
  readonly shard: string;
  readonly changes: number;
  /** Null when it was reached. */
  readonly problem: string | null;
}

/**
 * What differs between databases: statement texts and flags. No code outside a database's own folder asks which
 * database it is.
 *
 * Several statements returned by one method run in one transaction; a single statement runs alone. The results of
 * `insert`, `update` and `delete` report which rows of a batch were applied. If `changes` equals the batch size, all
 * were. Otherwise a row was applied if its `id` is among the returned rows (of any of the statements) and, if `affectedRowsBy`
 * is `versions`, the returned `version` is the one written. A batch of one needs no returned rows: its `changes`
 * suffice.
 */
export interface Dialect extends LoginDialect {
  readonly name: "sqlite" | "postgres" | "mysql" | "mariadb";
  /**
   * Whether a batch is sent as one statement for all rows, or as individual statements in one transaction. With
   * `transaction`, the methods that take a batch are only called with one element.
   */
  readonly batches: "statement" | "transaction";
  /** What the rows returned by a partially applied `insert` or `update` are: the rows written, or all existing rows. */
  readonly affectedRowsBy: "returning" | "versions";
  readonly lanes: Lanes;
  readonly names: Names;
  /** Length of an id in bytes. An id of any other length is a miss and never reaches the database. */
  readonly idBytes: number;
  /** Maximum rows that one expiry step deletes, and examines, whatever limit the caller gives. */
  readonly expiry: { readonly maxDelete: number; readonly maxScan: number };

  /** Reads complete rows, in any order. */
  read(ids: readonly Uint8Array[]): Statement;
  /** Like `read`, but leaves out data larger than {@link LEFT_OUT_ABOVE} bytes. */
  readSmall(ids: readonly Uint8Array[]): Statement;
  /**
   * Like `readSmall`, also without the data of rows that are known, where it is the same still: byte for byte, or by
   * {@link digestOf}. Never by the version alone: an edited row is refused like any other (promise 6).
   */
  readChanged(ids: readonly KnownId[]): Statement;
  /** False for a server that cannot compare data in `readChanged`. */
  readonly comparesData?: boolean;
  /** Whether the data of a row of `readChanged` was left out because it is the same. */
  isUnchanged(row: Record<string, unknown>): boolean;
  /** The id and size of a `readSmall` row whose data was left out. Null if the row is complete. */
  leftOut(row: Record<string, unknown>): { readonly id: Uint8Array; readonly bytes: number } | null;
  /** Inserts the rows whose id is free, and skips the others. */
  insert(rows: readonly SessionRow[]): readonly Statement[];
  update(updates: readonly RowUpdate[]): readonly Statement[];
  /**
   * For databases where `update` of several rows needs a transaction: a statement that writes all existing rows, or
   * fails and writes nothing if one of them has another version than was loaded; and a verification query for when
   * fewer rows existed. It returns `id`, `version` and `created_at` of existing rows, and never reads data older than
   * the write.
   */
  updateAtOnce?(updates: readonly RowUpdate[]): { readonly write: Statement; readonly look: Statement };
  /** Whether an error of that statement means that `update` must find out which row caused it. */
  isRefusal?(error: unknown): boolean;
  /** Whether the server has said that it takes no such statement at all. */
  readonly refusesAtOnce?: boolean;
  /**
   * Deletes with the loaded version, then inserts, each with `atLeast: 1`. A new id that is taken is not an error. If
   * one statement can do both, its `changes` are 1 or 0.
   */
  replace(loaded: SessionRow, next: SessionRow): readonly Statement[];
  /** Whether an error of `replace` says that the new id is taken: nothing was changed. */
  isTaken?(error: unknown): boolean;
  /** Whether an error says that the server takes no such statement, and `replace` answers another from now on. */
  adaptsTo?(error: unknown): boolean;
  /** Sets the earlier of the given `expiresAt` and the row's own `absolute_expires_at`. */
  touch(touches: readonly RowTouch[]): Statement;
  delete(ids: readonly Uint8Array[]): readonly Statement[];
  listByUser(userRefs: readonly Uint8Array[], limit: number): Statement;
  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Statement;

  /** The shard that the row with this id is on; null when that is not known. */
  shardOf?(id: Uint8Array): number | null;
  /** False for a server whose SELECT … FOR UPDATE takes rows of one shard only. */
  readonly locksManyShards?: boolean;
  /** `deleteByUser` for each shard by itself; none if shards cannot be addressed individually. */
  deleteByUserPerShard?(
    userRefs: readonly Uint8Array[],
    except: readonly Uint8Array[],
  ): readonly ShardStatement[];
  /** Where a shard can be missing: rejects with a StoreUnavailableError if one of these rows is on such a shard. */
  readonly assertReachable?: ((ids: readonly Uint8Array[], run: Run) => Promise<void>) | undefined;

  /**
   * Returns up to `scan` rows after the query's cursor that may have expired, with the columns `id`, `due` (1 or true
   * if the row is to be deleted by {@link ExpireQuery}) and those that `expireCursor` needs. In index order from the
   * oldest `expires_bucket` to that of `before`; or in order of `id` over the whole table if `createdBefore` or
   * `updatedBefore` is given, because no index serves these. Fewer than `scan` rows mean the end. The order must be
   * stable while rows are deleted, so that a run over the table takes linear time.
   */
  findExpired(query: ExpireQuery, scan: number): Statement;
  /** The cursor after a row of `findExpired`, for the next call. */
  expireCursor(row: Record<string, unknown>): ExpireCursor;
  /** Deletes these rows if they are still due. A touch in between wins. */
  deleteExpired(ids: readonly Uint8Array[], query: ExpireQuery): Statement;

  /** Returns up to `limit` rows of {@link FutureQuery}, with the column `id`, using the index on `expires_bucket`. */
  findFuture(query: FutureQuery, limit: number): Statement;

  /** One row with the column `count`. */
  count(now: number): Statement;
  scan(after: Uint8Array | null, limit: number): Statement;
  scanInfo(after: Uint8Array | null, limit: number): Statement;
  /** The last statement changes or returns one row if the lease was acquired, and none if another process holds it. */
  lease(name: string, holder: string, until: number, now: number): readonly Statement[];
  /** A row of `listByUser` or `scanInfo`. */
  decodeInfo(row: Record<string, unknown>): RowInfo;
  /**
   * Converts a result row to a row of the store contract: bytes as Uint8Array, numbers as number.
   * @param known its arrays may stand in the answer where they hold the same bytes. It may be another row
   */
  decode(row: Record<string, unknown>, known?: SessionRow | null): SessionRow;

  /** A frozen text of a migration as this server takes it; null when it is to be left out. */
  ddl?(text: string): string | null;
  /** Returns the columns of a table, one row each with `name`. Returns no rows if the table does not exist. */
  columns(table: TableName): Statement;
  /**
   * Returns the indexes of the sessions table, including the primary key, one row each. `name` is the first column;
   * `alone` is 1 or true if the index is unique on that column alone; `invalid` is the name of an index that cannot be
   * used, and otherwise null or absent.
   */
  indexes(): Statement;
  /** For databases that create tables together with their indexes: adds an index to an existing table. */
  addIndex?(column: (typeof INDEXED)[number]): Statement;
  /**
   * For databases where a statement that waits for a table lock blocks all others behind it: sets a short lock timeout
   * for the rest of the transaction.
   */
  impatience?(): Statement;
  readonly journal: {
    /** CREATE TABLE IF NOT EXISTS. */
    create(): Statement;
    /** Rows with `version`, `name`, `checksum`, `applied_at`, in order of version. */
    read(): Statement;
    add(entry: JournalEntry): Statement;
  };

  /** For statements that are the same on every database otherwise. */
  readonly portable: Portable;
  /** The table that records imported sessions. */
  importLedger(): ImportLedger;
  /** Reads the tables of other session libraries. */
  readonly importSource: ImportSource;
  /** Statement texts for the table of the `stored_session` gem. */
  readonly railsTable: RailsTable;
  /** The bytes of an expression as hexadecimal text, in upper or lower case. */
  hex(expression: string): string;
  /** Queries the server's version, clock and settings. */
  inspect(ask: Ask): Promise<Inspected>;
}

/**
 * A row with more bytes of data than this is read individually or with few others. Small enough that 128 rows of this
 * size fit comfortably into one result.
 */
export const LEFT_OUT_ABOVE = 32_768;
