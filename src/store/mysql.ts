/** `stored-session/mysql`: sessions in MySQL 8.4 or later, or MariaDB 10.11 or later, with mysql2. */
import { MysqlDatabase } from "../database/mysql-database.ts";
import { MysqlDialect } from "../database/mysql.ts";
import { OptionsError } from "../errors.ts";
import { loadDriver } from "./driver.ts";
import { assertPoolOptions, CONNECT_TIMEOUT } from "./pool-options.ts";
import { SqlStore } from "./sql.ts";
import type { MysqlPool } from "../database/mysql-database.ts";
import type { PoolStoreOptions } from "./pool-options.ts";

export type { MysqlConnection, MysqlExecute, MysqlPool } from "../database/mysql-database.ts";
export type { PoolStoreOptions } from "./pool-options.ts";

export interface MysqlStoreOptions extends PoolStoreOptions {}

/** What is used of a pool of `mysql2` itself, the one with callbacks. */
export interface MysqlCallbackPool {
  promise(): MysqlPool;
}

/**
 * A store in MySQL or MariaDB; the server tells which it is. Run `migrate(store)` once before the first start.
 *
 * A URL (`mysql://user:password@host/database`) needs the package `mysql2`; the pool is opened at the first
 * operation and `close` ends it. A pool passed in, of `mysql2` or of `mysql2/promise`, stays its owner's, and its
 * settings as they are.
 */
export function mysqlStore(
  urlOrPool: string | MysqlPool | MysqlCallbackPool,
  options: MysqlStoreOptions = {},
): SqlStore {
  const problems = assertPoolOptions(options);
  const isUrl = typeof urlOrPool === "string";
  const pool = isUrl ? null : poolOf(urlOrPool);
  if (isUrl && !/^(mysql|mariadb):\/\//.test(urlOrPool)) {
    problems.push('the URL given to mysqlStore begins with "mysql://" or "mariadb://".');
  } else if (!isUrl && !pool) {
    problems.push("mysqlStore takes a URL, or a pool of mysql2 (createPool(…)).");
  }
  if (problems.length > 0) throw new OptionsError(problems);

  const dialect = new MysqlDialect(options);
  const open = async (): Promise<MysqlPool> => pool ?? (await openPool(urlOrPool as string, options));
  return new SqlStore(new MysqlDatabase(open, { dialect, owned: isUrl }));
}

function poolOf(given: MysqlPool | MysqlCallbackPool | null): MysqlPool | null {
  if (given && "promise" in given && typeof given.promise === "function") return given.promise();
  return typeof (given as Partial<MysqlPool> | null)?.getConnection === "function"
    ? (given as MysqlPool)
    : null;
}

interface MysqlDriver {
  createPool(options: object): MysqlPool;
}

async function openPool(url: string, options: MysqlStoreOptions): Promise<MysqlPool> {
  const { createPool } = await loadDriver<MysqlDriver>("mysql2/promise", "mysql2", "mysqlStore");
  return createPool({
    uri: url.replace(/^mariadb:/, "mysql:"),
    connectionLimit: options.poolSize ?? 10,
    connectTimeout: options.connectTimeout ?? CONNECT_TIMEOUT,
    enableKeepAlive: true,
    trace: false,
  });
}
