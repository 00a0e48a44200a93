/** The gem's table on every database, and what the gem itself does to it. */
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { railsStore, type RailsStore } from "../../src/rails/index.ts";
import { databases, execute, type TestDatabase } from "../servers/databases.ts";

/** Runs one statement on a connection that is not the store's. Values take the place of `?`. */
export type Ask = (text: string, values?: unknown[]) => Promise<Record<string, unknown>[]>;

export interface RailsTable {
  readonly store: RailsStore;
  /** Another store on the same table, as in another process. */
  another(): RailsStore;
  readonly table: string;
  readonly ask: Ask;
  drop(): Promise<void>;
}

export { databases, type TestDatabase };

/** An empty table of the gem's, made by `migrate` unless `make` makes another one. */
export async function createTable(
  database: TestDatabase,
  make?: (ask: Ask, table: string) => Promise<void>,
): Promise<RailsTable> {
  const made = database.url === null ? onFile(database.name as "sqlite") : await onServer(database);
  if (make === undefined) await made.store.migrate();
  else await make(made.ask, made.table);
  return made;
}

function onFile(name: "sqlite" | "better-sqlite3"): RailsTable {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-rails-"));
  const path = join(folder, "production.sqlite3");
  const driver = name === "sqlite" ? ("node:sqlite" as const) : name;
  const table = "stored_sessions";
  const stores: RailsStore[] = [];
  const another = (): RailsStore => {
    const store = railsStore(path, { driver, createTable: true });
    stores.push(store);
    return store;
  };
  // One driver for one file in one process: two would drop each other's locks.
  const open = (): DatabaseSync =>
    driver === "node:sqlite"
      ? new DatabaseSync(path)
      : new (createRequire(import.meta.url)("better-sqlite3") as typeof DatabaseSync)(path);
  let handle: DatabaseSync | null = null;
  return {
    store: another(),
    another,
    table,
    async ask(text, values = []) {
      handle ??= open();
      handle.exec("PRAGMA busy_timeout = 2000");
      const statement = handle.prepare(text);
      if (/^(SELECT|PRAGMA)/i.test(text))
        return statement.all(...(values as never[])) as Record<string, unknown>[];
      statement.run(...(values as never[]));
      return [];
    },
    async drop() {
      handle?.close();
      await Promise.all(stores.map((store) => store.close()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function onServer(database: TestDatabase): Promise<RailsTable> {
  const url = database.url as string;
  const table = `r_${randomBytes(8).toString("hex")}`;
  const stores: RailsStore[] = [];
  const another = (): RailsStore => {
    const store = railsStore(url, { table, poolSize: 4, createTable: true });
    stores.push(store);
    return store;
  };
  const { ask, end } = await connect(database.kind as "postgres" | "mysql" | "mariadb", url);
  return {
    store: another(),
    another,
    table,
    ask,
    async drop() {
      await end();
      await Promise.all(stores.map((store) => store.close()));
      await execute(url, database.kind, `DROP TABLE IF EXISTS ${table}`);
    },
  };
}

async function connect(
  kind: "postgres" | "mysql" | "mariadb",
  url: string,
): Promise<{ ask: Ask; end: () => Promise<unknown> }> {
  if (kind === "postgres") {
    const { Client } = await import("pg");
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query("SET TIME ZONE 'UTC'");
    return {
      async ask(text, values = []) {
        let place = 0;
        return (
          await client.query(
            text.replaceAll("?", () => `$${++place}`),
            values,
          )
        ).rows;
      },
      end: () => client.end(),
    };
  }
  const { createConnection } = await import("mysql2/promise");
  const connection = await createConnection({ uri: url, dateStrings: true, timezone: "Z" });
  await connection.query("SET time_zone = '+00:00'");
  return {
    async ask(text, values = []) {
      const [rows] = await connection.query(text, values);
      return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
    },
    end: () => connection.end(),
  };
}

/** The gem's write: an insert that on a conflict of `sid` sets `data`, whatever is there. */
export async function gemWrites(
  { ask, table }: RailsTable,
  kind: TestDatabase["kind"],
  sid: string,
  data: Uint8Array | null,
  now: number,
): Promise<void> {
  const time = new Date(now).toISOString().replace("T", " ").slice(0, -1);
  const bytes = data === null ? null : Buffer.from(data);
  const conflict =
    kind === "mysql" || kind === "mariadb"
      ? "ON DUPLICATE KEY UPDATE updated_at = IF(data <=> VALUES(data), updated_at, VALUES(updated_at)), data = VALUES(data)"
      : `ON CONFLICT (sid) DO UPDATE SET updated_at = CASE WHEN ${table}.data ${kind === "postgres" ? "IS NOT DISTINCT FROM" : "IS"} excluded.data THEN ${table}.updated_at ELSE excluded.updated_at END, data = excluded.data`;
  await ask(`INSERT INTO ${table} (sid, data, created_at, updated_at) VALUES (?, ?, ?, ?) ${conflict}`, [
    sid,
    bytes,
    time,
    time,
  ]);
}
