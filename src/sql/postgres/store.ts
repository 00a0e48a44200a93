/** `stored-session/postgres`: sessions in PostgreSQL 15 or later, with pg (node-postgres). */
import { driverProblem, exportsOf } from "../load-driver.ts";
import { PostgresDatabase } from "./driver.ts";
import { PostgresDialect } from "./dialect.ts";
import { OptionsError } from "../../errors.ts";
import { problemsOfUrl } from "../database-url.ts";
import { isBoolean, oneOf } from "../../shared/option-checks.ts";
import { connectTimeoutOf, poolOptionProblems, poolSizeOf } from "../pool-options.ts";
import { ENGINES, type PostgresEngine } from "./engine.ts";
import type { Lanes } from "../../store/lanes.ts";
import { SqlStore } from "../sql-store.ts";
import { handleOf, type PostgresHandle } from "./handles.ts";
import type { BunSql } from "./bun-sql.ts";
import type { Pglite } from "./pglite.ts";
import type { PostgresJs } from "./postgres-js.ts";
import type { PostgresPool } from "./driver.ts";
import type { PoolStoreOptions } from "../pool-options.ts";

export type { PostgresClient, PostgresPool, PostgresResult } from "./driver.ts";
export type { BunSql } from "./bun-sql.ts";
export type { Pglite } from "./pglite.ts";
export type { PostgresJs } from "./postgres-js.ts";
export type { PostgresEngine } from "./engine.ts";
export type { PoolStoreOptions } from "../pool-options.ts";

export interface PostgresStoreOptions extends PoolStoreOptions {
  /**
   * Whether statements are prepared once per connection under a name, which makes them 1.5 times as fast. Default true.
   * Turn it off behind a pooler in transaction mode (pgbouncer) that does not track prepared statements.
   */
  readonly namedStatements?: boolean;
  /**
   * The product that speaks PostgreSQL's protocol. Default: detected from the server at the first use, except for
   * "partitions". Set "citus" explicitly, because the number of lanes is decided before the first use.
   */
  readonly engine?: PostgresEngine;
}

/** What other libraries make from a pool: a database of Drizzle or pg-promise, a DataSource of TypeORM, MikroORM or its `em`. */
export type PostgresOrm =
  | { readonly $client: object }
  | { readonly $pool: object }
  | { readonly driver: object; initialize(): Promise<unknown> }
  | { readonly em: object }
  | { getConnection(type?: never): object; getDriver(): object };

/**
 * Opens a store in PostgreSQL. Run `migrate(store)` once before the first start.
 *
 * A URL (`postgres://user:password@host/database`) requires the package `pg`. The pool is opened at the first operation
 * and ended by `close`. A handle that you pass is never closed, and its settings are not changed: a pg pool, postgres.js
 * (`postgres(…)`), Bun's SQL, a PGlite, or a handle of Drizzle, TypeORM, MikroORM or pg-promise over one of them. Give a pg pool an
 * `error` listener, as every pg pool needs, and a `connectionTimeoutMillis`, so that an unreachable server is reported.
 */
export function postgresStore(
  urlOrHandle: string | PostgresPool | PostgresJs | BunSql | Pglite | PostgresOrm,
  options: PostgresStoreOptions = {},
): SqlStore {
  const problems = poolOptionProblems(options, { namedStatements: isBoolean, engine: oneOf(ENGINES) });
  const isUrl = typeof urlOrHandle === "string";
  const handle: PostgresHandle | string = isUrl
    ? { open: () => openPool(urlOrHandle, options, dialect.lanes) }
    : handleOf(urlOrHandle);
  if (isUrl) {
    problems.push(
      ...problemsOfUrl(urlOrHandle, "postgresStore", ["postgres", "postgresql"], { decodes: false }),
    );
  }
  if (typeof handle === "string") throw new OptionsError([...problems, handle]);
  if (problems.length > 0) throw new OptionsError(problems);

  const dialect = new PostgresDialect(options);
  const database = new PostgresDatabase(handle.open, {
    dialect,
    namedStatements: options.namedStatements ?? true,
    knowsEngine: options.engine !== undefined,
    owned: isUrl,
    ...(handle.encode && { encode: handle.encode }),
  });
  return new SqlStore(database);
}

interface PostgresDriver {
  readonly Pool: new (
    options: object,
  ) => PostgresPool & { on(event: "error", listener: () => void): unknown };
}

async function loadPg(): Promise<PostgresDriver> {
  try {
    return exportsOf<PostgresDriver>(await import("pg"), ({ Pool }) => Pool);
  } catch (cause) {
    throw driverProblem(cause, {
      name: "pg",
      why: "postgresStore was given a URL",
      otherwise: "pass a pool",
    });
  }
}

async function openPool(url: string, options: PostgresStoreOptions, lanes: Lanes): Promise<PostgresPool> {
  const { Pool } = await loadPg();
  const pool = new Pool({
    connectionString: url,
    max: poolSizeOf(options, lanes),
    connectionTimeoutMillis: connectTimeoutOf(options),
    keepAlive: true,
  });
  // A lost idle connection is replaced at the next use. Without a listener, it would end the process.
  pool.on("error", () => {});
  return pool;
}
