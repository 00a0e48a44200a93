import type { Database } from "../sql/dialect.ts";
import { ClosedError, NotMigratedError, OptionsError, StoredSessionError, TableError } from "../errors.ts";
import {
  infoOfRow,
  NEVER,
  type ExpireQuery,
  type ExpireResult,
  type FutureQuery,
  type RowInfo,
  type RowTouch,
  type RowUpdate,
  type SessionRow,
} from "../store/row.ts";
import {
  mysqlStore,
  type MysqlCallbackPool,
  type MysqlPool,
  type MysqlStoreOptions,
} from "../sql/mysql/store.ts";
import { postgresStore, type PostgresPool, type PostgresStoreOptions } from "../sql/postgres/store.ts";
import type { SqlStore } from "../sql/sql-store.ts";
import { sqliteStore, type SqliteHandle, type SqliteStoreOptions } from "../sql/sqlite/store.ts";
import type { Lanes, SessionStore } from "../store/contract.ts";
import { RailsStatements, type RailsWrite } from "./statements.ts";
import { timeOf } from "./times.ts";
import { fromRailsUrl } from "./url.ts";
import { versionOf } from "./version.ts";

/** Options of the database underneath, and of the gem's table in it. */
export interface RailsStoreOptions extends SqliteStoreOptions, PostgresStoreOptions, MysqlStoreOptions {
  /** The gem's table, "stored_sessions" unless given. */
  readonly table?: string;
  /**
   * Whether `migrate` makes the table, as the gem's own migration does, where there is none. Default false: the
   * table belongs to Rails, and its migrations make it.
   */
  readonly createTable?: boolean;
}

/** Whatever sqliteStore, postgresStore or mysqlStore takes. */
export type RailsDatabase = string | SqliteHandle | PostgresPool | MysqlPool | MysqlCallbackPool;

const SCAN_PAGE = 50;
const SID = /^2::[0-9a-f]{64}$/;
/** No MessagePack begins with this byte, so a row of it is refused. */
const REFUSED = Uint8Array.of(0xc1);

/**
 * The table of the `stored_session` gem as a store: for `createSessionManager({ store, format: railsFormat(…) })`.
 *
 * Writes are conditional on the stored bytes of `data`, which no two writes share. The table has no limits in it, so
 * rows never end by themselves: the manager's `idleTimeout` and `absoluteTimeout` decide, by `updated_at` and
 * `created_at`. It has no column for users, so what is asked by user is refused.
 *
 * @param database a path, `postgres://…`, `mysql://…`, a handle or a pool, as sqliteStore, postgresStore and
 *   mysqlStore take them
 * @throws {OptionsError}
 */
export function railsStore(database: RailsDatabase, options: RailsStoreOptions = {}): RailsStore {
  const { createTable = false, ...below } = options;
  if (typeof createTable !== "boolean") throw new OptionsError(["createTable is true or false."]);
  return new RailsStore(storeBelow(database, below), createTable);
}

function storeBelow(given: RailsDatabase, options: Omit<RailsStoreOptions, "createTable">): SqlStore {
  const database = typeof given === "string" ? fromRailsUrl(given) : given;
  if (typeof database === "string") {
    if (/^postgres(ql)?:\/\//.test(database)) return postgresStore(database, options);
    if (/^(mysql|mariadb):\/\//.test(database)) return mysqlStore(database, options);
    return sqliteStore(database, options);
  }
  const has = (name: string): boolean => typeof (database as never)?.[name] === "function";
  // A connection of mysql2 has "prepare" and "connect" as well.
  if (has("prepare") && !has("execute")) return sqliteStore(database as SqliteHandle, options);
  if (has("getConnection") || has("execute"))
    return mysqlStore(database as MysqlPool | MysqlCallbackPool, options);
  if (has("connect")) return postgresStore(database as PostgresPool, options);
  throw new OptionsError([
    "railsStore takes a path, a URL (postgres://…, mysql://…), a handle of SQLite, or a pool of pg or mysql2.",
  ]);
}

/** Made by {@link railsStore}. */
export class RailsStore implements SessionStore {
  readonly lanes: Lanes;
  readonly #database: Database;
  readonly #createTable: boolean;
  readonly #leases = new Map<string, { readonly holder: string; readonly until: number }>();
  #known: RailsStatements | null = null;
  #underWay = 0;
  #closing: Promise<void> | null = null;
  #idle: (() => void) | null = null;

  /** @internal */
  constructor(below: SqlStore, createTable: boolean) {
    // Only its connection: none of its statements is about this table.
    this.#database = below.database;
    this.lanes = below.lanes;
    this.#createTable = createTable;
  }

  /** @internal for the command line */
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
          // Nothing was added. The ids that are there are left out, and the others tried again.
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

  /** Moves `updated_at`, never backwards; the table holds no `expiresAt`. */
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

  /** @throws {RailsUsersError} always: an empty list would say that the user has no session */
  listByUser(_userRefs: readonly Uint8Array[], _limit: number): Promise<RowInfo[]> {
    return Promise.reject(new RailsUsersError());
  }

  /** @throws {RailsUsersError} always: "none ended" would pass for a log-out everywhere */
  deleteByUser(_userRefs: readonly Uint8Array[]): Promise<number> {
    return Promise.reject(new RailsUsersError());
  }

  /** First what was not used for the idle timeout, then what is older than the absolute one, the oldest first. */
  deleteExpired(query: ExpireQuery): Promise<ExpireResult> {
    return this.#enter(async (statements) => {
      if (!(query.limit >= 1)) throw new TypeError("The limit of a step of expiry is 1 or more.");
      const limit = Math.min(query.limit, this.#database.dialect.expiry.maxDelete);
      const phase = query.cursor?.bucket === 1 ? 1 : 0;
      // A limit is reached at `time + timeout <= before`; stored times are read rounded down to milliseconds.
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

  /** All rows: the table does not say which have ended. */
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

  /** The version of a row of this table is a hash of its data, so that it is read, in small pages. */
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
   * Within this process: no table is added to the database of Rails. Two processes that expire at once do the same
   * work twice and no harm.
   */
  lease(name: string, holder: string, until: number, now: number): Promise<boolean> {
    if (this.#closing) return Promise.reject(new ClosedError("The store was closed."));
    const held = this.#leases.get(name);
    if (held !== undefined && held.holder !== holder && held.until > now) return Promise.resolve(false);
    this.#leases.set(name, { holder, until });
    return Promise.resolve(true);
  }

  /** Looks whether the table is the gem's; with `createTable` makes it where there is none. */
  async migrate(): Promise<void> {
    await this.#enter(async () => {}, this.#createTable);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#database.closing?.();
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#database.close();
  }

  /** How many rows each statement changed; all in one transaction. */
  async #all(statements: Parameters<Database["transaction"]>[0]): Promise<readonly number[]> {
    const [only] = statements;
    if (only === undefined) return [];
    if (statements.length === 1) return [(await this.#database.run(only)).changes];
    return ((await this.#database.transaction(statements)) ?? []).map(({ changes }) => changes);
  }

  /** Counts what is under way, so that `close` can wait for it, and looks at the table before its first use. */
  async #enter<T>(work: (statements: RailsStatements) => Promise<T>, create = false): Promise<T> {
    if (this.#closing) throw new ClosedError("The store was closed.");
    this.#underWay++;
    try {
      if (this.#known === null || create) this.#known = await this.#look(create);
      return await work(this.#known);
    } finally {
      if (--this.#underWay === 0) this.#idle?.();
    }
  }

  /** @throws {NotMigratedError} no table, {TableError} another one; neither is remembered */
  async #look(create: boolean): Promise<RailsStatements> {
    await this.#database.locate?.();
    const { dialect } = this.#database;
    const { sessions: table } = dialect.names;
    const statements = new RailsStatements(table, dialect.railsTable);
    let { rows } = await this.#database.run(statements.columns());
    if (rows.length === 0 && create) {
      for (const statement of statements.create()) await this.#database.run(statement);
      ({ rows } = await this.#database.run(statements.columns()));
    }
    if (rows.length === 0) {
      throw new NotMigratedError(
        `There is no table ${table}. Run the gem's migration in Rails, or migrate(store) with \`createTable: true\`; the next call after that works.`,
      );
    }
    const types = new Map(rows.map(({ name, type }) => [textOf(name), textOf(type)]));
    const { timeTypes } = statements;
    const missing = ["id", "created_at", "updated_at", "sid", "data"].filter((name) => !types.has(name));
    const problems = missing.map((name) => `it has no column ${name}`);
    for (const name of missing.length === 0 && timeTypes !== undefined ? ["created_at", "updated_at"] : []) {
      const type = types.get(name) ?? "";
      if (!timeTypes?.test(type))
        problems.push(`${name} is ${type}, whose meaning depends on the connection`);
    }
    if (missing.length === 0 && (await this.#database.run(statements.sidIndexes())).rows.length === 0) {
      problems.push("it has no unique index over sid");
    }
    if (problems.length > 0) {
      throw new TableError(
        `The table ${table} is not that of the stored_session gem: ${problems.join("; ")}. Name the gem's with the option "table".`,
      );
    }
    return statements;
  }
}

/** What was asked needs to know whose a session is, which the gem's table does not say. */
export class RailsUsersError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_RAILS_USERS";

  constructor() {
    super(
      "The table of the stored_session gem has no column for users, so sessions cannot be listed or ended by user. Keep that to Rails' own means (a token in the user's record that each request compares), or move to the native table first.",
    );
  }
}

function sidOf(id: unknown): string | null {
  if (!(id instanceof Uint8Array) || id.length !== 67) return null;
  const sid = new TextDecoder().decode(id);
  return SID.test(sid) ? sid : null;
}

function writeOf(row: SessionRow): RailsWrite {
  const sid = sidOf(row.id);
  if (sid === null) throw new TypeError("A row's id is the 67 bytes of a private session id of Rails.");
  return { sid, data: row.data, createdAt: row.createdAt, updatedAt: row.updatedAt };
}

function decode(row: Record<string, unknown>): SessionRow {
  const data = dataOf(row["data"]);
  return {
    id: new TextEncoder().encode(textOf(row["sid"])),
    data,
    version: versionOf(data),
    userRef: null,
    createdAt: timeOf(textOf(row["created_at"])),
    updatedAt: timeOf(textOf(row["updated_at"])),
    absoluteExpiresAt: NEVER,
    expiresAt: NEVER,
    client: null,
  };
}

/** NULL is an empty session; empty bytes are none, and must not pass for one. */
function dataOf(value: unknown): Uint8Array {
  if (value === null) return new Uint8Array(0);
  const bytes = typeof value === "string" ? Buffer.from(value, "base64") : value;
  if (!(bytes instanceof Uint8Array) || bytes.length === 0) return REFUSED.slice();
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

function textOf(value: unknown): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value);
}
