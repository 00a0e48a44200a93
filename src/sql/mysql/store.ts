/** `stored-session/mysql`: sessions in MySQL 8.4 or later, or MariaDB 10.11 or later, with mysql2. */
import { driverProblem, exportsOf } from "../load-driver.ts";
import { MysqlDatabase } from "./driver.ts";
import { MysqlDialect } from "./dialect.ts";
import { OptionsError } from "../../errors.ts";
import { problemsOfUrl, withoutSecrets } from "../database-url.ts";
import { connectTimeoutOf, poolOptionProblems, poolSizeOf } from "../pool-options.ts";
import { oneOf } from "../../shared/option-checks.ts";
import { ENGINES, type MysqlEngine } from "./engine.ts";
import type { Lanes } from "../../store/lanes.ts";
import { SqlStore } from "../sql-store.ts";
import type { MysqlPool } from "./connection.ts";
import type { PoolStoreOptions } from "../pool-options.ts";

export type { MysqlConnection, MysqlExecute, MysqlPool } from "./connection.ts";
export type { MysqlEngine } from "./engine.ts";
export type { PoolStoreOptions } from "../pool-options.ts";

export interface MysqlStoreOptions extends PoolStoreOptions {
  /** What speaks MySQL's protocol. Unless given, the server tells it at the first use. */
  readonly engine?: MysqlEngine;
}

/** The parts used of a callback pool of `mysql2`. */
export interface MysqlCallbackPool {
  promise(): MysqlPool;
}

/**
 * Opens a store in MySQL or MariaDB; the server reports which it is. Run `migrate(store)` once before the first start.
 *
 * A URL (`mysql://user:password@host/database`) requires the package `mysql2`. The pool is opened at the first
 * operation and ended by `close`. A pool of `mysql2` or `mysql2/promise` that you pass is never closed, and its
 * settings are not changed.
 */
export function mysqlStore(
  urlOrPool: string | MysqlPool | MysqlCallbackPool,
  options: MysqlStoreOptions = {},
): SqlStore {
  const problems = poolOptionProblems(options, { engine: oneOf(ENGINES) });
  const isUrl = typeof urlOrPool === "string";
  const pool = isUrl ? null : poolOf(urlOrPool);
  if (isUrl)
    problems.push(...problemsOfUrl(urlOrPool, "mysqlStore", ["mysql", "mariadb"], { decodes: true }));
  else if (!pool) problems.push(problemOfPool(urlOrPool));
  if (problems.length > 0) throw new OptionsError(problems);

  const dialect = new MysqlDialect(options);
  const open = async (): Promise<MysqlPool> =>
    pool ?? (await openPool(urlOrPool as string, options, dialect.lanes));
  return new SqlStore(new MysqlDatabase(open, { dialect, owned: isUrl }));
}

function poolOf(given: MysqlPool | MysqlCallbackPool | null): MysqlPool | null {
  const { promise, getConnection } = (given ?? {}) as Partial<MysqlPool & MysqlCallbackPool>;
  // A connection also has `promise`, but is not a pool.
  if (typeof getConnection !== "function") return null;
  if (typeof promise === "function") return (given as MysqlCallbackPool).promise();
  // A pool of the package "mysql", or another with a callback API.
  return getConnection.length > 0 ? null : (given as MysqlPool);
}

function problemOfPool(given: unknown): string {
  const { execute, query, getConnection } = (given ?? {}) as Record<string, unknown>;
  if (typeof getConnection === "function") {
    return "mysqlStore was given a pool with a callback API. Pass a mysql2 pool (createPool(…)) or a URL.";
  }
  return typeof execute === "function" || typeof query === "function"
    ? "mysqlStore was given a single connection: requests would share its transactions, and a lost connection would not be replaced. Pass a mysql2 pool (createPool(…)) or a URL."
    : "mysqlStore requires a URL or a mysql2 pool (createPool(…)).";
}

interface MysqlDriver {
  createPool(options: object): MysqlPool;
}

async function loadMysql2(): Promise<MysqlDriver> {
  try {
    return exportsOf<MysqlDriver>(await import("mysql2/promise"), ({ createPool }) => createPool);
  } catch (cause) {
    throw driverProblem(cause, {
      name: "mysql2",
      why: "mysqlStore was given a URL",
      otherwise: "pass a pool",
    });
  }
}

async function openPool(url: string, options: MysqlStoreOptions, lanes: Lanes): Promise<MysqlPool> {
  const { createPool } = await loadMysql2();
  const settings = {
    uri: url.replace(/^mariadb:/, "mysql:"),
    connectionLimit: poolSizeOf(options, lanes),
    connectTimeout: connectTimeoutOf(options),
    enableKeepAlive: true,
    trace: false,
  };
  try {
    return createPool(settings);
  } catch (error) {
    // Without the cause, which may hold the URL and so the password.
    throw new OptionsError([
      `mysql2 does not accept the URL given to mysqlStore: ${withoutSecrets((error as Error).message, url)}. Check its parameters (ssl, charset, timezone).`,
    ]);
  }
}
