import { ClosedError, StoredSessionError } from "../errors.ts";
import type { Database } from "../sql/dialect.ts";
import type { SqlStore } from "../sql/sql-store.ts";
import type { Lanes, SessionStore } from "../store/contract.ts";
import {
  infoOfRow,
  type ExpireQuery,
  type ExpireResult,
  type FutureQuery,
  type RowInfo,
  type RowTouch,
  type RowUpdate,
  type SessionRow,
} from "../store/row.ts";
import type { RailsStatements } from "./statements.ts";
import { decode, sidOf, textOf, writeOf } from "./store-rows.ts";
import { checkedTable } from "./table-check.ts";

/** Rows per page when pages include data. */
const SCAN_PAGE = 50;

/** The table of the `stored_session` gem as a store. Opened by `railsStore`. */
export class RailsStore implements SessionStore {
  readonly lanes: Lanes;
  readonly #database: Database;
  readonly #createTable: boolean;
  readonly #leases = new Map<string, { readonly holder: string; readonly until: number }>();
  #statements: RailsStatements | null = null;
  #running = 0;
  #closing: Promise<void> | null = null;
  #idle: (() => void) | null = null;

  /** @internal */
  constructor(below: SqlStore, createTable: boolean) {
    // Only its connection is used: its statements address another table.
    this.#database = below.database;
    this.lanes = below.lanes;
    this.#createTable = createTable;
  }

  /** @internal For the command line. */
  get database(): Database {
    return this.#database;
  }

  giveUpAfter(milliseconds: number): void {
    this.#database.giveUpAfter?.(milliseconds);
  }

  waitedForLocks(): number {
    return this.#database.waitedForLocks?.() ?? 0;
  }

  read(ids: readonly Uint8Array[]): Promise<(SessionRow | null)[]> {
    return this.#enter(async (statements) => {
      const asked = ids.map(sidOf);
      const sids = asked.filter((sid) => sid !== null);
      if (sids.length === 0) return ids.map(() => null);
      const { rows } = await this.#database.run(statements.read(sids));
      const found = new Map(rows.map((row) => [textOf(row["sid"]), row]));
      return asked.map((sid) => {
        const row = sid === null ? undefined : found.get(sid);
        return row === undefined ? null : decode(row);
      });
    });
  }

  insert(rows: readonly SessionRow[]): Promise<boolean[]> {
    return this.#enter(async (statements) => {
      const taken = new Set<string>();
      const writes = rows.map(writeOf);
      for (;;) {
        const left = writes.filter(({ sid }) => !taken.has(sid));
        try {
          const results = await this.#all(left.map((row) => statements.insert(row)));
          return writes.map((row) => (results[left.indexOf(row)] ?? 0) > 0);
        } catch (error) {
          // No row was inserted. Leave out the ids that exist, and retry the others.
          if (!statements.isTaken(error)) throw error;
          const { rows: there } = await this.#database.run(statements.read(left.map(({ sid }) => sid)));
          if (there.length === 0) throw error;
          for (const row of there) taken.add(textOf(row["sid"]));
        }
      }
    });
  }

  update(updates: readonly RowUpdate[]): Promise<boolean[]> {
    return this.#enter(async (statements) => {
      const asked = updates.filter(({ loaded }) => sidOf(loaded.id) !== null);
      const results = await this.#all(
        asked.map(({ loaded, next }) => statements.update(writeOf(loaded), writeOf(next))),
      );
      return updates.map((update) => (results[asked.indexOf(update)] ?? 0) > 0);
    });
  }

  replace(loaded: SessionRow, next: SessionRow): Promise<boolean> {
    return this.#enter(async (statements) => {
      const row = writeOf(next);
      if (sidOf(loaded.id) === null) return false;
      try {
        const results = await this.#database.transaction([
          { ...statements.deleteLoaded(writeOf(loaded)), atLeast: 1 },
          { ...statements.insert(row), atLeast: 1 },
        ]);
        return results !== null;
      } catch (error) {
        if (statements.isTaken(error)) return false;
        throw error;
      }
    });
  }

  /** Advances `updated_at`, never backwards. The table has no `expiresAt`. */
  touch(touches: readonly RowTouch[]): Promise<void> {
    return this.#enter(async (statements) => {
      const sids = touches.map(({ id }) => sidOf(id)).filter((sid) => sid !== null);
      if (sids.length === 0) return;
      const latest = touches.reduce((time, touch) => Math.max(time, touch.updatedAt), 0);
      await this.#database.run(statements.touch(sids, latest));
    });
  }

  delete(ids: readonly Uint8Array[]): Promise<boolean[]> {
    return this.#enter(async (statements) => {
      const asked = ids.map(sidOf);
      const sids = asked.filter((sid) => sid !== null);
      const results = await this.#all(sids.map((sid) => statements.delete(sid)));
      return asked.map((sid) => sid !== null && (results[sids.indexOf(sid)] ?? 0) > 0);
    });
  }

  /** @throws {RailsUsersError} always: an empty list would mean that the user has no session */
  listByUser(_userRefs: readonly Uint8Array[], _limit: number): Promise<RowInfo[]> {
    return Promise.reject(new RailsUsersError());
  }

  /** @throws {RailsUsersError} always: returning 0 would pass for a successful revocation */
  deleteByUser(_userRefs: readonly Uint8Array[]): Promise<number> {
    return Promise.reject(new RailsUsersError());
  }

  /** Deletes rows past the idle timeout, then rows past the absolute timeout, each oldest first. */
  deleteExpired(query: ExpireQuery): Promise<ExpireResult> {
    return this.#enter(async (statements) => {
      if (!(query.limit >= 1)) throw new TypeError("`limit` of an expiry step must be 1 or more.");
      const limit = Math.min(query.limit, this.#database.dialect.expiry.maxDelete);
      const phase = query.cursor?.bucket === 1 ? 1 : 0;
      // A row has expired if `time + timeout <= before`. Stored times are rounded down to milliseconds when read.
      const [column, before] =
        phase === 0
          ? ([
              "updated_at",
              Math.max(query.before - query.idleTimeout + 1, query.updatedBefore ?? 0),
            ] as const)
          : ([
              "created_at",
              Math.max(query.before - query.absoluteTimeout + 1, query.createdBefore ?? 0),
            ] as const);
      const { rows } = await this.#database.run(statements.findBefore(column, before, limit));
      const sids = rows.map(({ sid }) => textOf(sid));
      const deleted =
        sids.length === 0
          ? 0
          : (await this.#database.run(statements.deleteBefore(column, before, sids))).changes;
      const next = rows.length === limit ? phase : phase + 1;
      return { deleted, cursor: next > 1 ? null : { bucket: next, id: new Uint8Array(0) } };
    });
  }

  deleteFuture({ createdAfter, limit }: FutureQuery): Promise<number> {
    return this.#enter(async (statements) => {
      const most = Math.min(limit, this.#database.dialect.expiry.maxDelete);
      const { rows } = await this.#database.run(statements.findCreatedAfter(createdAfter, most));
      const changes = await this.#all(rows.map(({ sid }) => statements.delete(textOf(sid))));
      return changes.reduce((sum, count) => sum + count, 0);
    });
  }

  /** Counts all rows: the table does not record which have expired. */
  count(_now: number): Promise<number> {
    return this.#enter(async (statements) => {
      const { rows } = await this.#database.run({ ...statements.count(), long: true });
      return Number(rows[0]?.["count"]);
    });
  }

  scan(after: Uint8Array | null, limit: number): Promise<SessionRow[]> {
    return this.#enter(async (statements) => {
      const { rows } = await this.#database.run(
        statements.scan(after === null ? " " : new TextDecoder().decode(after), limit),
      );
      return rows.map(decode);
    });
  }

  /** Reads the data too, in small pages, because the version of a row of this table is a hash of its data. */
  async scanInfo(after: Uint8Array | null, limit: number): Promise<RowInfo[]> {
    const found: RowInfo[] = [];
    let last = after;
    while (found.length < limit) {
      const size = Math.min(SCAN_PAGE, limit - found.length);
      const rows = await this.scan(last, size);
      found.push(...rows.map(infoOfRow));
      last = rows.at(-1)?.id ?? null;
      if (rows.length < size) break;
    }
    return found;
  }

  /**
   * Leases are local to this process, because no table is added to Rails' database. If two processes expire sessions at
   * the same time, work is duplicated but nothing breaks.
   */
  lease(name: string, holder: string, until: number, now: number): Promise<boolean> {
    if (this.#closing) return Promise.reject(closed());
    const held = this.#leases.get(name);
    if (held !== undefined && held.holder !== holder && held.until > now) return Promise.resolve(false);
    this.#leases.set(name, { holder, until });
    return Promise.resolve(true);
  }

  /** Checks that the table is the gem's. With `createTable`, creates it if it does not exist. */
  async migrate(): Promise<void> {
    await this.#enter(async () => {}, this.#createTable);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#database.closing?.();
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#database.close();
  }

  /** Runs the statements in one transaction and returns the affected rows of each. */
  async #all(statements: Parameters<Database["transaction"]>[0]): Promise<readonly number[]> {
    const [only] = statements;
    if (only === undefined) return [];
    if (statements.length === 1) return [(await this.#database.run(only)).changes];
    return ((await this.#database.transaction(statements)) ?? []).map(({ changes }) => changes);
  }

  /** Counts running operations, so that `close` can wait for them, and checks the table before its first use. */
  async #enter<T>(work: (statements: RailsStatements) => Promise<T>, create = false): Promise<T> {
    if (this.#closing) throw closed();
    this.#running++;
    try {
      if (this.#statements === null || create) this.#statements = await checkedTable(this.#database, create);
      return await work(this.#statements);
    } finally {
      if (--this.#running === 0) this.#idle?.();
    }
  }
}

/** The operation needs the user of each session, which the gem's table does not store. */
export class RailsUsersError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_RAILS_USERS";

  constructor() {
    super(
      "The table of the stored_session gem has no user column, so sessions cannot be listed or revoked by user. Invalidate them in Rails (for example with a token in the user's record that each request compares), or migrate to the native table.",
    );
  }
}

function closed(): ClosedError {
  return new ClosedError("The store is closed.");
}
