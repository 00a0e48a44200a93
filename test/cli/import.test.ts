import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import knex from "knex";
import mysql from "mysql2/promise";
import pg from "pg";
import { afterEach, beforeEach, describe, inject, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { generateKey } from "../../src/index.ts";
import { SourceTable } from "../../src/cli/import/read.ts";
import { sourceNamed } from "../../src/cli/import/sources.ts";
import { recordsOf } from "../../src/manager.ts";
import { rowIdOf } from "../../src/session/token.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type {} from "../servers/global-setup.ts";
import { manage } from "../jobs/sessions.ts";
import { Folder } from "./command.ts";
import { idIn, logIn, serve, type Store } from "./old-application.ts";

// These packages come without types.
const require = createRequire(import.meta.url);
const BetterSqlite3 = require("better-sqlite3");
const expressSession = require("express-session");
const keys = generateKey();

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = keys;
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  assert.equal((await folder.run("migrate")).code, 0);
});
/** The other library's, closed where a test fails as well: connect-pg-simple's index has one name for all tables. */
let opened: { close(): Promise<void> } | null = null;
afterEach(async () => {
  await opened?.close();
  opened = null;
  folder.remove();
});

/** The ids in the ledger of imports, and nothing but ids; null where there is none. */
function ledger(): string[] | null {
  const ours = new DatabaseSync(folder.file("ours.sqlite3"), { readOnly: true });
  try {
    const columns = ours.prepare("SELECT name FROM pragma_table_info('stored_sessions_imports')").all();
    if (columns.length === 0) return null;
    assert.deepEqual(
      columns.map(({ name }) => name),
      ["id"],
    );
    const ids = ours.prepare("SELECT hex(id) AS id FROM stored_sessions_imports").all();
    return ids.map(({ id }) => String(id).toLowerCase()).toSorted();
  } finally {
    ours.close();
  }
}

interface Library {
  name: string;
  /** A store of the real package on a new table; null where its server is not there. */
  open(): Promise<{
    store: Store;
    url: string;
    table: string;
    write(sid: string, text: string): Promise<void>;
    close(): Promise<void>;
  } | null>;
}

const table = () => `old_${randomBytes(6).toString("hex")}`;

const libraries: Library[] = [
  {
    name: "better-sqlite3-session-store",
    async open() {
      const client = new BetterSqlite3(folder.file("old.sqlite3"));
      const SqliteStore = require("better-sqlite3-session-store")(expressSession);
      const store = new SqliteStore({ client, expired: { clear: true, intervalMs: 2 ** 30 } });
      return {
        store,
        url: "sqlite:old.sqlite3",
        table: "sessions",
        async write(sid, text) {
          const end = new Date(Date.now() + 3_600_000).toISOString();
          client.prepare("INSERT INTO sessions VALUES (?, ?, ?)").run(sid, text, end);
        },
        close: async () => void client.close(),
      };
    },
  },
  {
    name: "connect-pg-simple",
    async open() {
      const url = inject("servers").postgres;
      if (url === undefined) return null;
      const tableName = table();
      const pool = new pg.Pool({ connectionString: url });
      const PgStore = require("connect-pg-simple")(expressSession);
      const store = new PgStore({ pool, tableName, createTableIfMissing: true, pruneSessionInterval: false });
      return {
        store,
        url,
        table: tableName,
        async write(sid, text) {
          await pool.query(`INSERT INTO ${tableName} VALUES ($1, $2, now() + interval '1 hour')`, [
            sid,
            JSON.stringify(text),
          ]);
        },
        async close() {
          await pool.query(`DROP TABLE ${tableName}`);
          await pool.end();
        },
      };
    },
  },
  {
    name: "express-mysql-session",
    async open() {
      const url = inject("servers").mysql ?? inject("servers").mariadb;
      if (url === undefined) return null;
      const tableName = table();
      const pool = mysql.createPool(url);
      const MySQLStore = require("express-mysql-session")(expressSession);
      const store = new MySQLStore({ schema: { tableName }, clearExpired: false }, pool);
      await store.onReady();
      return {
        store,
        url,
        table: tableName,
        async write(sid, text) {
          await pool.query(`INSERT INTO ${tableName} VALUES (?, UNIX_TIMESTAMP() + 3600, ?)`, [sid, text]);
        },
        async close() {
          await pool.query(`DROP TABLE ${tableName}`);
          await pool.end();
        },
      };
    },
  },
  ...(["sqlite", "postgres", "mysql"] as const).map((kind): Library => ({
    name: `connect-session-knex`,
    async open() {
      const url = kind === "sqlite" ? "sqlite:old.sqlite3" : inject("servers")[kind];
      if (url === undefined) return null;
      const tableName = table();
      const database = knex({
        client: { sqlite: "better-sqlite3", postgres: "pg", mysql: "mysql2" }[kind],
        connection: kind === "sqlite" ? { filename: folder.file("old.sqlite3") } : url,
        useNullAsDefault: true,
      });
      const { ConnectSessionKnexStore } = require("connect-session-knex");
      const store = new ConnectSessionKnexStore({
        knex: database,
        tableName,
        createTable: true,
        cleanupInterval: 0,
      });
      return {
        store,
        url,
        table: tableName,
        async write(sid, text) {
          const expired = new Date(Date.now() + 3_600_000);
          const end =
            kind === "mysql" ? expired.toISOString().slice(0, 19).replace("T", " ") : expired.toISOString();
          await database(tableName).insert({
            sid,
            sess: kind === "sqlite" ? text : JSON.stringify(text),
            expired: end,
          });
        },
        async close() {
          await database.schema.dropTable(tableName);
          await database.destroy();
        },
      };
    },
  })),
];

for (const [index, library] of libraries.entries()) {
  describe(`${library.name} (${index + 1})`, () => {
    test("import → the same cookies stay logged in", async (context) => {
      const old = await library.open();
      if (old === null) return context.skip("its server is not there");
      opened = old;
      const cookies = await logIn(old.store, ["anna", "bert"]);
      const sid = "text-that-is-no-session";
      await old.write(sid, "not a session {");

      const args = [
        "import",
        library.name,
        "--from",
        old.url,
        "--from-table",
        old.table,
        "--user-path",
        "passport.user",
      ];
      const tried = await folder.json(...args, "--dry-run");
      assert.deepEqual([tried.read, tried.imported, tried.withUser], [3, 2, 2]);
      assert.equal((await folder.json("count")).live, 0);
      assert.equal(ledger(), null, "a dry run makes no table");
      const first = await folder.json(...args, "--batch-size", "1");
      assert.deepEqual([first.read, first.imported, first.skipped.unreadable], [3, 2, 1]);
      assert.ok(!JSON.stringify(first).includes(sid), "the id of a session is a secret, read or not");
      const again = await folder.json(...args);
      assert.deepEqual([again.imported, again.skipped.importedBefore], [0, 2]);
      assert.equal((await folder.json(...args, "--dry-run")).skipped.importedBefore, 2);
      const ids = cookies.map((cookie) => Buffer.from(rowIdOf(Buffer.from(idIn(cookie)))).toString("hex"));
      assert.deepEqual(ledger(), ids.toSorted());

      const sessions = manage(sqliteStore(folder.file("ours.sqlite3")), keys);
      const { format } = recordsOf(sessions as never).settings;
      for (const [place, user] of ["anna", "bert"].entries()) {
        const row = await recordsOf(sessions as never).store.read(
          rowIdOf(Buffer.from(idIn(cookies[place]!))),
        );
        assert.ok(row !== null);
        const { data } = format.decode(format.open(row, null));
        assert.deepEqual(data["passport"], { user });
        assert.deepEqual(data["cart"], [{ sku: "Tee für zwei", count: 2 }]);
        assert.ok(
          row.expiresAt > Date.now() + 3_400_000 && row.expiresAt <= Date.now() + 3_600_000,
          "it ends when it would have",
        );
        assert.equal((await sessions.forUser(user).list()).length, 1);
      }
      await sessions.close();

      // The application with the drop-in in the place of its old store, and the cookies of before.
      const store = new StoredSessionStore({
        store: sqliteStore(folder.file("ours.sqlite3")),
        keys,
        userOf: (data) => (data["passport"] as { user?: string } | undefined)?.user,
      });
      const { url, close } = await serve(store);
      for (const [place, user] of ["anna", "bert"].entries()) {
        const response = await fetch(url, { headers: { cookie: cookies[place]! } });
        assert.deepEqual(await response.json(), { user, cart: [{ sku: "Tee für zwei", count: 2 }] });
      }
      assert.equal(((await (await fetch(url)).json()) as { user: unknown }).user, null);

      // Promise 3: what ended after the switch stays ended, however often the import is run.
      assert.equal((await folder.json("erase", "--user", "anna", "--yes")).erased, 1);
      const late = await folder.json(...args);
      assert.deepEqual([late.read, late.imported, late.skipped.importedBefore], [3, 0, 2]);
      const users = cookies.map(async (cookie) => {
        const response = await fetch(url, { headers: { cookie } });
        return ((await response.json()) as { user: unknown }).user;
      });
      assert.deepEqual(await Promise.all(users), [null, "bert"]);
      await close();
      await store.close();
    });
  });
}

/** Alphabets in which `_`, `-`, capitals and digits stand in other orders than in the text of the answer. */
const orders = [
  ["sqlite", "NOCASE"],
  ["mysql", "utf8mb4_bin"],
  ["mysql", "utf8mb4_general_ci"],
  ["mysql", "latin1_swedish_ci"],
  ["mariadb", "utf8mb4_bin"],
  ["mariadb", "utf8mb4_unicode_ci"],
] as const;

describe.each(orders)("a table of many pages, %s %s", (kind, collation) => {
  test("any order of the database → every row is read", async (context) => {
    const url = kind === "sqlite" ? "sqlite:old.sqlite3" : inject("servers")[kind];
    if (url === undefined) return context.skip("its server is not there");
    const tableName = table();
    const file = folder.file("old.sqlite3");
    const database = knex({
      client: kind === "sqlite" ? "better-sqlite3" : "mysql2",
      connection: kind === "sqlite" ? { filename: file } : url,
      useNullAsDefault: true,
    });
    try {
      if (kind === "sqlite") {
        await database.raw(
          `CREATE TABLE ${tableName} (sid varchar(255) COLLATE NOCASE PRIMARY KEY, sess json NOT NULL, expired datetime NOT NULL)`,
        );
      } else {
        const { ConnectSessionKnexStore } = require("connect-session-knex");
        const store = new ConnectSessionKnexStore({ knex: database, tableName, cleanupInterval: 0 });
        await new Promise((resolve) => store.get("nobody", resolve));
        const [characters] = collation.split("_");
        await database.raw(
          `ALTER TABLE ${tableName} CONVERT TO CHARACTER SET ${characters} COLLATE ${collation}`,
        );
      }
      const expired = new Date(Date.now() + 3_600_000).toISOString().slice(0, 19).replace("T", " ");
      const rows = Array.from({ length: 160 }, (_, i) => ({
        sid: `${"_-09aAzZ"[i % 8]}${"_zA5-Z0a"[(i >> 3) % 8]}${i}`,
        sess: JSON.stringify({ cookie: {}, place: i }),
        expired,
      }));
      await database(tableName).insert(rows);
      const args = ["import", "connect-session-knex", "--from", url, "--from-table", tableName];
      const tally = await folder.json(...args, "--batch-size", "7");
      assert.deepEqual([tally.read, tally.imported, tally.withUser], [160, 160, 0]);
      assert.equal((await folder.json("count")).live, 160);
    } finally {
      await database.schema.dropTable(tableName);
      await database.destroy();
    }
  });
});

test("import: rows were not read → an error, unless they are gone", async () => {
  const old = new DatabaseSync(folder.file("old.sqlite3"));
  old.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess TEXT, expired TEXT)");
  for (const sid of ["a", "b", "c"]) old.prepare("INSERT INTO sessions VALUES (?, '{}', '')").run(sid);
  const source = sourceNamed("connect-session-knex");
  const sourceTable = SourceTable.open({ url: "sqlite:old.sqlite3", source, lifetime: 0, cwd: folder.path });
  await sourceTable.assertWhole(3, 3);
  await assert.rejects(sourceTable.assertWhole(2, 3), /Only 2 of 3 rows of connect-session-knex were read/);
  old.exec("DELETE FROM sessions WHERE sid = 'c'");
  await sourceTable.assertWhole(2, 3);
  await sourceTable.close();
  old.close();
});

test.each(["timestamp(6)", "timestamptz"])(
  "activerecord-session_store on PostgreSQL: %s in any time zone of the connection → read as UTC",
  async (type) => {
    const url = inject("servers").postgres;
    if (url === undefined) return;
    const tableName = table();
    const pool = new pg.Pool({ connectionString: url });
    try {
      await pool.query(
        `CREATE TABLE ${tableName} (id bigserial PRIMARY KEY, session_id varchar NOT NULL UNIQUE, data text, created_at ${type} NOT NULL, updated_at ${type} NOT NULL)`,
      );
      const sessions = manage(sqliteStore(folder.file("ours.sqlite3")), keys);
      for (const zone of ["America/New_York", "Asia/Tokyo"]) {
        // As Rails does, whose connections are in UTC.
        const at = new Date(Date.now() - 60_000);
        const text = at
          .toISOString()
          .replace("T", " ")
          .replace("Z", type === "timestamptz" ? "+00" : "");
        await pool.query(
          `INSERT INTO ${tableName} (session_id, data, created_at, updated_at) VALUES ($1, $2, $3, $3)`,
          [zone, "{}", text],
        );
        const from = `${url}${url.includes("?") ? "&" : "?"}options=${encodeURIComponent(`-c TimeZone=${zone}`)}`;
        const args = ["activerecord-session_store", "--from", from, "--from-table", tableName];
        const tally = await folder.json("import", ...args, "--lifetime", "1 h");
        assert.equal(tally.imported, 1);
        const row = await recordsOf(sessions as never).store.read(rowIdOf(Buffer.from(zone)));
        assert.equal(row?.expiresAt, at.getTime() + 3_600_000);
      }
      await sessions.close();
    } finally {
      await pool.query(`DROP TABLE IF EXISTS ${tableName}`);
      await pool.end();
    }
  },
);

test("activerecord-session_store with JSON: readable rows → imported, by the id in their table", async () => {
  const old = new DatabaseSync(folder.file("rails.sqlite3"));
  old.exec(
    `CREATE TABLE sessions (id INTEGER PRIMARY KEY, session_id varchar NOT NULL, data text, created_at datetime NOT NULL, updated_at datetime NOT NULL)`,
  );
  const write = (id: string, data: string, ago: number) => {
    const at = new Date(Date.now() - ago).toISOString().replace("T", " ").replace("Z", "");
    old
      .prepare("INSERT INTO sessions (session_id, data, created_at, updated_at) VALUES (?, ?, ?, ?)")
      .run(id, data, at, at);
  };
  write("2::aaaa", '{"user_id":7,"flash":{"notice":"hi"}}', 60_000);
  write("2::bbbb", "BAh7B0kiDHVzZXJfaWQGOgZFVGkM", 60_000); // a marshalled session
  write("2::cccc", '{"user_id":8}', 40 * 86_400_000);
  old.close();
  const args = ["import", "activerecord-session_store", "--user-path"];
  // The address may hold a password, so it is taken from the environment as well, or from .env.
  writeFileSync(folder.file(".env"), "STORED_SESSION_IMPORT_URL=sqlite:rails.sqlite3\n");
  const wrong = await folder.run(...args, "user.id", "--dry-run");
  assert.match(
    wrong.out,
    /^Would import 1 of 3 sessions, none with a user; left out 2: 1 ended, 1 unreadable\./,
  );
  const tally = await folder.json(...args, "user_id");
  assert.deepEqual([tally.imported, tally.withUser], [1, 1]);
  assert.deepEqual([tally.skipped.unreadable, tally.skipped.ended], [1, 1]);
  assert.equal((await folder.json("list", "--user", "7")).sessions.length, 1);
});

test("an impossible import → one sentence, and nothing changed", async () => {
  const refused = async (args: string[], code: number, sentence: RegExp) => {
    const answer = await folder.run("import", ...args);
    assert.equal(answer.code, code, answer.err);
    assert.match(answer.err, sentence);
    assert.equal((await folder.json("count")).live, 0);
  };
  await refused(["connect-session-knex"], 2, /Pass --from or set STORED_SESSION_IMPORT_URL/);
  await refused(["connect-mongo", "--from", "sqlite:x"], 2, /"connect-mongo" cannot be imported/);
  await refused(["connect-pg-simple", "--from", "sqlite:x"], 2, /stores sessions in postgres/);
  await refused(["connect-session-knex", "--from", "sqlite:missing.sqlite3"], 1, /There is no file/);
  await refused(
    ["connect-session-knex", "--from", "sqlite:ours.sqlite3"],
    1,
    /could not be read: no such table/,
  );
  await refused(
    ["connect-session-knex", "--from", "sqlite:ours.sqlite3", "--from-table", "a; DROP"],
    2,
    /is not a valid table name/,
  );
});

test("an import fails in the middle → the output says what it did", async () => {
  const old = new DatabaseSync(folder.file("old.sqlite3"));
  old.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess TEXT, expire TEXT)");
  const end = new Date(Date.now() + 3_600_000).toISOString();
  for (let i = 0; i < 20; i++)
    old.prepare("INSERT INTO sessions VALUES (?, ?, ?)").run(`session ${i}`, '{"cookie":{}}', end);
  old.close();
  const ours = new DatabaseSync(folder.file("ours.sqlite3"));
  ours.exec(`CREATE TRIGGER stuck BEFORE INSERT ON stored_sessions
    WHEN (SELECT COUNT(*) FROM stored_sessions) >= 15 BEGIN SELECT RAISE(ABORT, 'stuck'); END`);
  ours.close();
  const from = [
    "import",
    "better-sqlite3-session-store",
    "--from",
    "sqlite:old.sqlite3",
    "--batch-size",
    "1",
  ];
  const { code, out, err } = await folder.run(...from);
  assert.equal(code, 1);
  assert.match(out, /^Imported 15 of 15 sessions, none with a user\.$/m);
  assert.match(err, /^Error: .*stuck/);
});
