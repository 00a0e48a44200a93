/**
 * Every database that the tests are to run on. A suite loops over `databases`, and so runs on all of them:
 *
 *     for (const database of databases) {
 *       describe(database.name, () => {
 *         it("…", async () => {
 *           await using created = await database.createStore();
 *
 * TEST_DATABASES (a comma list of sqlite, postgres, mysql, mariadb) narrows them.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type { PostgresEngine } from "../../src/sql/postgres/engine.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import type { PostgresStoreOptions } from "../../src/sql/postgres/store.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { chosenDatabases, sqliteDrivers } from "./chosen.ts";
import { distribute } from "./cluster.ts";
import type { DatabaseName } from "./chosen.ts";
import { execute } from "./execute.ts";

export type { DatabaseName } from "./chosen.ts";
export { execute } from "./execute.ts";

export interface CreatedStore extends AsyncDisposable {
  readonly store: SessionStore;
  /** The sessions' table. */
  readonly table: string;
  /** The same tables through a pool or handle of their own, as another process would have them. */
  another(): SessionStore;
  /** Closes the stores and drops the tables. */
  drop(): Promise<void>;
}

export interface TestDatabase {
  /** As a test's name says it: sqlite through two drivers counts as two. */
  readonly name: DatabaseName | "better-sqlite3";
  readonly kind: DatabaseName;
  /** The server's URL; for SQLite null. */
  readonly url: string | null;
  /** A store on tables of its own, not yet migrated. */
  createStore(options?: PostgresStoreOptions): Promise<CreatedStore>;
}

export const databases: readonly TestDatabase[] = chosenDatabases().flatMap((kind): TestDatabase[] =>
  kind === "sqlite" ? sqliteDrivers.map(sqlite) : [server(kind)],
);

function sqlite(driver: "node:sqlite" | "better-sqlite3"): TestDatabase {
  return {
    name: driver === "node:sqlite" ? "sqlite" : driver,
    kind: "sqlite",
    url: null,
    async createStore() {
      const folder = mkdtempSync(join(tmpdir(), "stored-session-"));
      const open = (): SessionStore => sqliteStore(join(folder, "sessions.sqlite3"), { driver });
      return created(open, "stored_sessions", async () => rmSync(folder, { recursive: true, force: true }));
    },
  };
}

function server(kind: Exclude<DatabaseName, "sqlite">): TestDatabase {
  const url = inject("servers")[kind];
  if (url === undefined)
    throw new Error(`No ${kind} server. Run vitest with test/servers/global-setup.ts as globalSetup.`);
  return serverAt(kind, url, {}, kind === "postgres" ? inject("postgresEngine") : "postgres");
}

/** A server by its URL, or what stands in front of it. */
export function serverAt(
  kind: Exclude<DatabaseName, "sqlite">,
  url: string,
  defaults: PostgresStoreOptions = {},
  served: PostgresEngine = "postgres",
): TestDatabase {
  return {
    name: kind,
    kind,
    url,
    async createStore(options = {}) {
      const table = `t_${randomBytes(8).toString("hex")}`;
      const known = served === "postgres" ? {} : { engine: served };
      const { engine, ...others } = { poolSize: 8, ...known, ...defaults, ...options };
      const settings = { table, ...others };
      const open = (): SessionStore =>
        kind === "postgres"
          ? distributing(
              url,
              served === "citus" ? engine : undefined,
              table,
              postgresStore(url, { ...settings, ...(engine && { engine }) }),
            )
          : mysqlStore(url, settings);
      return created(open, table, () => dropTables(url, kind, table));
    },
  };
}

/** On Citus, a table that `migrate` has made is made distributed before it is used. */
function distributing(
  url: string,
  engine: PostgresEngine | undefined,
  table: string,
  store: SqlStore,
): SqlStore {
  if (engine !== "citus") return store;
  const migrate = store.migrate.bind(store);
  store.migrate = async () => {
    await migrate();
    await distribute(url, engine, table);
  };
  return store;
}

function created(open: () => SessionStore, table: string, dropAll: () => Promise<void>): CreatedStore {
  const opened = [open()];
  let dropped: Promise<void> | null = null;
  const drop = (): Promise<void> => {
    dropped ??= Promise.all(opened.map((store) => store.close())).then(dropAll);
    return dropped;
  };
  return {
    store: opened[0] as SessionStore,
    table,
    another() {
      const store = open();
      opened.push(store);
      return store;
    },
    drop,
    [Symbol.asyncDispose]: drop,
  };
}

/** What the names of all tables end with, after that of the sessions' table. */
export const SUFFIXES = [
  "",
  "_leases",
  "_migrations",
  "_imports",
  "_audit",
  "_audit_subjects",
  "_audit_checkpoints",
  "_audit_days",
  "_links",
];

async function dropTables(url: string, kind: DatabaseName, table: string): Promise<void> {
  const tables = SUFFIXES.map((suffix) => table + suffix);
  await execute(url, kind, `DROP TABLE IF EXISTS ${tables.join(", ")}`);
}
