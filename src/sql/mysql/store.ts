/** `stored-session/mysql`: sessions in MySQL 8.4 or later, or MariaDB 10.11 or later, with mysql2 or mariadb. */
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
import { openerOf, type MysqlCallbackPool } from "./handles.ts";
import type { MariadbPool } from "./mariadb.ts";
import type { MysqlPool } from "./connection.ts";
import type { PoolStoreOptions } from "../pool-options.ts";

export type { MysqlConnection, MysqlExecute, MysqlPool } from "./connection.ts";
export type { MysqlCallbackPool } from "./handles.ts";
export type { MariadbConnection, MariadbPool } from "./mariadb.ts";
export type { MysqlEngine } from "./engine.ts";
export type { PoolStoreOptions } from "../pool-options.ts";

export interface MysqlStoreOptions extends PoolStoreOptions {
  /** The product that speaks MySQL's protocol. Default: detected from the server at the first use. */
  readonly engine?: MysqlEngine;
}

/** A handle of another library over a pool: a database of Drizzle, a DataSource of TypeORM, MikroORM or its `em`. */
export type MysqlOrm =
  | { readonly $client: object }
  | { readonly driver: object; initialize(): Promise<unknown> }
  | { readonly em: object }
  | { getConnection(type?: never): object; getDriver(): object };

/**
 * Opens a store in MySQL or MariaDB; the server reports which it is. Run `migrate(store)` once before the first start.
 *
 * A URL (`mysql://user:password@host/database`) requires the package `mysql2`. The pool is opened at the first
 * operation and ended by `close`. A handle that you pass is never closed, and its settings are not changed: a pool of
 * `mysql2`, `mysql2/promise` or `mariadb`, or a handle of Drizzle, TypeORM or MikroORM over one of them.
 */
export function mysqlStore(
  urlOrHandle: string | MysqlPool | MysqlCallbackPool | MariadbPool | MysqlOrm,
  options: MysqlStoreOptions = {},
): SqlStore {
  const problems = poolOptionProblems(options, { engine: oneOf(ENGINES) });
  const isUrl = typeof urlOrHandle === "string";
  if (isUrl)
    problems.push(...problemsOfUrl(urlOrHandle, "mysqlStore", ["mysql", "mariadb"], { decodes: true }));
  const dialect = new MysqlDialect(options);
  const open = isUrl ? () => openPool(urlOrHandle, options, dialect.lanes) : openerOf(urlOrHandle);
  if (typeof open === "string") throw new OptionsError([...problems, open]);
  if (problems.length > 0) throw new OptionsError(problems);

  return new SqlStore(new MysqlDatabase(open, { dialect, owned: isUrl }));
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
