/** What an import says when it fails, and what it refuses before it could do harm. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "vitest";
import { SourceTable } from "../../src/cli/import/read.ts";
import { sourceNamed } from "../../src/cli/import/sources.ts";
import { generateKey } from "../../src/index.ts";
import { Gem, railsKeys } from "../rails/gem.ts";
import { createTable } from "../rails/tables.ts";
import { databases } from "../servers/databases.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { Folder } from "./command.ts";
import { manage, visit } from "../jobs/sessions.ts";

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  const store = sqliteStore(folder.file("ours.sqlite3"));
  await store.migrate();
  await store.close();
});
afterEach(() => folder.remove());

const from = ["import", "better-sqlite3-session-store", "--from", "sqlite:old.sqlite3"];

/** The other library's table, so many of its rows no sessions. */
function writeOld(rows: number, broken = 0): void {
  const old = new DatabaseSync(folder.file("old.sqlite3"));
  old.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess TEXT, expire TEXT)");
  const end = new Date(Date.now() + 3_600_000).toISOString();
  old.exec("BEGIN");
  for (let i = 0; i < rows; i++) {
    const text = i < broken ? "no session" : '{"cookie":{}}';
    old.prepare("INSERT INTO sessions VALUES (?, ?, ?)").run(String(i).padStart(4, "0"), text, end);
  }
  old.exec("COMMIT");
  old.close();
}

/** Our table takes no more than so many rows. */
function stickAt(rows: number): void {
  const ours = new DatabaseSync(folder.file("ours.sqlite3"));
  ours.exec(`CREATE TRIGGER stuck BEFORE INSERT ON stored_sessions
    WHEN (SELECT COUNT(*) FROM stored_sessions) >= ${rows} BEGIN SELECT RAISE(ABORT, 'stuck'); END`);
  ours.close();
}

test("import: a page fails → not counted, and no row is left out without a reason", async () => {
  writeOld(20, 3);
  stickAt(12);
  const { code, out, err } = await folder.run(...from, "--batch-size", "5");
  assert.equal(code, 1);
  // 2 of the first page, then two pages of 5; the fourth fails.
  assert.match(out, /^Imported 12 of 15 sessions, none with a user; left out 3: 3 unreadable\./);
  assert.match(err, /^Error: .*stuck/);
  const again = await folder.run(...from, "--batch-size", "50");
  assert.equal(again.out, "", "nothing is known of the only page");
});

test("import: reading fails after some rows were imported → the error says that they stay", async () => {
  writeOld(20);
  const source = sourceNamed("better-sqlite3-session-store");
  const open = () => SourceTable.open({ url: "sqlite:old.sqlite3", source, lifetime: 0, cwd: folder.path });
  const lose = () => {
    const old = new DatabaseSync(folder.file("old.sqlite3"));
    old.exec("DROP TABLE sessions");
    old.close();
  };
  const table = open();
  const total = await table.count();
  const pages = table.pages(5);
  await pages.next();
  lose();
  const stays = /could not be read: no such table.*What was imported until then stays: run the import again/;
  await assert.rejects(pages.next(), stays);
  await assert.rejects(table.assertWhole(20, total), stays);
  await table.close();
  const other = open();
  await assert.rejects(other.count(), /give it with --from-table\. Nothing was changed\./);
  await other.close();
});

test("import: rows are lost, and others have one id in two types → reported as missed", async () => {
  const old = new DatabaseSync(folder.file("old.sqlite3"));
  old.exec("CREATE TABLE sessions (sid, sess TEXT, expire TEXT)");
  const insert = old.prepare("INSERT INTO sessions VALUES (?, '{}', '')");
  // The page ends with the number 2; every text is greater than "2" but "1", and 3 is no text.
  for (const sid of [1, 1, 1, 2, 3, "9", "9"]) insert.run(sid);
  const source = sourceNamed("better-sqlite3-session-store");
  const read = async (size: number) => {
    const table = SourceTable.open({ url: "sqlite:old.sqlite3", source, lifetime: 0, cwd: folder.path });
    try {
      const total = await table.count();
      let rows = 0;
      for await (const page of table.pages(size)) rows += page.length;
      assert.ok(rows >= total, "by their number alone none would be missed");
      await table.assertWhole(table.met, total);
    } finally {
      await table.close();
    }
  };
  await assert.rejects(read(4), /Only 3 of 4 rows/);
  await read(100);
  old.exec("DELETE FROM sessions");
  for (const sid of [1, "1"]) insert.run(sid);
  await read(100);
  old.close();
});

/** The other library's table with a session under each of these ids, which are SQL. */
function writeIds(...ids: string[]): void {
  const old = new DatabaseSync(folder.file("old.sqlite3"));
  old.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess TEXT, expire TEXT)");
  const end = new Date(Date.now() + 3_600_000).toISOString();
  for (const id of ids) old.exec(`INSERT INTO sessions VALUES (${id}, '{"cookie":{}}', '${end}')`);
  old.close();
}

test.each(["1", "2", "500"])(
  "import: SQLite rows whose ids are bytes → left out, in pages of %s",
  async (size) => {
    // Those of which one would be the text of another, and those that are no text, are rows of their own.
    writeIds("'a'", "'b'", "x'61'", "x'62'", "x'fd'", "x'fe'", "x'ff'");
    const { code, out } = await folder.run(...from, "--batch-size", size);
    assert.match(
      out,
      /^Imported 2 of 7 sessions, none with a user; left out 5: 5 unreadable\.\n {2}[\w-]{43} unreadable: its id is bytes, and no text\n/,
    );
    assert.equal(code, 0);
  },
);

test("import: a page ends with the id it began with → an error instead of an endless loop", async () => {
  // As text the byte that is no text has another code, before which it stands.
  writeIds("'a'", "CAST(x'61ff' AS TEXT)", "'z'");
  const { code, out, err } = await folder.run(...from, "--batch-size", "1");
  assert.match(err, /could not be read to its end: its database returns the last session again and again/);
  assert.match(out, /^Imported 2 of 2 sessions/);
  assert.equal(code, 1);
});

test("import: another `app` than that of the stored sessions → refused before it writes", async () => {
  const keys = folder.env["STORED_SESSION_KEYS"]!;
  const sessions = manage(sqliteStore(folder.file("ours.sqlite3")), keys, { app: "shop" });
  await visit(sessions, "anna");
  await sessions.close();
  writeOld(3);
  const { code, out, err } = await folder.run(...from);
  assert.deepEqual([code, out], [2, ""]);
  assert.match(err, /None of the stored sessions can be opened\..*`app`/);
  assert.equal((await folder.json("count")).live, 1);
});

test("import: a memoryStore → refused, because it ends with the command", async () => {
  writeOld(3);
  const module = JSON.stringify(new URL("../../src/index.ts", import.meta.url).href);
  writeFileSync(
    folder.file("memory.mjs"),
    `import { memoryStore } from ${module};
export default { store: memoryStore(), keys: process.env.STORED_SESSION_KEYS };`,
  );
  for (const library of [from, ["import", "stored_session"]]) {
    const { code, out, err } = await folder.run(...library, "--config", "memory.mjs");
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, /has a memoryStore, whose sessions would end with this command/);
  }
});

test("import: an unknown library → an error that lists the known ones", async () => {
  const { code, err } = await folder.run("import", "nope");
  assert.equal(code, 2);
  assert.match(err, /"nope" cannot be imported\. Use one of connect-redis, .*, stored_session\./);
});

const sqlite = databases.find(({ name }) => name === "sqlite");
describe.runIf(sqlite !== undefined)("from the table of Rails", () => {
  test("an import fails in the middle → the output says what it did", async () => {
    const held = await createTable(sqlite!);
    try {
      const gem = new Gem(held, "sqlite", Date.now);
      for (let i = 0; i < 18; i++) await gem.write(i.toString(16).padStart(32, "0"), { user_id: i });
      await gem.write("aa".repeat(16), {});
      stickAt(14);
      const [file] = await held.ask("PRAGMA database_list");
      folder.env["STORED_SESSION_RAILS_PRIMARY_KEY"] = railsKeys.primaryKey;
      folder.env["STORED_SESSION_RAILS_KEY_DERIVATION_SALT"] = railsKeys.keyDerivationSalt;
      const rails = ["import", "stored_session", "--from", `sqlite:${String(file!["file"])}`];
      const { code, out, err } = await folder.run(
        ...rails,
        "--user-key",
        "user_id",
        "--batch-size",
        "7",
        "--json",
      );
      assert.equal(code, 1);
      assert.match(err, /stuck/);
      const tally = JSON.parse(out);
      const stored = (await folder.json("count")).live;
      assert.deepEqual([tally.imported, tally.withUser, tally.finished], [stored, stored, false]);
      assert.ok(stored >= 13 && stored <= 14);
      assert.equal(tally.read, 14);
    } finally {
      await held.drop();
    }
  });
});
