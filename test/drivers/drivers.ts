/** Every driver beside the default ones, each as its users set it up, and on tables of its own. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import { createClient } from "@libsql/client";
import { neonConfig, Pool as NeonPool } from "@neondatabase/serverless";
import mariadb from "mariadb";
import { Miniflare } from "miniflare";
import { Pool } from "pg";
import postgres from "postgres";
import { inject } from "vitest";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { d1Store } from "../../src/sql/sqlite/d1.ts";
import { libsqlStore } from "../../src/sql/sqlite/libsql.ts";
import { chosenDatabases, type DatabaseName } from "../servers/chosen.ts";
import { driversOfBun } from "./of-bun.ts";
import { startSqld } from "./sqld.ts";
import { startWebSocketProxy } from "./websocket-proxy.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { mariadbOptionsOf } from "./mariadb-options.ts";

/** A handle as an application opens it. */
export interface OpenedDriver {
  /** The store on these tables, through the handle. Several stores share it. */
  store(table: string): SessionStore;
  /** Runs one statement through the handle, without the store. */
  execute(text: string): Promise<unknown>;
  close(): Promise<void>;
}

export interface TestDriver {
  readonly name: string;
  /** Runs where TEST_DATABASES names this. */
  readonly kind: DatabaseName;
  /** Its name in docs/drivers.md. */
  readonly fact: string;
  /** Where its contract and race suites are, if not here. */
  readonly elsewhere?: "workerd.test.ts";
  /** False for a handle whose end cannot be told: a binding of a Worker has none. */
  readonly ends?: false;
  /** Whether it connects to a server by a URL, so that the connection can break. */
  readonly connects: boolean;
  open(url: string): Promise<OpenedDriver>;
}

const all: readonly TestDriver[] = [
  {
    name: "postgres.js",
    fact: "postgres.js",
    kind: "postgres",
    connects: true,
    open: async (url) => ofPostgresJs(postgres(url, { max: 4, onnotice: () => {} })),
  },
  {
    name: "postgres.js, with transformations and types of the application",
    fact: "postgres.js",
    kind: "postgres",
    connects: true,
    open: async (url) =>
      ofPostgresJs(
        postgres(url, {
          max: 4,
          onnotice: () => {},
          fetch_types: false,
          transform: { ...postgres.camel, value: (value: unknown) => [value], undefined: null },
          types: { bigint: postgres.BigInt },
        }),
      ),
  },
  {
    name: "PGlite",
    fact: "PGlite",
    kind: "postgres",
    connects: false,
    open: async () => {
      const pglite = new PGlite({ parsers: { 25: () => "the application's", 23: () => "its own" } });
      return {
        store: (table) => postgresStore(pglite, { table }),
        execute: (text) => pglite.exec(text),
        close: () => pglite.close(),
      };
    },
  },
  {
    name: "PGlite over its socket, with pg",
    fact: "PGlite over its socket, with pg",
    kind: "postgres",
    connects: false,
    open: async () => {
      const db = new PGlite();
      const server = new PGLiteSocketServer({ db, port: 0, maxConnections: 4 });
      await server.start();
      const pool = new Pool({
        connectionString: `postgres://postgres@${server.getServerConn()}/postgres`,
        max: 1,
      });
      pool.on("error", () => {});
      return {
        store: (table) => postgresStore(pool, { table, namedStatements: false }),
        execute: (text) => pool.query(text),
        close: async () => {
          await pool.end();
          await server.stop();
          await db.close();
        },
      };
    },
  },
  {
    name: "the pool of @neondatabase/serverless, over a WebSocket",
    fact: "Neon's pool",
    kind: "postgres",
    connects: true,
    open: async (url) => {
      const proxy = await startWebSocketProxy(Number(new URL(url).port));
      neonConfig.wsProxy = () => `127.0.0.1:${proxy.port}`;
      neonConfig.useSecureWebSocket = false;
      neonConfig.pipelineConnect = false;
      const pool = new NeonPool({ connectionString: url, max: 4 });
      pool.on("error", () => {});
      return {
        store: (table) => postgresStore(pool as never, { table }),
        execute: (text) => pool.query(text),
        close: async () => {
          await pool.end();
          await proxy[Symbol.asyncDispose]();
        },
      };
    },
  },
  ...(["mariadb", "mysql"] as const).map((kind): TestDriver => ({
    name: `the mariadb connector, on ${kind}`,
    fact: "mariadb",
    kind,
    connects: true,
    open: async (url) => {
      const pool = mariadb.createPool({
        ...mariadbOptionsOf(url),
        connectionLimit: 4,
        acquireTimeout: 4_000,
        // Settings of the application, to which the store is immune.
        rowsAsArray: true,
        bigIntAsNumber: true,
        typeCast: () => "the application's",
      });
      return {
        store: (table) => mysqlStore(pool, { table }),
        execute: (text) => pool.query(text),
        close: () => pool.end(),
      };
    },
  })),
  {
    name: "libSQL, a file",
    fact: "libSQL",
    kind: "sqlite",
    connects: false,
    open: async () => {
      const folder = mkdtempSync(join(tmpdir(), "stored-session-"));
      const client = createClient({ url: `file:${join(folder, "sessions.db")}` });
      return {
        store: (table) => libsqlStore(client, { table }),
        execute: (text) => client.execute(text),
        close: async () => {
          client.close();
          rmSync(folder, { recursive: true });
        },
      };
    },
  },
  {
    name: "libSQL, a server",
    fact: "libSQL",
    kind: "sqlite",
    connects: false,
    open: async () => {
      const server = await startSqld();
      const client = createClient({ url: server.url });
      return {
        store: (table) => libsqlStore(client, { table }),
        execute: (text) => client.execute(text),
        close: async () => {
          client.close();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  },
  {
    name: "D1, through miniflare",
    fact: "D1",
    kind: "sqlite",
    elsewhere: "workerd.test.ts",
    ends: false,
    connects: false,
    open: async () => {
      const miniflare = new Miniflare({
        modules: true,
        script: "export default {}",
        d1Databases: { DB: "sessions" },
      });
      const database = await miniflare.getD1Database("DB");
      return {
        store: (table) => d1Store(database as never, { table }),
        execute: (text) => database.prepare(text).run(),
        close: () => miniflare.dispose(),
      };
    },
  },
  ...driversOfBun,
];

function ofPostgresJs<Types extends Record<string, unknown>>(sql: postgres.Sql<Types>): OpenedDriver {
  return {
    store: (table) => postgresStore(sql, { table }),
    execute: async (text) => await sql.unsafe(text),
    // Without a time limit it waits for ever once a connection broke.
    close: () => sql.end({ timeout: 1 }),
  };
}

/** Those that TEST_DATABASES asks for. */
export const drivers: readonly TestDriver[] = all.filter(({ kind }) => chosenDatabases().includes(kind));

/** The server's URL; empty where there is no server. */
export function urlOf({ kind }: TestDriver): string {
  return kind === "sqlite" ? "" : (inject("servers")[kind] ?? "");
}

/** Tables that no other test has. */
export function ownTable(): string {
  return `d_${randomBytes(8).toString("hex")}`;
}

export async function dropTables(opened: OpenedDriver, table: string): Promise<void> {
  for (const suffix of ["", "_leases", "_migrations", "_imports"])
    await opened.execute(`DROP TABLE IF EXISTS ${table}${suffix}`);
}
