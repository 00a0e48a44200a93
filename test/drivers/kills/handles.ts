/**
 * A store through each driver, opened by a process that will be killed, and again by the test that reads what is there. Libraries
 * are loaded when they are opened: a process starts sooner without the others.
 */
import { createRequire } from "node:module";
import { mysqlStore } from "../../../src/sql/mysql/store.ts";
import { postgresStore } from "../../../src/sql/postgres/store.ts";
import { d1Store } from "../../../src/sql/sqlite/d1.ts";
import { libsqlStore } from "../../../src/sql/sqlite/libsql.ts";
import { sqliteStore } from "../../../src/sql/sqlite/store.ts";
import { targetOf, type OpenedTarget } from "./target.ts";
import { mariadbOptionsOf } from "../mariadb-options.ts";

type Open = (where: string, table: string) => OpenedTarget | Promise<OpenedTarget>;

const bun = (name: string): Promise<Record<string, new (of: string) => never>> => import(name);

export const handles: Readonly<Record<string, Open>> = {
  "node:sqlite": (folder) => targetOf(sqliteStore(`${folder}/sessions.sqlite3`)),
  "better-sqlite3": (folder) => {
    const Sqlite = createRequire(import.meta.url)("better-sqlite3");
    const file = new Sqlite(`${folder}/sessions.sqlite3`);
    file.pragma("journal_mode = WAL");
    file.pragma("synchronous = FULL");
    return targetOf(sqliteStore(file), async () => void file.close());
  },
  "bun:sqlite": async (folder) => {
    const { Database } = await bun("bun:sqlite");
    return targetOf(sqliteStore(new Database!(`${folder}/sessions.sqlite3`)));
  },
  "libSQL, a file": async (folder) => {
    const { createClient } = await import("@libsql/client");
    const client = createClient({ url: `file:${folder}/sessions.db` });
    return targetOf(libsqlStore(client), async () => client.close());
  },
  "libSQL, a server": async (url, table) => {
    const { createClient } = await import("@libsql/client");
    const client = createClient({ url });
    return targetOf(libsqlStore(client, { table }), async () => client.close());
  },
  PGlite: async (folder) => {
    const { PGlite } = await import("@electric-sql/pglite");
    const pglite = new PGlite(`${folder}/pglite`);
    return targetOf(postgresStore(pglite), () => pglite.close());
  },
  D1: async (folder) => {
    const { Miniflare } = await import("miniflare");
    const miniflare = new Miniflare({
      modules: true,
      script: "export default {}",
      d1Databases: { DB: "sessions" },
      d1Persist: `${folder}/d1`,
    });
    const database = await miniflare.getD1Database("DB");
    return targetOf(d1Store(database as never), () => miniflare.dispose());
  },
  "Durable Object": async (folder) => (await import("./object-target.ts")).objectTarget(folder),
  pg: (url, table) => targetOf(postgresStore(url, { table })),
  "postgres.js": async (url, table) => {
    const { default: postgres } = await import("postgres");
    const sql = postgres(url, { max: 4, onnotice: () => {} });
    return targetOf(postgresStore(sql, { table }), () => sql.end({ timeout: 1 }));
  },
  "Neon's pool": async (url, table) => {
    const { neonConfig, Pool } = await import("@neondatabase/serverless");
    const { startWebSocketProxy } = await import("../websocket-proxy.ts");
    const proxy = await startWebSocketProxy(Number(new URL(url).port));
    neonConfig.wsProxy = () => `127.0.0.1:${proxy.port}`;
    neonConfig.useSecureWebSocket = false;
    neonConfig.pipelineConnect = false;
    const pool = new Pool({ connectionString: url, max: 4 });
    pool.on("error", () => {});
    return targetOf(postgresStore(pool as never, { table }), async () => {
      await pool.end();
      await proxy[Symbol.asyncDispose]();
    });
  },
  "Bun's SQL": async (url, table) => {
    const { SQL } = await bun("bun");
    return targetOf(postgresStore(new SQL!(url), { table }));
  },
  mysql2: (url, table) => targetOf(mysqlStore(url, { table })),
  mariadb: async (url, table) => {
    const { default: mariadb } = await import("mariadb");
    const pool = mariadb.createPool({
      ...mariadbOptionsOf(url),
      connectionLimit: 4,
    });
    return targetOf(mysqlStore(pool, { table }), () => pool.end());
  },
};
