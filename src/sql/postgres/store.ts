/** `stored-session/postgres`: sessions in PostgreSQL 15 or later, with pg (node-postgres). */
import { driverProblem, exportsOf } from "../load-driver.ts";
import { PostgresDatabase } from "./driver.ts";
import { PostgresDialect } from "./dialect.ts";
import { OptionsError } from "../../errors.ts";
import { problemsOfUrl } from "../database-url.ts";
import { isBoolean } from "../../shared/option-checks.ts";
import { connectTimeoutOf, poolOptionProblems } from "../pool-options.ts";
import { SqlStore } from "../sql-store.ts";
import type { PostgresPool } from "./driver.ts";
import type { PoolStoreOptions } from "../pool-options.ts";

export type { PostgresClient, PostgresPool, PostgresResult } from "./driver.ts";
export type { PoolStoreOptions } from "../pool-options.ts";

export interface PostgresStoreOptions extends PoolStoreOptions {
  /**
   * Whether statements are prepared once per connection under a name, which makes them 1.5 times as fast. Default true.
   * Turn it off behind a pooler in transaction mode (pgbouncer) that does not track prepared statements.
   */
  readonly namedStatements?: boolean;
}

/**
 * Opens a store in PostgreSQL. Run `migrate(store)` once before the first start.
 *
 * A URL (`postgres://user:password@host/database`) requires the package `pg`. The pool is opened at the first operation
 * and ended by `close`. A pool that you pass is never closed, and its settings are not changed. Give it an `error`
 * listener, as every pg pool needs, and a `connectionTimeoutMillis`, so that an unreachable server is reported.
 */
export function postgresStore(
  urlOrPool: string | PostgresPool,
  options: PostgresStoreOptions = {},
): SqlStore {
  const problems = poolOptionProblems(options, { namedStatements: isBoolean });
  const isUrl = typeof urlOrPool === "string";
  problems.push(
    ...(isUrl
      ? problemsOfUrl(urlOrPool, "postgresStore", ["postgres", "postgresql"], { decodes: false })
      : problemsOfPool(urlOrPool)),
  );
  if (problems.length > 0) throw new OptionsError(problems);

  const dialect = new PostgresDialect(options);
  const database = new PostgresDatabase(isUrl ? () => openPool(urlOrPool, options) : async () => urlOrPool, {
    dialect,
    namedStatements: options.namedStatements ?? true,
    owned: isUrl,
  });
  return new SqlStore(database);
}

function problemsOfPool(given: unknown): string[] {
  const { connect, connectionParameters } = (given ?? {}) as {
    connect?: unknown;
    connectionParameters?: unknown;
  };
  if (typeof connect !== "function") {
    return ["postgresStore requires a URL or a pg pool (new pg.Pool(…))."];
  }
  if (connectionParameters === undefined) return [];
  return [
    "postgresStore was given a pg.Client, which is a single connection: requests would share its transactions, and a lost connection would not be replaced. Pass a pool (new pg.Pool(…)) or a URL.",
  ];
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

async function openPool(url: string, options: PostgresStoreOptions): Promise<PostgresPool> {
  const { Pool } = await loadPg();
  const pool = new Pool({
    connectionString: url,
    max: options.poolSize ?? 10,
    connectionTimeoutMillis: connectTimeoutOf(options),
    keepAlive: true,
  });
  // A lost idle connection is replaced at the next use. Without a listener, it would end the process.
  pool.on("error", () => {});
  return pool;
}
