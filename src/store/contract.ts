/**
 * The store contract: rows of bytes in, rows of bytes out. A store never sees a session, a token or a key.
 *
 * These comments are the specification; the suite in `stored-session/testing` verifies an implementation against them.
 * Methods take batches for throughput; `batching/` forms the batches. All times are milliseconds since the epoch and are
 * passed in: a store never reads its own clock. Ids are compared byte by byte.
 *
 * A batch contains each id at most once. Every method is atomic: a batch that fails changes nothing and rejects with a
 * {@link StoreError}, whose `outcome` says whether a write may have happened.
 */
import type { AuditStore, ChangeResult } from "./audit.ts";
import type { Lanes } from "./lanes.ts";
import type { LinkStore } from "./links.ts";
import type { LimitedLogin } from "./session-limit.ts";
import type {
  ExpireQuery,
  ExpireResult,
  FutureQuery,
  RowInfo,
  RowTouch,
  RowUpdate,
  SessionRow,
} from "./row.ts";

export type {
  ExpireCursor,
  ExpireQuery,
  ExpireResult,
  FutureQuery,
  RowInfo,
  RowTouch,
  RowUpdate,
  SessionRow,
} from "./row.ts";

export type { Lanes } from "./lanes.ts";

/** The result of `takeOver` for one row. */
export type TakenOver =
  /** the row was added */
  | "imported"
  /** a row with that id existed already and is kept; it was never imported, and its id is recorded from now on */
  | "present"
  /** the id was imported before, whether or not its row still exists */
  | "before";

/** Rows that name the same key. */
export interface RowCount {
  /** Bytes 3 to 6 of the data in lower-case hex. */
  readonly key: string;
  readonly live: number;
  readonly ended: number;
}

/** A lease as stored. */
export interface HeldLease {
  readonly name: string;
  readonly holder: string;
  /**
   * Milliseconds since the epoch. Another process can have it afterwards. Negative: the holder released it at this time, without
   * the sign. 0: it was released, and nobody knows when.
   */
  readonly until: number;
}

export interface SessionStore {
  /** Concurrency and batching that suit this store. Memory needs no batching; a pool works best with a few lanes. */
  readonly lanes: Lanes;

  /**
   * Sets the deadline of a statement in milliseconds. Each manager calls this with its `storeTimeout` before any other
   * method. A store over a pool drops the connection of a statement that exceeds the deadline, so that an unresponsive
   * server does not exhaust the pool. `count` may take 12 times as long; `migrate` has no deadline. If several managers
   * share the store, the longest deadline applies.
   */
  giveUpAfter?(milliseconds: number): void;

  /**
   * Total milliseconds that operations have spent waiting for locks held by others, for stores that can measure it. Load
   * shedding excludes this time: waiting for a lock does not mean that the store is slow.
   */
  waitedForLocks?(): number;

  /**
   * Returns the number of the shard that the row with this id is on, or null if that is not known. With it, batches name
   * rows of one shard only, and a session that gets a new id stays on its shard.
   */
  shardOf?(id: Uint8Array): number | null;
  /**
   * Returns the rows with these ids, in the order of the ids; null for an id without a row. Returns expired rows too: the
   * manager decides by its own clock. A malformed id (wrong length, wrong case) is a miss.
   *
   * `known` are rows that the caller has read or written before, in the order of the ids; null for none. A store may use
   * them to transfer less, and may ignore them. The answer is the same as without them: where the `data` or `client`
   * stored now are byte for byte those of the known row, the arrays of the known row may stand in the answer. A version
   * that did not change is no proof of that, because somebody may have edited the row (promise 6).
   */
  read(ids: readonly Uint8Array[], known?: readonly (SessionRow | null)[]): Promise<(SessionRow | null)[]>;

  /** Inserts rows. Returns false for each id that already exists; that row is left unchanged and the others are added. */
  insert(rows: readonly SessionRow[]): Promise<boolean[]>;

  /**
   * Conditional update (optimistic locking): writes `data`, `version`, `userRef`, `updatedAt`, `expiresAt` and `client`
   * of each row whose version still equals that of `loaded`. Returns false for a row whose version differs or that no
   * longer exists; that row is not written, the others are. Never inserts.
   */
  update(updates: readonly RowUpdate[]): Promise<boolean[]>;

  /**
   * In one transaction, deletes `loaded` and inserts `next` under its new id. Returns false and changes nothing if the
   * row no longer exists, its version differs from that of `loaded`, or the new id exists already. If `next` has the id of
   * `loaded`, every column of the row is overwritten, including `createdAt` and `absoluteExpiresAt`.
   */
  replace(loaded: SessionRow, next: SessionRow): Promise<boolean>;

  /**
   * A login of a user with a limit of live sessions, in one transaction: `insert` of `next`, or `replace` of `loaded` by
   * it, and with "endOldest", the deletion of the oldest other live rows of the user beyond `count`. With "refuse" and
   * `count` live rows, nothing is changed and `refused` is true, unless `loaded` or `next` is one of these rows. Logins
   * that share a user reference are serialized, across processes, so that no number of parallel logins leaves more.
   * If `next` is not written, nothing is.
   *
   * Optional: a manager refuses the option `maxSessions` with a store that lacks it.
   */
  login?(login: LimitedLogin): Promise<ChangeResult>;

  /**
   * Updates `updatedAt` and `expiresAt` without changing the version; neither column is authenticated. Skips a row that
   * does not exist or whose `updatedAt` is later, so that a delayed touch does not revert the times of a save. A store may
   * use the latest times in the batch for all entries with the same difference between the two times.
   */
  touch(touches: readonly RowTouch[]): Promise<void>;

  /** Deletes rows regardless of version. Returns true for each row that existed. */
  delete(ids: readonly Uint8Array[]): Promise<boolean[]>;

  /**
   * Returns the rows of these user references, newest `createdAt` first, at most `limit`, including expired rows. Only the
   * first bytes of their data are read.
   */
  listByUser(userRefs: readonly Uint8Array[], limit: number): Promise<RowInfo[]>;

  /**
   * Deletes the rows of these user references and returns how many. `only` restricts the deletion to one id; ids in
   * `except` are kept.
   */
  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter?: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Promise<number>;

  /** One bounded, ordered step of deleting expired rows. Call again with the returned cursor until it is null. */
  deleteExpired(query: ExpireQuery): Promise<ExpireResult>;

  /**
   * One bounded step of deleting rows with a creation time in the future, written while a clock ran ahead. Returns how
   * many were deleted. Call again until it returns 0.
   *
   * Optional: without it, such rows stay until they expire.
   */
  deleteFuture?(query: FutureQuery): Promise<number>;

  /**
   * Asks the database for settings under which an acknowledged write can be lost (promise 7), and returns a sentence for
   * each.
   *
   * Optional: without it, nothing is known.
   */
  durabilityWarnings?(): Promise<readonly string[]>;

  /** Returns the number of rows with `expiresAt > now`. */
  count(now: number): Promise<number>;

  /**
   * Counts all rows, grouped by bytes 3 to 6 of their data, in which a sealed session names its key. `now` separates live
   * from ended ones.
   *
   * Optional: without it, metrics have neither ended sessions nor keys.
   */
  census?(now: number): Promise<RowCount[]>;

  /** Returns up to `limit` rows with ids greater than `after` (null: from the start), in ascending order of id. */
  scan(after: Uint8Array | null, limit: number): Promise<SessionRow[]>;

  /** Like `scan`, but reads only the first bytes of the data. */
  scanInfo(after: Uint8Array | null, limit: number): Promise<RowInfo[]>;

  /**
   * Acquires or renews the named lease for `holder` until `until`. Returns true if the lease was free, had expired by
   * `now` or belonged to `holder`; false if another holder has it. `until <= now` releases it.
   */
  lease(name: string, holder: string, until: number, now: number): Promise<boolean>;

  /**
   * Returns the leases that are held or were: who has which job, and until when.
   *
   * Optional: without it, the dashboard does not show who runs the jobs.
   */
  leases?(): Promise<readonly HeldLease[]>;

  /**
   * Imports rows from another table: inserts the rows whose id was never imported and records their ids permanently, in
   * the same transaction, so that a later run does not resurrect a session that has ended since (promise 3). Many rows may
   * take several transactions. Of several rows with one id, the first is imported and the others return "before". With
   * `dryRun`, returns the same result and writes nothing.
   *
   * Optional: a store without it does not support import.
   */
  takeOver?(rows: readonly SessionRow[], options?: { readonly dryRun?: boolean }): Promise<TakenOver[]>;

  /**
   * The audit trail beside the sessions.
   *
   * Optional: a manager refuses the option `audit` with a store that has none.
   */
  readonly audit?: AuditStore;

  /**
   * Finds sessions by the links of their logins.
   *
   * Optional: `session.login` refuses links with a store that has none.
   */
  readonly links?: LinkStore;

  /** Migrates the tables to the schema of this version, if necessary. Safe to call from many processes concurrently. */
  migrate(): Promise<void>;

  /**
   * Waits for pending operations and closes the connections that the store opened; a handle or pool passed in stays open.
   * Later calls of other methods reject with a ClosedError. Idempotent.
   */
  close(): Promise<void>;
}
