/** After a leak the old key is out of the ring: no command may advise to put it back without more. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Folder } from "./command.ts";

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
  assert.equal((await folder.run("migrate")).code, 0);
});
afterEach(() => folder.remove());

async function visits(key: string, ...users: string[]): Promise<void> {
  const sessions = manage(sqliteStore(folder.file("sessions.sqlite3")), key);
  for (const user of users) await visit(sessions, user);
  await sessions.close();
}

const commands = [
  ["keys", "status"],
  ["check"],
  ["list", "--user", "42"],
  ["revoke", "--user", "42"],
  ["erase", "--user", "42", "--yes"],
  ["export", "--user", "42"],
];
const advice =
  /If you removed it on purpose, such as after a leak, leave it out: .*"stored-session expire" deletes them when they end\. "stored-session revoke --all" deletes every session now, which logs everybody out\./;

test("leaked key: rows under it and under the new key → every command says to leave it out, and what revoke --all does", async () => {
  const [leaked, fresh] = [generateKey(), generateKey()];
  await visits(leaked, "42", "7");
  await visits(fresh, "8");
  folder.env["STORED_SESSION_KEYS"] = fresh;
  for (const command of commands) {
    const { out, err, code } = await folder.run(...command);
    assert.match(out + err, advice, command.join(" "));
    if (command.includes("--user")) assert.equal(code, 1, "as the incident guide says");
  }
});

test("leaked key: all rows under it → every command says so, and revoke --all works without it", async () => {
  const [leaked, fresh] = [generateKey(), generateKey()];
  await visits(leaked, "42", "7");
  folder.env["STORED_SESSION_KEYS"] = fresh;
  for (const command of [...commands, ["list"], ["reseal"]]) {
    const { out, err, code } = await folder.run(...command);
    assert.match(out + err, advice, command.join(" "));
    if (command.includes("--user")) assert.equal(code, 2, "as the incident guide says");
  }
  assert.equal((await folder.run("revoke", "--all", "--yes")).out, "Revoked 2 sessions.\n");
  assert.ok(!advice.test((await folder.run("keys", "status")).out));
});

test("check and reseal: more than 999 rows → their numbers are grouped", async () => {
  const [leaked, fresh] = [generateKey(), generateKey()];
  await visits(leaked, "42");
  const raw = new DatabaseSync(folder.file("sessions.sqlite3"));
  const names = raw.prepare("SELECT name FROM pragma_table_info('stored_sessions')").all();
  const values = names.map(({ name }) => (name === "id" ? "randomblob(32)" : String(name)));
  raw.exec(`WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1100)
    INSERT INTO stored_sessions SELECT ${values.join(", ")} FROM stored_sessions, numbers`);
  raw.close();
  folder.env["STORED_SESSION_KEYS"] = fresh;
  assert.match((await folder.run("check")).out, /of 1,000 rows looked at, 1,000 are under keys/);
  folder.env["STORED_SESSION_KEYS"] = leaked;
  assert.match((await folder.run("reseal")).out, /1,\d{3} had the newest key already/);
});
