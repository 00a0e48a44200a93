import type { Lanes } from "../store/lanes.ts";
import type { ImportLedger } from "./import-ledger.ts";
import type { ImportSource } from "./import-source.ts";
import type { Ask, Inspected } from "./inspection.ts";
import type { RailsTable } from "./rails-table.ts";
import type { Result, Run, Statement } from "./statement.ts";
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

/** The lanes of a database server, as the application wants them. */
export function lanesOf(given: Partial<Lanes> | undefined, maxBatch: number): Lanes {
  return {
    read: given?.read ?? 4,
    write: given?.write ?? 2,
    maxBatch: given?.maxBatch ?? maxBatch,
    gather: "busy",
  };
}

export type { Result, Run, Statement } from "./statement.ts";

/**
 * One open database: a pool or a handle, seen through its client library.
 *
 * Every method rejects with a {@link StoreError} that says what to do (the driver's error is its `cause`), and
 * has by then repeated what is safe to repeat: a deadlock, a serialization failure, a busy file (`retry.ts`).
 * Missing tables are a NotMigratedError, each time anew. A write whose answer was lost has the outcome `unknown`.
 */
export interface Database {
  readonly dialect: Dialect;
  /** The path of the file that the first operation opens or creates; undefined where there is no such file. */
  readonly file?: string | undefined;
  /**
   * To be awaited before a statement about the tables is made. On a pool that the application owns it finds out once in
   * which schema the tables are, so that a search_path or a USE that is left on a connection leads nowhere else.
   * Undefined when that is known.
   */
  locate?(): Promise<void> | undefined;
  readonly run: Run;
  /** Milliseconds in all of waiting for locks that others hold; see {@link SessionStore.waitedForLocks}. */
  waitedForLocks?(): number;
  /** Gives up the connection under what takes longer; see {@link SessionStore.giveUpAfter}. */
  giveUpAfter?(milliseconds: number): void;
  /** All statements in order, in one transaction: every one or none. Null when an `atLeast` was not reached. */
  transaction(statements: readonly Statement[]): Promise<Result[] | null>;
  /**
   * Runs `work` while this process alone, of all that migrate this database, holds the migration lock; in one
   * transaction where the database can roll back a CREATE TABLE. `work` uses only the `run` it is given.
   */
  exclusively<T>(work: (run: Run) => Promise<T>): Promise<T>;
  /** Settings under which an acknowledged write may be lost, a sentence each that names it; none when all is well (R33). */
  durabilityWarnings?(): Promise<readonly string[]>;
  /** What the pool's or handle's owner has set that would change results, a phrase each; the store's own are immune. */
  ownersSettings?(): Promise<readonly string[]>;
  /** Called before `close`: gives up what may take long, so that nobody waits for it. */
  closing?(): void;
  /** Waits for what is under way and closes what it opened, and only that. Later calls reject with a ClosedError. */
  close(): Promise<void>;
}

/** Names as they stand in a statement: validated, quoted, with their schema where there is one. */
export interface Names {
  readonly sessions: string;
  readonly leases: string;
  readonly migrations: string;
  /** Of the ledger of imports, which is there once something was imported. */
  readonly imports: string;
  /** Names of the two indexes, quoted, without a schema. */
  readonly userIndex: string;
  readonly expiryIndex: string;
}

/** One line of `<table>_migrations`. */
export interface JournalEntry {
  readonly version: number;
  readonly name: string;
  /** SHA-256 of the frozen text, in hex. */
  readonly checksum: string;
  readonly appliedAt: number;
}

/**
 * What differs between databases: statement texts and flags. Nothing outside a database's own folder asks
 * which database it is.
 *
 * Where a method answers several statements, they are run as one transaction, a single one alone. `insert`,
 * `update` and `delete` tell which rows of a batch they wrote: all, when `changes` is the size of the batch;
 * otherwise each one whose `id` is among the rows returned (by any of the statements) and, where `tells` is
 * `versions`, whose `version` there is the one that was to be written. A batch of one needs no rows: its
 * `changes` tell.
 */
export interface Dialect {
  readonly name: "sqlite" | "postgres" | "mysql" | "mariadb";
  /**
   * How a batch leaves: as one statement over all its rows, or as the plain statements in one transaction. With
   * `transaction` the methods that take a batch are only called with one element.
   */
  readonly batches: "statement" | "transaction";
  /** What the rows returned by a partly matching `insert` or `update` are: those written, or all those there. */
  readonly tells: "returning" | "versions";
  readonly lanes: Lanes;
  readonly names: Names;
  /** Length of an id; anything else is a miss and never reaches the database. */
  readonly idBytes: number;
  /** Rows one step of expiry may delete, and look at, whatever the caller's limit. */
  readonly expiry: { readonly maxDelete: number; readonly maxScan: number };

  /** Rows in any order, whole. */
  read(ids: readonly Uint8Array[]): Statement;
  /** The same without the data of rows that have more than {@link LEFT_OUT_ABOVE} bytes of it. */
  readSmall(ids: readonly Uint8Array[]): Statement;
  /** The id and the bytes of a row of `readSmall` whose data was left out; null when it is whole. */
  leftOut(row: Record<string, unknown>): { readonly id: Uint8Array; readonly bytes: number } | null;
  /** Adds the rows whose id is free and leaves the others. */
  insert(rows: readonly SessionRow[]): readonly Statement[];
  update(updates: readonly RowUpdate[]): readonly Statement[];
  /**
   * Where `update` of several rows needs a transaction: one statement that writes all of the rows that are there, or
   * fails and writes nothing when one of them has another version than was loaded; and a look, for when fewer were
   * there, at `id`, `version` and `created_at` of those that are, none older than what was written.
   */
  updateAtOnce?(updates: readonly RowUpdate[]): { readonly write: Statement; readonly look: Statement };
  /** Whether an error of that statement leaves it to `update` to tell which row it was. */
  isRefusal?(error: unknown): boolean;
  /**
   * Delete with the loaded version, then insert, each with `atLeast: 1` and neither an error when the new id is
   * taken. One statement, whose `changes` are 1 or 0, where one can do it.
   */
  replace(loaded: SessionRow, next: SessionRow): readonly Statement[];
  /** The earlier of the given `expiresAt` and the row's own `absolute_expires_at`. */
  touch(touches: readonly RowTouch[]): Statement;
  delete(ids: readonly Uint8Array[]): readonly Statement[];
  listByUser(userRefs: readonly Uint8Array[], limit: number): Statement;
  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Statement;

  /**
   * The next `scan` rows after the query's cursor that may have expired, with the columns `id`, `due` (1 or true
   * where the row is to go by {@link ExpireQuery}) and whatever `expireCursor` needs. In index order from the
   * oldest `expires_bucket` up to that of `before`; or in order of `id` over the whole table when `createdBefore`
   * or `updatedBefore` is given, because no index serves these. Fewer rows than `scan` mean that the end was
   * reached. The order must hold while rows between are deleted: a run over the table is linear.
   */
  findExpired(query: ExpireQuery, scan: number): Statement;
  /** The place of a row of `findExpired`, for the next call. */
  expireCursor(row: Record<string, unknown>): ExpireCursor;
  /** Deletes these rows where they are still due: a touch in between wins. */
  deleteExpired(ids: readonly Uint8Array[], query: ExpireQuery): Statement;

  /** At most `limit` rows of {@link FutureQuery}, with the column `id`, by the index over `expires_bucket`. */
  findFuture(query: FutureQuery, limit: number): Statement;

  /** One row with the column `count`. */
  count(now: number): Statement;
  scan(after: Uint8Array | null, limit: number): Statement;
  scanInfo(after: Uint8Array | null, limit: number): Statement;
  /** The last statement changes or returns one row when the lease was got, and none when another holds it. */
  lease(name: string, holder: string, until: number, now: number): readonly Statement[];
  /** A row of `listByUser` or `scanInfo`. */
  decodeInfo(row: Record<string, unknown>): RowInfo;
  /** A result's row as the contract's row: bytes as Uint8Array, numbers as number. */
  decode(row: Record<string, unknown>): SessionRow;

  /** The columns of a table, one row each with `name`; no rows when there is no such table. */
  columns(table: TableName): Statement;
  /**
   * The indexes of the sessions table, the primary key among them, one row each: `name` is the first column, `alone`
   * is 1 or true where it is unique over that column alone. `invalid` is the name of one that cannot be used yet or
   * any more, and otherwise null or not there.
   */
  indexes(): Statement;
  /** For databases whose tables are made with their indexes: adds one to a table that is there without it. */
  addIndex?(column: (typeof INDEXED)[number]): Statement;
  /**
   * For databases where all others queue behind a statement that waits for a table: lets the rest of the transaction
   * give up waiting soon.
   */
  impatience?(): Statement;
  readonly journal: {
    /** CREATE TABLE IF NOT EXISTS. */
    create(): Statement;
    /** Rows with `version`, `name`, `checksum`, `applied_at`, in order of version. */
    read(): Statement;
    add(entry: JournalEntry): Statement;
  };

  /** The table of the sessions that were taken over from another table. */
  importLedger(): ImportLedger;
  /** How the tables of other libraries are read. */
  readonly importSource: ImportSource;
  /** The texts of the table of the `stored_session` gem. */
  readonly railsTable: RailsTable;
  /** The bytes that an expression gives, as hex text in upper or lower case. */
  hex(expression: string): string;
  /** Asks for the server's version, clock and settings. */
  inspect(ask: Ask): Promise<Inspected>;
}

/**
 * Bytes of data above which a row of a batch is read by itself, or with few others: small enough that 128 rows of it are
 * no more than a statement should bring.
 */
export const LEFT_OUT_ABOVE = 32_768;
