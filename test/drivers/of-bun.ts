/** The drivers that only Bun has, for suites that Vitest runs on Bun (`npm run test:runtimes`). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type { TestDriver } from "./drivers.ts";

interface Sql {
  unsafe(text: string): Promise<unknown>;
  end(): Promise<void>;
}

interface File {
  run(text: string): unknown;
  close(): void;
}

const load = <Exports>(name: string): Promise<Exports> => import(name) as Promise<Exports>;

const ofBun: readonly TestDriver[] = [
  {
    name: "Bun's SQL",
    fact: "Bun's SQL",
    kind: "postgres",
    connects: true,
    ends: false, // of a pool that was closed, Bun says what it says of a connection that broke
    open: async (url) => {
      const { SQL } = await load<{ SQL: new (url: string, options: object) => Sql }>("bun");
      const sql = new SQL(url, { max: 4 });
      return {
        store: (table) => postgresStore(sql as never, { table }),
        execute: (text) => sql.unsafe(text),
        close: () => sql.end(),
      };
    },
  },
  {
    name: "bun:sqlite",
    fact: "node:sqlite, better-sqlite3, bun:sqlite",
    kind: "sqlite",
    connects: false,
    open: async () => {
      const { Database } = await load<{ Database: new (path: string) => File }>("bun:sqlite");
      const folder = mkdtempSync(join(tmpdir(), "stored-session-"));
      const database = new Database(join(folder, "sessions.sqlite3"));
      return {
        store: (table) => sqliteStore(database as never, { table }),
        execute: async (text) => database.run(text),
        close: async () => {
          database.close();
          rmSync(folder, { recursive: true });
        },
      };
    },
  },
];

export const driversOfBun: readonly TestDriver[] = process.versions["bun"] === undefined ? [] : ofBun;
