/** What cannot be repaired after an import is refused before it. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { Folder } from "./command.ts";

let folder: Folder;
const args = ["import", "better-sqlite3-session-store", "--from", "sqlite:old.sqlite3"];
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  const store = sqliteStore(folder.file("ours.sqlite3"));
  await store.migrate();
  await store.close();
  const old = new DatabaseSync(folder.file("old.sqlite3"));
  old.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, expire TEXT, sess TEXT)");
  const insert = old.prepare("INSERT INTO sessions VALUES (?, ?, ?)");
  for (let i = 0; i < 20; i++) {
    const passport = i === 19 ? { passport: { user: 42 } } : {};
    insert.run(
      `sid-${i}`,
      new Date(Date.now() + 3_600_000).toISOString(),
      JSON.stringify({ cookie: {}, ...passport }),
    );
  }
  old.close();
});
afterEach(() => folder.remove());

test("import: --user-path that finds no user → refused before anything is written, and the right path imports", async () => {
  const wrong = await folder.run(...args, "--user-path", "passport.usr");
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /--user-path passport\.usr finds no user in any of the 20 sessions\..* --yes /);
  assert.match(wrong.err, /Nothing was changed\.$/m);
  assert.equal((await folder.json("count")).live, 0);

  // The only user is in the last page.
  const right = await folder.json(...args, "--user-path", "passport.user", "--batch-size", "3");
  assert.deepEqual([right.imported, right.withUser, right.dryRun], [20, 1, false]);
});

test("import: --user-path that finds no user, with --yes → imported", async () => {
  const { imported, withUser } = await folder.json(...args, "--user-path", "passport.usr", "--yes");
  assert.deepEqual([imported, withUser], [20, 0]);
});

test("import --json: a dry run → it says so, and every key is camelCase", async () => {
  const answer = await folder.json(...args, "--dry-run");
  assert.equal(answer.dryRun, true);
  for (const key of [...Object.keys(answer), ...Object.keys(answer.skipped)])
    assert.match(key, /^[a-z][A-Za-z]*$/);
});

test("import: a source that cannot be reached → no advice about its table", async () => {
  const from = ["--from", "postgres://nobody@127.0.0.1:1/none"];
  const { err, code } = await folder.run("import", "connect-pg-simple", ...from);
  assert.equal(code, 1);
  assert.match(err, /Check that its database is running, and host, port, user and password in --from\./);
  assert.ok(!err.includes("--from-table"));
});

test("import --left-out: a run that is refused before it reads → leaves no file in the way of the next one", async () => {
  const leftOut = ["--left-out", "left.jsonl"];
  const wrong = await folder.run(...args, "--user-path", "passport.usr", ...leftOut);
  assert.equal(wrong.code, 2, wrong.err);
  assert.ok(!existsSync(folder.file("left.jsonl")));
  const right = await folder.run(...args, "--user-path", "passport.user", ...leftOut);
  assert.equal(right.code, 0, right.err);
  assert.equal(readFileSync(folder.file("left.jsonl"), "utf8"), "");
});

test("import --left-out: rows that cannot be imported → a private file that names each with the SQL that finds it", async () => {
  const old = new DatabaseSync(folder.file("old.sqlite3"));
  const insert = old.prepare("INSERT INTO sessions VALUES (?, ?, ?)");
  const sids = Array.from(
    { length: 15 },
    (_, i) => `${"abcdefghijklmno"[i]}${randomBytes(23).toString("base64url")}`,
  );
  for (const sid of sids) insert.run(sid, new Date(Date.now() + 3_600_000).toISOString(), "no session");

  const short = await folder.run(...args, "--dry-run");
  assert.equal(short.out.match(/unreadable: not JSON/g)?.length, 10);
  assert.match(
    short.out,
    /… and 5 more\. --left-out <file> lists all, each with the SQL or command that finds it\.$/m,
  );

  const { code, out } = await folder.run(...args, "--left-out", "left.jsonl");
  assert.equal(code, 0);
  assert.match(out, /15 sessions that could not be imported: see .*left\.jsonl\.$/m);
  const path = folder.file("left.jsonl");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const text = readFileSync(path, "utf8");
  const listed = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(listed.length, 15);
  const found = listed.map(({ find }) =>
    old
      .prepare(find)
      .all()
      .map(({ sid }) => sid),
  );
  assert.deepEqual(found.toSorted(), sids.map((sid) => [sid]).toSorted());
  old.close();
  // R28: a session id opens its session.
  for (const sid of sids) assert.ok(!text.includes(sid) && !out.includes(sid));

  const again = await folder.run(...args, "--left-out", "left.jsonl");
  assert.deepEqual([again.code, again.out], [2, ""]);
  assert.match(
    again.err,
    /left\.jsonl already exists\. Pass --left-out the name of a new file\. Nothing was changed\./,
  );
});
