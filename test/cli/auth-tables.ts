/** The tables that Auth.js has by its Drizzle adapter, as drizzle-kit creates them, and databases for such tables. */
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import mysql from "mysql2/promise";
import pg from "pg";
import type { DatabaseName } from "../servers/chosen.ts";

const require = createRequire(import.meta.url);
const root = new URL("../../", import.meta.url).pathname;

type Kind = "sqlite" | "postgres" | "mysql";

/** The statements that create them, with `;` between. */
export async function authjsTables(kind: Kind): Promise<string> {
  const api = require("drizzle-kit/api") as Record<string, (...schemas: object[]) => object>;
  const [file, generate, migrate] = {
    sqlite: ["sqlite", "generateSQLiteDrizzleJson", "generateSQLiteMigration"],
    postgres: ["pg", "generateDrizzleJson", "generateMigration"],
    mysql: ["mysql", "generateMySQLDrizzleJson", "generateMySQLMigration"],
  }[kind] as [string, string, string];
  const { defineTables } = (await import(`${root}node_modules/@auth/drizzle-adapter/lib/${file}.js`)) as {
    defineTables(): Record<string, object>;
  };
  const before = await api[generate]!({});
  const after = await api[generate]!(defineTables());
  return ((await api[migrate]!(before, after)) as unknown as string[]).join("\n");
}

/** A database of its own for the tables of another library, whose names are the usual ones. */
export interface OwnDatabase {
  /** As `--from` takes it. */
  readonly url: string;
  /** For better-auth and for adapters. */
  readonly handle: any;
  run(statements: string): Promise<void>;
  drop(): Promise<void>;
}

/** @param url of a server; null for an SQLite file in `folder` */
export async function ownDatabase(
  kind: DatabaseName,
  url: string | null,
  folder: string,
): Promise<OwnDatabase> {
  const name = `auth_${randomBytes(6).toString("hex")}`;
  if (kind === "sqlite" || url === null) {
    const handle = new (require("better-sqlite3"))(join(folder, "auth.sqlite3"));
    return {
      url: "sqlite:auth.sqlite3",
      handle,
      run: async (statements) => handle.exec(statements),
      drop: async () => handle.close(),
    };
  }
  if (kind === "postgres") {
    const server = new pg.Pool({ connectionString: url, max: 1 });
    await server.query(`CREATE SCHEMA ${name}`);
    const own = new URL(url);
    own.searchParams.set("options", `-c search_path=${name}`);
    const handle = new pg.Pool({ connectionString: own.href, max: 2 });
    return {
      url: own.href,
      handle,
      run: async (statements) => void (await handle.query(statements.replaceAll('"public".', ""))),
      async drop() {
        await handle.end();
        await server.query(`DROP SCHEMA ${name} CASCADE`);
        await server.end();
      },
    };
  }
  const server = mysql.createPool({ uri: url, connectionLimit: 1 });
  await server.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  const handle = mysql.createPool({ uri: own.href, connectionLimit: 2, timezone: "Z" });
  return {
    url: own.href,
    handle,
    async run(statements) {
      for (const one of statements.split(";").filter((text) => text.trim() !== "")) await handle.query(one);
    },
    async drop() {
      await handle.end();
      await server.query(`DROP DATABASE ${name}`);
      await server.end();
    },
  };
}
