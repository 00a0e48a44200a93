import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import mysql from "mysql2/promise";
import pg from "pg";
import { afterEach, beforeEach, describe, inject, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { MIGRATIONS } from "../../src/sql/migrations/migrator.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import type {} from "../servers/global-setup.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Folder } from "./command.ts";

const key = generateKey();
let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = key;
});
afterEach(() => folder.remove());

for (const kind of ["postgres", "mysql", "mariadb"] as const) {
  describe(kind, () => {
    test("every command, from an empty database to an expired session → works", async (context) => {
      const url = inject("servers")[kind];
      if (url === undefined) return context.skip("its server is not there");
      const table = `cli_${randomBytes(6).toString("hex")}`;
      const where = ["-d", url, "--table", table];
      try {
        const early = await folder.run("count", ...where);
        assert.equal(early.code, 1);
        assert.match(early.err, /migration 1 \(sessions\) is pending/);
        assert.match((await folder.run("migrate", "--print", ...where)).out, /CREATE TABLE/);
        assert.equal((await folder.run("migrate", "status", ...where)).code, 3);
        assert.match(
          (await folder.run("migrate", ...where)).out,
          new RegExp(`Ran ${MIGRATIONS.length} migration`),
        );
        assert.equal((await folder.run("migrate", "status", ...where)).code, 0);

        const store = (kind === "postgres" ? postgresStore : mysqlStore)(url, { table });
        const sessions = manage(store, key);
        for (let i = 0; i < 6; i++) await visit(sessions, i % 2 ? "anna" : undefined);
        const past = manage(store, key, { clock: () => Date.now() - 40 * 86_400_000 });
        for (let i = 0; i < 4; i++) await visit(past, "anna");

        const { findings } = await folder.json("check", ...where);
        const about = (name: string) => findings.filter((finding: any) => finding.about === name);
        for (const name of ["Options", "Keys", "Database", "Tables", "Writing", "Rows", "Clock"]) {
          assert.deepEqual(
            about(name).map(({ level }: any) => level),
            ["good"],
            `${name} ${JSON.stringify(about(name))}`,
          );
        }
        // R33: the settings that durability rests on are told by name, weak or not.
        const settings = JSON.stringify(about("Durability"));
        const named = kind === "postgres" ? ["synchronous_commit"] : ["innodb_flush_log_at_trx_commit"];
        for (const name of named) assert.ok(settings.includes(name), settings);
        assert.equal(about("Packets").length, kind === "postgres" ? 0 : 1);

        assert.equal((await folder.json("list", "--user", "anna", ...where)).sessions.length, 3);
        assert.equal((await folder.json("export", "--user", "anna", ...where)).sessions.length, 7);
        assert.equal((await folder.json("stats", ...where)).keys[0].live, 6);
        assert.deepEqual(await folder.json("expire", ...where), { deleted: 4, finished: true });
        const newest = generateKey();
        folder.env["STORED_SESSION_KEYS"] = `${newest},${key}`;
        assert.equal((await folder.json("reseal", ...where)).resealed, 6);
        // One under the key that was taken out, which a server may still have: it names her, and cannot be found.
        await visit(sessions, "anna");
        folder.env["STORED_SESSION_KEYS"] = newest;
        const part = await folder.run("erase", "--user", "anna", "--yes", "--json", ...where);
        assert.deepEqual(JSON.parse(part.out), { erased: 3, withoutUser: 3, underUnknownKey: 1 });
        assert.equal(part.code, 1);
        folder.env["STORED_SESSION_KEYS"] = `${newest},${key}`;
        assert.deepEqual(await folder.json("erase", "--user", "anna", "--yes", ...where), {
          erased: 1,
          withoutUser: 3,
          underUnknownKey: 0,
        });
        assert.deepEqual(await folder.json("count", ...where), { live: 3 });
        await store.close();
      } finally {
        await drop(kind, url, table);
      }
    });

    test("three migrate at once → one says that it ran the migration", async (context) => {
      const url = inject("servers")[kind];
      if (url === undefined) return context.skip("its server is not there");
      const table = `cli_${randomBytes(6).toString("hex")}`;
      try {
        const runs = [1, 2, 3].map(() => folder.spawn("migrate", "--json", "-d", url, "--table", table));
        const answers = (await Promise.all(runs)).map(
          ({ out, err }) => (assert.equal(err, ""), JSON.parse(out)),
        );
        assert.deepEqual(
          answers.flatMap(({ applied }) => applied).toSorted(),
          MIGRATIONS.map(({ version, name }) => `${version} ${name}`),
        );
      } finally {
        await drop(kind, url, table);
      }
    });

    test("a database that does not exist → says so, and not to grant rights", async (context) => {
      const url = inject("servers")[kind];
      if (url === undefined) return context.skip("its server is not there");
      const missing = new URL(url);
      missing.pathname = "/nowhere";
      for (const command of ["count", "migrate"]) {
        const { code, err } = await folder.run(command, "-d", missing.href);
        assert.equal(code, 1);
        assert.match(err, /has no database of this name \(.*nowhere.*\)\. Correct the name in the URL/);
        assert.doesNotMatch(err, /grant/i);
      }
      if (kind === "postgres") return;
      // To a user without rights, the server does not tell whether the database exists.
      const role = `reader_${randomBytes(4).toString("hex")}`;
      const table = `cli_${randomBytes(6).toString("hex")}`;
      await folder.run("migrate", "-d", url, "--table", table);
      const reader = await readerOf(kind, url, table, role);
      try {
        if (reader === null) return context.skip("this user may not make others");
        const other = new URL(reader);
        other.pathname = "/nowhere";
        const { err } = await folder.run("migrate", "-d", other.href);
        assert.match(
          err,
          /cannot use the database, or there is no database of this name .* Check the name in the URL first\./,
        );
        assert.doesNotMatch(err, /grant it/i);
      } finally {
        await drop(kind, url, table, role);
      }
    });

    test("check: the largest statement → compared with maxBytes and with a full batch", async (context) => {
      const url = inject("servers")[kind];
      if (url === undefined) return context.skip("its server is not there");
      if (kind === "postgres") return context.skip("it has no such limit");
      const source = (file: string) => JSON.stringify(new URL(`../../src/sql/${file}`, import.meta.url).href);
      const packets = async (maxBytes: number) => {
        writeFileSync(
          folder.file("stored-session.config.mjs"),
          `import { mysqlStore } from ${source("mysql/store.ts")};
          export default { store: mysqlStore(${JSON.stringify(url)}), keys: process.env.STORED_SESSION_KEYS, maxBytes: ${maxBytes} };`,
        );
        const { findings } = JSON.parse((await folder.run("check", "--json")).out);
        return findings.find(({ about }: any) => about === "Packets");
      };
      const [row] = await inMysql(url, ["SELECT @@max_allowed_packet AS packet"]);
      const largest = Number(row!["packet"]);
      assert.equal((await packets(1_048_576)).level, "good");
      const { level, message } = await packets(largest);
      assert.equal(level, "warning");
      assert.match(message, /too small for a session of maxBytes/);
    });

    test("a role that may only read → one sentence, and no change", async (context) => {
      const url = inject("servers")[kind];
      if (url === undefined) return context.skip("its server is not there");
      const table = `cli_${randomBytes(6).toString("hex")}`;
      const role = `reader_${randomBytes(4).toString("hex")}`;
      try {
        const store = (kind === "postgres" ? postgresStore : mysqlStore)(url, { table });
        await store.migrate();
        const sessions = manage(store, key);
        const past = manage(store, key, { clock: () => Date.now() - 40 * 86_400_000 });
        for (const one of [sessions, past]) await visit(one, "anna");
        const reader = await readerOf(kind, url, table, role);
        if (reader === null) return context.skip("this user may not make others");
        const where = ["-d", reader, "--table", table];
        assert.deepEqual(await folder.json("count", ...where), { live: 1 });
        for (const command of [
          ["expire"],
          ["revoke", "--user", "anna"],
          ["revoke", "--all", "--yes"],
          ["erase", "-u", "anna", "-y"],
        ]) {
          const { code, err, out } = await folder.run(...command, ...where);
          assert.equal(code, 1, `${command.join(" ")}: ${err}`);
          assert.match(err, /^Error: [^\n]+\n$/);
          assert.equal(out, "");
        }
        const { out, code } = await folder.run("check", ...where);
        assert.equal(code, 1);
        assert.match(out, /✗ Writing/);
        // A role that may take leases and read sessions passes for one that may write as little.
        await grant(kind, url, `${table}_leases`, "INSERT, UPDATE", role);
        assert.match((await folder.run("check", ...where)).out, /✗ Writing.*Grant it/);
        await grant(kind, url, table, "INSERT, UPDATE", role);
        assert.match((await folder.run("check", ...where)).out, /✗ Writing.*Grant it/);
        await grant(kind, url, table, "DELETE", role);
        assert.match((await folder.run("check", ...where)).out, /✓ Writing/);
        assert.equal((await sessions.stats()).total, 2);
        await store.close();
      } finally {
        await drop(kind, url, table, role);
      }
    });
  });
}

const audit = ["_audit", "_audit_checkpoints", "_audit_days", "_audit_subjects"];
const suffixes = ["", "_leases", "_migrations", "_links", ...audit];

async function readerOf(kind: string, url: string, table: string, role: string): Promise<string | null> {
  const address = new URL(url);
  address.username = role;
  address.password = "reading";
  const tables = suffixes.map((suffix) => table + suffix);
  try {
    if (kind === "postgres") {
      await inPostgres(url, [
        `CREATE ROLE ${role} LOGIN PASSWORD 'reading'`,
        ...tables.map((name) => `GRANT SELECT ON ${name} TO ${role}`),
      ]);
    } else {
      const database = address.pathname.slice(1);
      await inMysql(url, [
        `CREATE USER '${role}'@'%' IDENTIFIED BY 'reading'`,
        ...tables.map((name) => `GRANT SELECT ON ${database}.${name} TO '${role}'@'%'`),
      ]);
    }
  } catch (error) {
    if (/denied|privilege/i.test((error as Error).message)) return null;
    throw error;
  }
  return address.href;
}

async function grant(kind: string, url: string, table: string, what: string, role: string): Promise<void> {
  const to = kind === "postgres" ? role : `'${role}'@'%'`;
  const work = kind === "postgres" ? inPostgres : inMysql;
  await work(url, [`GRANT ${what} ON ${table} TO ${to}`]);
}

async function inPostgres(url: string, statements: string[]): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

/** The rows of the last statement. */
async function inMysql(url: string, statements: string[]): Promise<Record<string, unknown>[]> {
  const connection = await mysql.createConnection(url);
  try {
    let rows: unknown = [];
    for (const statement of statements) [rows] = await connection.query(statement);
    return rows as Record<string, unknown>[];
  } finally {
    await connection.end();
  }
}

async function drop(kind: string, url: string, table: string, role?: string): Promise<void> {
  const statements = suffixes.map((suffix) => `DROP TABLE IF EXISTS ${table}${suffix}`);
  if (kind === "postgres")
    await inPostgres(url, [...statements, ...(role ? [`DROP ROLE IF EXISTS ${role}`] : [])]);
  else {
    await inMysql(url, statements);
    if (role) await inMysql(url, [`DROP USER IF EXISTS '${role}'@'%'`]).catch(() => {});
  }
}
