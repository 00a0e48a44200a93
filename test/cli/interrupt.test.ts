/** Ctrl-C ends long work between two batches, also where the database answers without a turn of the event loop. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Gem, railsKeys } from "../rails/gem.ts";
import { createTable } from "../rails/tables.ts";
import { databases } from "../servers/databases.ts";
import { Folder } from "./command.ts";

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  const store = sqliteStore(folder.file("ours.sqlite3"));
  await store.migrate();
  await store.close();
});
afterEach(() => folder.remove());

/** A configuration in which the process is sent a signal when its store is first asked for this. */
function signalAt(method: "takeOver" | "scanInfo" | "delete", signal: "SIGINT" | "SIGTERM"): void {
  const module = JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).href);
  writeFileSync(
    folder.file("stored-session.config.mjs"),
    `import { sqliteStore } from ${module};
const store = sqliteStore("ours.sqlite3");
const asked = store.${method}.bind(store);
let sent = false;
store.${method} = (...args) => {
  if (!sent) process.kill(process.pid, ${JSON.stringify(signal)});
  sent = true;
  return asked(...args);
};
export default { store, keys: process.env.STORED_SESSION_KEYS };`,
  );
}

test.each(["SIGINT", "SIGTERM"] as const)("%s stops an import, SQLite on both sides", async (signal) => {
  signalAt("takeOver", signal);
  const old = new DatabaseSync(folder.file("old.sqlite3"));
  old.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess TEXT, expire TEXT)");
  const end = new Date(Date.now() + 3_600_000).toISOString();
  const insert = old.prepare("INSERT INTO sessions VALUES (?, ?, ?)");
  old.exec("BEGIN");
  for (let i = 0; i < 1_000; i++) insert.run(`session ${i}`, '{"cookie":{}}', end);
  old.exec("COMMIT");
  old.close();
  const args = ["import", "better-sqlite3-session-store", "--from", "sqlite:old.sqlite3"];
  const { code, out, err } = await folder.run(...args, "--batch-size", "5", "--json");
  assert.match(err, /Stopping after this batch[^]*Run it again to go on/);
  assert.equal(code, 130);
  const { read, imported, finished } = JSON.parse(out);
  assert.ok(imported === read && imported > 0 && imported < 1_000, out);
  assert.equal(finished, false);
});

const sqlite = databases.find(({ name }) => name === "sqlite");
test.runIf(sqlite !== undefined)("SIGINT stops an import from the table of Rails", async () => {
  signalAt("takeOver", "SIGINT");
  const held = await createTable(sqlite!);
  try {
    const gem = new Gem(held, "sqlite", Date.now);
    for (let i = 0; i < 100; i++) await gem.write(i.toString(16).padStart(32, "0"), { user_id: i });
    const [file] = await held.ask("PRAGMA database_list");
    folder.env["STORED_SESSION_RAILS_PRIMARY_KEY"] = railsKeys.primaryKey;
    folder.env["STORED_SESSION_RAILS_KEY_DERIVATION_SALT"] = railsKeys.keyDerivationSalt;
    const args = ["import", "stored_session", "--from", `sqlite:${String(file!["file"])}`];
    const { code, out } = await folder.run(...args, "--batch-size", "1", "--json");
    assert.equal(code, 130);
    const { imported } = JSON.parse(out);
    assert.ok(imported > 0 && imported < 100, out);
  } finally {
    await held.drop();
  }
});

test.each([
  ["stats", "scanInfo"],
  ["expire --dry-run", "scanInfo"],
  ["keys status", "scanInfo"],
  ["revoke --all --yes", "delete"],
] as const)("SIGINT stops %s", async (command, method) => {
  const sessions = manage(sqliteStore(folder.file("ours.sqlite3")), folder.env["STORED_SESSION_KEYS"]!);
  await visit(sessions, "anna");
  await sessions.close();
  const ours = new DatabaseSync(folder.file("ours.sqlite3"));
  const names = ours.prepare("SELECT name FROM pragma_table_info('stored_sessions')").all();
  const values = names.map(({ name }) => (name === "id" ? "randomblob(32)" : String(name)));
  ours.exec(`WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
    INSERT INTO stored_sessions SELECT ${values.join(", ")} FROM stored_sessions, numbers`);
  ours.close();
  signalAt(method, "SIGINT");
  const { code, err } = await folder.run(...command.split(" "));
  assert.match(err, /Stopped before the end/);
  assert.equal(code, 130);
  if (method === "delete") assert.ok((await folder.json("count")).live > 0);
});
