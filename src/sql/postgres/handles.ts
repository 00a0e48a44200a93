/** What `postgresStore` can be given: recognised by several members, since libraries share the names of methods. */
import { OptionsError } from "../../errors.ts";
import { behind, hasMethods, member, type Behind } from "../handles.ts";
import { textValues } from "./arrays.ts";
import { bunSqlPool, type BunSql } from "./bun-sql.ts";
import { pglitePool, type Pglite } from "./pglite.ts";
import { postgresJsPool, type PostgresJs } from "./postgres-js.ts";
import type { PostgresDatabaseOptions, PostgresPool } from "./driver.ts";

/** A pool, and how values are sent through it. */
export interface PostgresHandle {
  readonly open: () => Promise<PostgresPool>;
  readonly encode?: PostgresDatabaseOptions["encode"];
}

const PASS = "a pg pool (new pg.Pool(…))";
const TAKES = `postgresStore requires a URL or ${PASS}, postgres.js (postgres(…)), Bun's SQL or a PGlite, or what is made from one of them by Drizzle, TypeORM, MikroORM or pg-promise.`;

/** The handle, or what is wrong with it. */
export function handleOf(given: unknown): PostgresHandle | string {
  const found: Behind | null = behind(given, "postgresStore", PASS);
  if (found === null) return driverOf(given) ?? problemOf(given);
  if ("problem" in found) return found.problem;
  if ("handle" in found) return driverOf(found.handle) ?? problemOf(found.handle);
  const open = async (): Promise<PostgresPool> => {
    const handle = await found.later();
    if (isPool(handle)) return handle as PostgresPool;
    throw new OptionsError([problemOf(handle)]);
  };
  return { open };
}

function driverOf(given: unknown): PostgresHandle | null {
  if (isPostgresJs(given)) {
    const pool = postgresJsPool(given as PostgresJs);
    return { open: async () => pool, encode: textValues };
  }
  if (isBunSql(given) && member(member(given, "options"), "adapter") === "postgres") {
    const pool = bunSqlPool(given as BunSql);
    return { open: async () => pool, encode: textValues };
  }
  if (hasMethods(given, "execProtocol", "query", "transaction")) {
    const pool = pglitePool(given as Pglite);
    return { open: async () => pool, encode: textValues };
  }
  return isPool(given) ? { open: async () => given as PostgresPool } : null;
}

function isBunSql(given: unknown): boolean {
  return typeof given === "function" && hasMethods(given, "unsafe", "begin", "beginDistributed", "end");
}

function isPostgresJs(given: unknown): boolean {
  return (
    typeof given === "function" &&
    hasMethods(given, "unsafe", "begin", "end", "subscribe", "largeObject") &&
    typeof member(given, "options") === "object"
  );
}

/** Also one that wraps a pool of pg and has no more than what is used. */
function isPool(given: unknown): boolean {
  return (
    typeof given === "object" &&
    hasMethods(given, "connect", "end") &&
    member(given, "connectionParameters") === undefined &&
    !hasMethods(given, "getConnection")
  );
}

function problemOf(given: unknown): string {
  if (member(given, "connectionParameters") !== undefined) {
    return "postgresStore was given a pg.Client, which is a single connection: requests would share its transactions, and a lost connection would not be replaced. Pass a pool (new pg.Pool(…)) or a URL.";
  }
  if (isBunSql(given)) {
    return "postgresStore was given Bun's SQL of another database. Pass new SQL(…) with a URL of PostgreSQL; for MySQL, pass a pool of mysql2 to mysqlStore; for SQLite, pass a Database of bun:sqlite to sqliteStore.";
  }
  if (hasMethods(given, "reserve", "unsafe", "begin")) {
    return "postgresStore was given a connection or a transaction of postgres.js, or the SQL of another library. Pass what postgres(…) returns, or a URL.";
  }
  if (hasMethods(given, "unsafe", "transaction") && typeof given === "function") {
    return "postgresStore was given neon(…) of @neondatabase/serverless, which sends each statement over HTTP and keeps no transaction open. Pass its pool (new Pool(…) of the same package), which uses a WebSocket.";
  }
  if (hasMethods(given, "getConnection")) {
    return "postgresStore was given a pool of MySQL or MariaDB. Pass it to mysqlStore.";
  }
  if (hasMethods(given, "prepare")) {
    return "postgresStore was given a handle of SQLite. Pass it to sqliteStore.";
  }
  return TAKES;
}
