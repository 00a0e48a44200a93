import { OptionsError } from "../errors.ts";
import {
  mysqlStore,
  type MysqlCallbackPool,
  type MysqlPool,
  type MysqlStoreOptions,
} from "../sql/mysql/store.ts";
import { postgresStore, type PostgresPool, type PostgresStoreOptions } from "../sql/postgres/store.ts";
import type { SqlStore } from "../sql/sql-store.ts";
import { sqliteStore, type SqliteHandle, type SqliteStoreOptions } from "../sql/sqlite/store.ts";
import { RailsStore } from "./store.ts";
import { fromRailsUrl } from "./url.ts";

/** Options of the database's own store, and of the gem's table. */
export interface RailsStoreOptions
  extends
    SqliteStoreOptions,
    Omit<PostgresStoreOptions, "engine" | "shardOf">,
    Omit<MysqlStoreOptions, "engine" | "shardOf"> {
  /** Name of the gem's table. Default "stored_sessions". */
  readonly table?: string;
  /**
   * Whether `migrate` creates the table, as the gem's own migration does, if it does not exist. Default false: the
   * table belongs to Rails, whose migrations create it.
   */
  readonly createTable?: boolean;
}

/** Any database that sqliteStore, postgresStore or mysqlStore accepts. */
export type RailsDatabase = string | SqliteHandle | PostgresPool | MysqlPool | MysqlCallbackPool;

/**
 * Opens the table of the `stored_session` gem as a store, for `createSessionManager({ store, format: railsFormat(…) })`.
 *
 * Writes are conditional on the stored bytes of `data`, which differ for every write. The table has no expiry column:
 * the manager's `idleTimeout` and `absoluteTimeout` apply to `updated_at` and `created_at`. It has no user column:
 * listing or revoking by user throws a {@link RailsUsersError}.
 *
 * @param database a path, `postgres://…`, `mysql://…`, a handle or a pool, as sqliteStore, postgresStore and mysqlStore
 *   accept
 * @throws {OptionsError}
 */
export function railsStore(database: RailsDatabase, options: RailsStoreOptions = {}): RailsStore {
  if (typeof options !== "object" || options === null)
    throw new OptionsError(["The options must be an object."]);
  const { createTable = false, ...below } = options;
  if (typeof createTable !== "boolean") throw new OptionsError(["`createTable` must be true or false."]);
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
  // A mysql2 connection also has "prepare" and "connect".
  if (has("prepare") && !has("execute")) return sqliteStore(database as SqliteHandle, options);
  if (has("getConnection") || has("execute"))
    return mysqlStore(database as MysqlPool | MysqlCallbackPool, options);
  if (has("connect")) return postgresStore(database as PostgresPool, options);
  throw new OptionsError([
    "railsStore requires a path, a URL (postgres://… or mysql://…), a SQLite handle, or a pool of pg or mysql2.",
  ]);
}
