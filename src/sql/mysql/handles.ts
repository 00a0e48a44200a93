/** What `mysqlStore` accepts: recognised by several members, since libraries share the names of methods. */
import { OptionsError } from "../../errors.ts";
import { behind, hasMethods, member } from "../handles.ts";
import { mariadbPool, type MariadbPool } from "./mariadb.ts";
import type { MysqlPool } from "./connection.ts";

/** The parts used of a callback pool of `mysql2`. */
export interface MysqlCallbackPool {
  promise(): MysqlPool;
}

const PASS = "a mysql2 pool (createPool(…))";

/** Opens the pool of a handle, or says what is wrong with it. */
export function openerOf(given: unknown): (() => Promise<MysqlPool>) | string {
  const found = behind(given, "mysqlStore", PASS);
  if (found !== null && "problem" in found) return found.problem;
  if (found !== null && "later" in found) {
    return async () => {
      const handle = await found.later();
      const pool = poolOf(handle);
      if (pool !== null) return pool;
      throw new OptionsError([problemOf(handle)]);
    };
  }
  const handle = found === null ? given : found.handle;
  const pool = poolOf(handle);
  return pool === null ? problemOf(handle) : async () => pool;
}

function poolOf(given: unknown): MysqlPool | null {
  // A connection also has `promise`, but is not a pool.
  if (!hasMethods(given, "getConnection", "end") && !hasMethods(given, "getConnection", "promise"))
    return null;
  if (hasMethods(given, "promise")) return (given as MysqlCallbackPool).promise();
  // A pool of the package "mysql" or of "mariadb/callback", or another with a callback API.
  if ((given as MysqlPool).getConnection.length > 0) return null;
  if (hasMethods(given, "activeConnections", "batch")) return mariadbPool(given as MariadbPool);
  return given as MysqlPool;
}

function problemOf(given: unknown): string {
  if (hasMethods(given, "getConnection")) {
    return `mysqlStore was given a pool with a callback API. Pass ${PASS}, a pool of mariadb (not of mariadb/callback) or a URL.`;
  }
  if (hasMethods(given, "unsafe", "begin")) {
    return `mysqlStore was given a SQL function of Bun or postgres.js. Pass ${PASS} or a URL.`;
  }
  if (
    hasMethods(given, "connect", "end") &&
    member(given, "threadId") === undefined &&
    hasMethods(given, "query") &&
    !hasMethods(given, "execute")
  ) {
    return "mysqlStore was given a pool of PostgreSQL. Pass it to postgresStore.";
  }
  return hasMethods(given, "execute") || hasMethods(given, "query")
    ? `mysqlStore was given a single connection: requests would share its transactions, and a lost connection would not be replaced. Pass ${PASS} or a URL.`
    : `mysqlStore requires a URL or ${PASS}, a pool of mariadb, or a handle of Drizzle, TypeORM or MikroORM over one of them.`;
}
