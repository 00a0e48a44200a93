/**
 * The store contract: rows of bytes in, rows of bytes out. A store never sees a session, a token or a key.
 *
 * The comments here are the specification; `stored-session/testing` holds every implementation to them. Methods
 * take batches because batching is where the speed is; `batching/` makes the batches. All times are
 * milliseconds since the epoch and are passed in: a store never asks its own clock. Ids are compared byte by byte.
 *
 * A batch names each id at most once. A failing batch changes nothing: every method is all or nothing, and
 * rejects with a {@link StoreError} (its `outcome` says whether a write may have happened).
 */
import type { Lanes } from "./lanes.ts";
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

/** What became of a row that `takeOver` was given. */
export type TakenOver =
  /** it was added */
  | "imported"
  /** a row of that id was there already, though never taken over, and stays; its id is remembered from now on */
  | "present"
  /** it was taken over before, whether its row is there still or has ended since */
  | "before";

export interface SessionStore {
  /** How this store is best driven. Memory needs no batching; a pool likes a few lanes. */
  readonly lanes: Lanes;

  /**
   * Told by each manager how many milliseconds it waits for an answer (`storeTimeout`), before anything else. A store
   * over a pool gives up the connection under a statement that takes longer, so that a server which vanished does
   * not keep them all. `count` may take 12 times as long, `migrate` as long as it needs. Of several managers the
   * most patient one counts.
   */
  giveUpAfter?(milliseconds: number): void;

  /**
   * Milliseconds, since it was made, in which its operations waited for a lock that somebody else held, where it knows.
   * Load shedding leaves them out: the statements of a store that waited for a lock are not slow after it.
   */
  waitedForLocks?(): number;

  /**
   * The rows with these ids, in the order asked for; null for an id that has none. Expired rows are returned
   * like any other: the manager decides by its own clock. A malformed id (wrong length, wrong case) is a miss.
   */
  read(ids: readonly Uint8Array[]): Promise<(SessionRow | null)[]>;

  /** Adds rows. False for an id that exists already: that row stays as it is, the others are added. */
  insert(rows: readonly SessionRow[]): Promise<boolean[]>;

  /**
   * Writes `data`, `version`, `userRef`, `updatedAt`, `expiresAt` and `client` of each row whose version is still
   * that of `loaded`. False where it is not, or where the row is gone: that one is left alone, the others are
   * written. Never inserts.
   */
  update(updates: readonly RowUpdate[]): Promise<boolean[]>;

  /**
   * In one transaction: ends `loaded` and adds `next` under its new id. False, and nothing changed, when the row
   * is gone, no longer has the version of `loaded`, or the new id is taken. With the id of `loaded` itself the
   * session begins anew under it: every column is written, `createdAt` and `absoluteExpiresAt` included.
   */
  replace(loaded: SessionRow, next: SessionRow): Promise<boolean>;

  /**
   * Moves `updatedAt` and `expiresAt`, leaving the version: no seal covers these two. A missing row is skipped, and so
   * is one whose `updatedAt` is later already: a touch that arrives behind a save undoes none of its times.
   * A store may use the latest times of the batch for every entry with the same distance between its two times.
   */
  touch(touches: readonly RowTouch[]): Promise<void>;

  /** Deletes rows, whatever their version. True for each that was there. */
  delete(ids: readonly Uint8Array[]): Promise<boolean[]>;

  /**
   * Rows of any of these user references, newest `createdAt` first, at most `limit`. Expired rows included. Their data
   * stays in the database, but for its first bytes.
   */
  listByUser(userRefs: readonly Uint8Array[], limit: number): Promise<RowInfo[]>;

  /**
   * Deletes the rows of these user references and answers how many. `only` narrows it to one id; the ids of
   * `except` stay.
   */
  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter?: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Promise<number>;

  /** One bounded, ordered step of expiry. Call again with the returned cursor until it is null. */
  deleteExpired(query: ExpireQuery): Promise<ExpireResult>;

  /**
   * One bounded step over rows that a clock which was ahead has left behind; answers how many it deleted. Call again
   * until it answers 0.
   *
   * Optional: without it such rows stay until their own end.
   */
  deleteFuture?(query: FutureQuery): Promise<number>;

  /** How many rows have `expiresAt > now`. */
  count(now: number): Promise<number>;

  /** Up to `limit` rows with ids after `after` (null: from the start), in ascending order of id. */
  scan(after: Uint8Array | null, limit: number): Promise<SessionRow[]>;

  /** The same without the data, but for its first bytes. */
  scanInfo(after: Uint8Array | null, limit: number): Promise<RowInfo[]>;

  /**
   * Takes or renews the named lease for `holder` until `until`. True when it was free, had run out by `now`, or
   * was the holder's own; false when another holder has it. `until <= now` gives it back.
   */
  lease(name: string, holder: string, until: number, now: number): Promise<boolean>;

  /**
   * For an import from another table: adds the rows whose id was never taken over, and remembers these ids for good,
   * in the transaction that adds the rows, so that a later run brings back no session that has ended since
   * (promise 3). Many rows may take several transactions. Of rows with one id the first is taken; the others answer
   * "before". With `dryRun` answers the same and writes nothing.
   *
   * Optional: nothing can be imported into a store without it.
   */
  takeOver?(rows: readonly SessionRow[], options?: { readonly dryRun?: boolean }): Promise<TakenOver[]>;

  /** Brings the tables to the shape of this version, or does nothing. Safe when many processes start at once. */
  migrate(): Promise<void>;

  /**
   * Waits for what is under way and closes what the store itself opened; a handle or pool passed in stays the
   * caller's. Later calls reject with a ClosedError; closing twice is fine.
   */
  close(): Promise<void>;
}
