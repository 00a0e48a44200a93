import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Folder, main } from "./command.ts";

const key = generateKey();
let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = key;
});
afterEach(() => folder.remove());

const database = ["-d", "sqlite:sessions.sqlite3"];

/** Everything in the folder, byte by byte, apart from SQLite's shared memory. */
function contents(): Record<string, string> {
  const files = readdirSync(folder.path).filter((name) => !/-(shm|wal)$/.test(name));
  return Object.fromEntries(files.map((name) => [name, readFileSync(folder.file(name)).toString("base64")]));
}

async function filled(keys = key): Promise<void> {
  const sessions = manage(sqliteStore(folder.file("sessions.sqlite3")), keys);
  for (let i = 0; i < 5; i++) await visit(sessions, "42");
  await sessions.close();
}

/** One sentence on standard error, nothing on standard output, this exit code, and nothing changed. */
async function refused(args: string[], code: number, sentence: RegExp): Promise<void> {
  const before = contents();
  const answer = await folder.run(...args);
  assert.match(answer.err, sentence);
  assert.ok(answer.err.startsWith("Error: "), answer.err);
  assert.ok(!answer.err.includes("    at "), "no stack trace");
  assert.equal(answer.out, "");
  assert.equal(answer.code, code);
  assert.deepEqual(contents(), before);
}

test("a wrong command or option → one sentence that says what is wrong", async () => {
  await refused(["lisst"], 2, /Unknown command 'lisst'\n\(Did you mean list\?\)/);
  await refused(["list", "--usr", "1", ...database], 2, /Unknown option '--usr'/);
  await refused(["export", ...database], 2, /Required option/);
  await refused(["list", "--limit", "many", ...database], 2, /whole number/);
  await refused([...database, "list"], 2, /'-d'\nOptions follow the command: stored-session list -d …/);
  await refused([...database], 2, /A command comes first, such as: stored-session check -d …/);
  await refused(["keys", ...database], 2, /Say which command of "keys": generate, status\./);
  await refused(["init", ...database], 2, /"init" uses no database\./);
  const generate = ["generate", "sql", "--dialect", "sqlite"];
  await refused([...generate, ...database], 2, /"generate" uses no database\. Use --dialect/);
  await refused(
    ["migrate", "-d", "shop"],
    2,
    /The file "shop" does not exist\. .*postgres:\/\/user@host\/shop .*sqlite:shop/,
  );
});

test("no configuration, or an unusable one → one sentence", async () => {
  await refused(["count"], 2, /There is no configuration\. Run "stored-session init"/);
  await refused(["count", "-c", "other.ts"], 2, /There is no file .*other\.ts/);
  writeFileSync(folder.file("stored-session.config.mjs"), "export const options = {};");
  await refused(["count"], 2, /has no default export/);
  writeFileSync(folder.file("stored-session.config.mjs"), "export default {");
  await refused(["count"], 2, /could not be loaded/);
  writeFileSync(folder.file("stored-session.config.mjs"), "export default { stor: 1 };");
  await refused(["count"], 2, /`stor` is not an option/);
});

test("R34 expire: an age without a unit, or an empty one → deletes nothing", async () => {
  await filled();
  for (const option of ["--max-created-age", "--max-updated-age"]) {
    for (const age of ["30", "0", "0 days", "-1 day", "soon"]) {
      await refused(["expire", `${option}=${age}`, ...database], 2, /Use a length of time with its unit/);
    }
  }
  const lifetime = ["import", "connect-pg-simple", "--from", "sqlite:other.sqlite3", "--lifetime", "30"];
  await refused([...lifetime, ...database], 2, /Use a length of time with its unit/);
  assert.deepEqual(await folder.json("count", ...database), { live: 5 });
});

test("R27 keys status: a time without a zone → refused, and no key is released", async () => {
  await filled();
  for (const since of ["Nov 26", "11/26", "5", "2026-11-26T08:00"]) {
    await refused(
      ["keys", "status", "--since", since, ...database],
      2,
      /Use a time with its zone, such as "/,
    );
  }
});

test("import: an empty --user-path or --user-key, as from an unset variable → refused", async () => {
  await filled();
  const other = ["import", "better-sqlite3-session-store", "--from", "sqlite:other.sqlite3"];
  for (const path of ["", "a..b"]) {
    await refused([...other, "--user-path", path, ...database], 2, /without empty parts/);
  }
  const rails = ["import", "stored_session", "--from", "sqlite:other.sqlite3"];
  await refused([...rails, "--user-key", "", ...database], 2, /Use a key that is not empty/);
});

test("R36 an empty --user, as from an unset variable → refused", async () => {
  await filled();
  for (const command of ["list", "export", "erase", "revoke"]) {
    await refused([command, "--user", "", ...database], 2, /Use a user id that is not empty/);
  }
});

test("an invalid URL, and a server that does not respond → one sentence without the password", async () => {
  await refused(["count", "-d", "redis://user:hunter2@host"], 2, /not a database address/);
  for (const scheme of ["postgres", "mysql"]) {
    await refused(["count", "-d", `${scheme}://user:hunter2@127.0.0.1:9/app`], 1, /could not be reached/);
  }
  const { err } = await folder.run("count", "-d", "redis://user:hunter2@host");
  assert.ok(!err.includes("hunter2"));
});

test("an invalid --share → refused", async () => {
  for (const command of ["expire", "reseal"]) {
    for (const share of ["0", "1.5", "half"]) {
      await refused([command, "--share", share, ...database], 2, /Use a number above 0, up to 1/);
    }
  }
});

test("an empty --config, as from an unset variable → refused instead of the default", async () => {
  await filled();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
  for (const args of [["revoke", "--all", "--yes"], ["erase", "--user", "42", "--yes"], ["count"]]) {
    await refused(
      [...args, "-c", ""],
      2,
      /--config is empty\. Pass the path of a file, or leave the option out/,
    );
  }
  assert.deepEqual(await folder.json("count"), { live: 5 });
});

test("a missing file → reading commands do not create it", async () => {
  await refused(["count", ...database], 1, /There is no file .*stored-session migrate/);
  const check = await folder.run("check", ...database);
  assert.equal(check.code, 1);
  assert.equal((await folder.run("migrate", "status", ...database)).code, 3);
  assert.equal((await folder.run("migrate", "--dry-run", ...database)).code, 0);
  assert.match((await folder.run("migrate", "--print", ...database)).out, /CREATE TABLE/);
  assert.equal(existsSync(folder.file("sessions.sqlite3")), false);
});

test("another program's file → reading commands do not change it, nor its journal mode", async () => {
  const handle = new DatabaseSync(folder.file("other.sqlite3"));
  handle.exec("CREATE TABLE notes (text TEXT)");
  handle.close();
  const other = ["-d", "sqlite:other.sqlite3"];
  const before = contents();
  await refused(["count", ...other], 1, /migration 1 \(sessions\) is pending/);
  await refused(["revoke", "--all", "--yes", ...other], 1, /migration 1 \(sessions\) is pending/);
  assert.equal((await folder.run("check", ...other)).code, 1);
  assert.equal((await folder.run("migrate", "status", ...other)).code, 3);
  assert.equal((await folder.run("migrate", "--dry-run", ...other)).code, 0);
  assert.deepEqual(contents(), before);
  assert.equal((await folder.run("migrate", ...other)).code, 0);
  const migrated = new DatabaseSync(folder.file("other.sqlite3"));
  assert.deepEqual({ ...migrated.prepare("PRAGMA journal_mode").get() }, { journal_mode: "wal" });
  migrated.close();
});

test("R28 missing, malformed or wrong keys → refused without printing one", async () => {
  await filled();
  delete folder.env["STORED_SESSION_KEYS"];
  await refused(["list", ...database], 2, /There are no keys: set STORED_SESSION_KEYS/);
  folder.env["STORED_SESSION_KEYS"] = "correct horse battery staple";
  await refused(["list", ...database], 2, /does not begin with ssk1_/);
  const strange = generateKey();
  folder.env["STORED_SESSION_KEYS"] = strange;
  for (const args of [
    ["list"],
    ["export", "--user", "42"],
    ["erase", "--user", "42", "--yes"],
    ["revoke", "--user", "42"],
    ["reseal"],
  ]) {
    await refused([...args, ...database], 2, /were sealed with other keys .* than those given/);
  }
  assert.match((await folder.run("keys", "status", ...database)).out, /5 sessions cannot be opened/);
  const { out, code } = await folder.run("check", ...database);
  assert.equal(code, 1);
  assert.match(out, /5 are under keys that are not in the ring/);
  assert.ok(!out.includes(strange));
  // What opens no row needs no keys.
  delete folder.env["STORED_SESSION_KEYS"];
  assert.equal((await folder.run("count", ...database)).out, "5 live sessions\n");
});

test("a half-migrated table, a newer one, and one of another program → one sentence each", async () => {
  const raw = (sql: string) => {
    const handle = new DatabaseSync(folder.file("sessions.sqlite3"));
    handle.exec(sql);
    handle.close();
  };
  await filled();
  raw("DELETE FROM stored_sessions_migrations");
  await refused(["expire", ...database], 1, /migration 1 \(sessions\) is pending/);
  assert.equal((await folder.run("migrate", ...database)).code, 0);
  assert.equal((await folder.run("count", ...database)).code, 0);

  raw("INSERT INTO stored_sessions_migrations VALUES (99, 'tomorrow', 'x', 1)");
  for (const args of [["expire"], ["migrate"], ["migrate", "--dry-run"], ["revoke", "--all", "--yes"]]) {
    await refused([...args, ...database], 1, /are newer than this version of stored-session: migration 99/);
  }
  raw("DELETE FROM stored_sessions_migrations WHERE version = 99");
  raw("UPDATE stored_sessions_migrations SET checksum = 'abc'");
  await refused(["expire", ...database], 1, /with different SQL/);

  raw(
    "DROP TABLE stored_sessions; DROP TABLE stored_sessions_migrations; CREATE TABLE stored_sessions (sid TEXT)",
  );
  await refused(["migrate", ...database], 1, /exists with other columns/);
  writeFileSync(
    folder.file("text.sqlite3"),
    "This is a text, and long enough to be taken for one.".repeat(40),
  );
  await refused(["count", "-d", "sqlite:text.sqlite3"], 1, /is not a SQLite database/);
});

test("a read-only database → one sentence", async (context) => {
  if (process.getuid?.() === 0)
    return context.skip("root may write everything; the servers' suite has a read-only role");
  await filled();
  chmodSync(folder.file("sessions.sqlite3"), 0o400);
  await refused(["revoke", "--all", "--yes", ...database], 1, /cannot be written to/);
});

test("a reader that closes the pipe → the work and the exit code do not change", async () => {
  await filled();
  for (const [args, code] of [
    [["count", ...database], 0],
    [["list", ...database, "--json"], 0],
    [["count", "-d", "redis://host"], 2],
    [["lisst"], 2],
  ] as const) {
    const child = folder.start(...args);
    child.stdout!.destroy();
    child.stderr!.destroy();
    assert.equal(await new Promise((resolve) => child.on("exit", resolve)), code, args.join(" "));
  }
});

test("output that cannot be written → one sentence, and the work is done", async (context) => {
  if (!existsSync("/dev/full")) return context.skip("only Linux has /dev/full");
  await filled();
  const full = openSync("/dev/full", "w");
  for (const [args, code] of [
    [["stats", ...database], 1],
    [["--help"], 1],
    [["revoke", "--all", "--yes", ...database], 1],
    [["count", "-d", "redis://host"], 2],
  ] as const) {
    const child = spawn(process.execPath, [main, ...args], {
      cwd: folder.path,
      env: folder.env,
      stdio: ["ignore", full, "pipe"],
    });
    let err = "";
    child.stderr!.on("data", (chunk: Buffer) => (err += chunk.toString()));
    assert.equal(await new Promise((resolve) => child.on("close", resolve)), code, err);
    const sentence = code === 1 ? /^Error: The output could not be written: ENOSPC.*\.\n$/ : /^Error: .*\n$/;
    assert.match(err, sentence);
  }
  closeSync(full);
  assert.deepEqual(await folder.json("count", ...database), { live: 0 });
});
