/** Every screen of every command at 60, 80 and 200 columns: nothing is wider than the terminal, and no word is broken. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { PassThrough, Readable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand } from "../../src/cli/program.ts";
import { wrapped, type Terminal } from "../../src/cli/terminal.ts";
import { createSessionManager, generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { Folder } from "./command.ts";

const [older, newest] = [generateKey(), generateKey()];
const day = 86_400_000;
const longUser = "somebody-with-a-long-name@a-long-domain-name.example.org";
const userAgent =
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const address = "2001:db8:85a3:0000:0000:8a2e:0370:7334";

let folder: Folder;
let handle = "";

const keysBefore = process.env["STORED_SESSION_KEYS"];

beforeAll(async () => {
  folder = new Folder();
  process.env["STORED_SESSION_KEYS"] = older; // the configuration file reads it
  await screen(["migrate"], 80);
  for (const ago of [0, 40 * day]) {
    const sessions = createSessionManager<{ note: string }>({
      store: sqliteStore(folder.file("sessions.sqlite3")),
      keys: older,
      clock: () => Date.now() - ago,
      ...(ago === 0 && { audit: true }),
    });
    for (const user of [longUser, "42", undefined]) {
      const session = await sessions.load(null, { address, userAgent });
      session.data.note = "A note. ".repeat(20);
      if (user !== undefined) session.login(user, { method: "passkey" });
      await sessions.commit(session);
    }
    if (ago === 0) {
      await sessions.audit.record("login.failed", { identifier: longUser, reason: "wrong password" });
      await sessions.forUser("7").revokeAll({ by: "admin 7", reason: "password changed" });
      handle = (await sessions.forUser(longUser).list())[0]!.handle;
    }
    await sessions.close();
  }
  const source = new DatabaseSync(folder.file("old.sqlite3"));
  source.exec("CREATE TABLE sessions (sid TEXT PRIMARY KEY, expire TEXT, sess TEXT)");
  const insert = source.prepare("INSERT INTO sessions VALUES (?, ?, ?)");
  for (let nth = 0; nth < 14; nth++) {
    const text = nth === 0 ? JSON.stringify({ passport: { user: "42" } }) : "no session";
    insert.run(`sid ${nth}`, "2099-01-01T00:00:00.000Z", text);
  }
  source.close();
  const libraries = new DatabaseSync(folder.file("auth.sqlite3"));
  libraries.exec(`CREATE TABLE user (id, email, emailVerified, a_column_that_it_does_not_know, another_one);
    CREATE TABLE session (id, token, userId, expiresAt, createdAt, updatedAt);
    CREATE TABLE tokens (sessionToken, userId, expires);
    INSERT INTO user VALUES ('42', '', 0, '', '');
    INSERT INTO session VALUES (1, '${"t".repeat(32)}', '42', 4102444800, 0, 0), (2, 'short', '42', 4102444800, 0, 0);
    INSERT INTO tokens VALUES ('one', '42', 4102444800), ('two', NULL, 4102444800)`);
  libraries.close();
  // For `audit`, which takes its configuration from a file.
  const store = JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).href);
  writeFileSync(
    folder.file("audit.mjs"),
    `import { sqliteStore } from ${store};
export default () => ({ store: sqliteStore(${JSON.stringify(folder.file("sessions.sqlite3"))}), keys: process.env.STORED_SESSION_KEYS, audit: true });`,
  );
});
afterAll(() => {
  folder.remove();
  if (keysBefore === undefined) delete process.env["STORED_SESSION_KEYS"];
  else process.env["STORED_SESSION_KEYS"] = keysBefore;
});

interface Screen {
  readonly code: number;
  /** As a terminal shows it before it wraps. */
  readonly lines: readonly string[];
}

async function screen(
  args: readonly string[],
  columns: number,
  env: Record<string, string> = {},
): Promise<Screen> {
  const stream = () => Object.assign(new PassThrough(), { isTTY: true, columns });
  const [out, err] = [stream(), stream()];
  let shown = "";
  for (const each of [out, err]) each.on("data", (chunk: Buffer) => (shown += chunk.toString()));
  const terminal: Terminal = {
    out,
    err,
    in: Readable.from([]),
    env: {
      STORED_SESSION_DATABASE_URL: "sqlite:sessions.sqlite3",
      STORED_SESSION_KEYS: older,
      ...env,
    },
    cwd: folder.path,
  };
  const code = await runCommand(args, terminal);
  await new Promise((done) => setImmediate(done));
  return { code, lines: rendered(shown) };
}

/** What is left on the lines after carriage returns and erasures. */
function rendered(shown: string): string[] {
  return shown
    .split("\n")
    .map((line) => stripVTControlCharacters(line.split("\r\u001b[2K").at(-1)!))
    .map((line) => line.split("\r").at(-1)!);
}

const audit = (...args: string[]) => ["audit", ...args, "-c", "audit.mjs"];
const importing = ["import", "better-sqlite3-session-store", "--from", "sqlite:old.sqlite3"];

/** Screens that change nothing, so that each width shows the same. */
const screens: Record<
  string,
  { args(): string[]; env?: Record<string, string>; code?: number; data?: boolean }
> = {
  help: { args: () => [] },
  "no such command": { args: () => ["lsit"], code: 2 },
  "no such option": { args: () => ["list", "--usr", "8"], code: 2 },
  "no such option of a location": { args: () => ["keys", "generate", "--database-url", "x"], code: 2 },
  check: { args: () => ["check"] },
  "check, older key": { args: () => ["check"], env: { STORED_SESSION_KEYS: newest }, code: 1 },
  "check, store down": {
    args: () => ["check", "-d", "postgres://user:secret@127.0.0.1:9/database"],
    code: 1,
  },
  "list, store down": { args: () => ["list", "-d", "mysql://user:secret@127.0.0.1:9/database"], code: 1 },
  "list, no file": { args: () => ["list", "-d", "sqlite:none.sqlite3"], code: 1 },
  "migrate, nothing to do": { args: () => ["migrate"] },
  "migrate status": { args: () => ["migrate", "status"] },
  "migrate status, pending": { args: () => ["migrate", "status", "-d", "sqlite:none.sqlite3"], code: 3 },
  "migrate --dry-run": { args: () => ["migrate", "--dry-run", "-d", "sqlite:none.sqlite3"] },
  count: { args: () => ["count"] },
  stats: { args: () => ["stats"] },
  "stats, older key": { args: () => ["stats"], env: { STORED_SESSION_KEYS: newest } },
  "stats --since": { args: () => ["stats", "--since", "2026-01-01", "-c", "audit.mjs"] },
  "stats --since, nothing": { args: () => ["stats", "--since", "2099-01-01", "-c", "audit.mjs"] },
  list: { args: () => ["list", "--ended"] },
  "list, more": { args: () => ["list", "--limit", "1", "--sort", "created"] },
  "list --user": { args: () => ["list", "--user", longUser] },
  "list, nothing": { args: () => ["list", "--address", "198.51.100.0/24"] },
  "list --user, nothing": { args: () => ["list", "--user", "nobody"] },
  "list --user, older key": {
    args: () => ["list", "--user", "42"],
    env: { STORED_SESSION_KEYS: newest },
    code: 2,
  },
  show: { args: () => ["show", handle] },
  "show, none": { args: () => ["show", "A".repeat(43)], code: 1 },
  "show --reveal": { args: () => ["show", handle, "--reveal"], data: true },
  "keys generate": { args: () => ["keys", "generate"] },
  "keys status": { args: () => ["keys", "status"] },
  "keys status, older key": { args: () => ["keys", "status"], env: { STORED_SESSION_KEYS: newest } },
  "keys status, both keys": {
    args: () => ["keys", "status"],
    env: { STORED_SESSION_KEYS: `${newest},${older}` },
  },
  "keys status, unused older key": {
    args: () => ["keys", "status"],
    env: { STORED_SESSION_KEYS: `${older},${newest}` },
  },
  reseal: { args: () => ["reseal"] },
  "reseal, older key": { args: () => ["reseal"], env: { STORED_SESSION_KEYS: newest }, code: 2 },
  "expire --dry-run": { args: () => ["expire", "--dry-run"] },
  "revoke, nothing chosen": { args: () => ["revoke"], code: 2 },
  "revoke --dry-run": { args: () => ["revoke", "--address", address, "--dry-run"] },
  "revoke, a question": { args: () => ["revoke", "--all"], code: 2 },
  "revoke --user, nothing": { args: () => ["revoke", "--user", "nobody"] },
  "erase, a question": { args: () => ["erase", "--user", longUser], code: 2 },
  "erase, nothing": { args: () => ["erase", "--user", "nobody", "--yes"] },
  export: { args: () => ["export", "--user", longUser], data: true },
  "import --dry-run": { args: () => [...importing, "--dry-run"] },
  "import, no user": { args: () => [...importing, "--user-path", "passport.usr"], code: 2 },
  "import better-auth, no table": {
    args: () => ["import", "better-auth", "--from", "sqlite:old.sqlite3"],
    code: 2,
  },
  "import better-auth --dry-run": {
    args: () => ["import", "better-auth", "--from", "sqlite:auth.sqlite3", "--dry-run"],
  },
  "import authjs --dry-run": {
    args: () => ["import", "authjs", "--from", "sqlite:auth.sqlite3", "--from-table", "tokens", "--dry-run"],
  },
  "import, source down": {
    args: () => ["import", "connect-pg-simple", "--from", "postgres://user:secret@127.0.0.1:9/database"],
    code: 1,
  },
  "audit list": { args: () => audit("list", "--limit", "6") },
  "audit list, nothing": { args: () => audit("list", "--user", "nobody", "--until", "2026-01-01") },
  "audit list --format json": { args: () => audit("list", "--limit", "2", "--format", "json"), data: true },
  "audit verify": { args: () => audit("verify") },
  "audit prune, a question": { args: () => audit("prune", "--older-than", "400 days"), code: 2 },
  "audit prune, nothing": { args: () => audit("prune", "--older-than", "400 days", "--yes") },
  "audit export": { args: () => audit("export", "-o", folder.file(`export-${crypto.randomUUID()}.json`)) },
};

/** Texts that are copied as one, such as a key: they stay whole although they may be wider. */
const isOneWord = (line: string) => !/\S \S/.test(line.trim()) && /^\s*\S+$/.test(line);

describe.each([60, 80, 200])("%i columns", (columns) => {
  test.each(Object.entries(screens))(
    "%s → no line is wider, and every word is whole",
    async (_, { args, env, code = 0, data }) => {
      const narrow = await screen(args(), columns, env);
      assert.equal(narrow.code, code, narrow.lines.join("\n"));
      if (data) {
        // Session data and JSON are for copying: the terminal wraps them, and nothing else.
        assert.ok(narrow.lines.length > 2);
        return;
      }
      for (const line of narrow.lines) {
        assert.ok(line.length <= columns || isOneWord(line), `${line.length}: ${line}`);
        assert.equal(line, line.trimEnd(), "no blanks at the end");
      }
    },
  );

  test("help of every command → no line is wider", async () => {
    const { lines } = await screen([], 200);
    const names = lines.flatMap((line) => /^ {2}([a-z]+)(?: [<[]\S+)? {2,}/.exec(line)?.[1] ?? []);
    assert.ok(names.length >= 16, String(names));
    const children: Record<string, string[]> = {
      audit: ["list", "tail", "export", "verify", "prune"],
      keys: ["generate", "status"],
      migrate: ["status"],
    };
    for (const name of names) {
      for (const words of [[name], ...(children[name] ?? []).map((child) => [name, child])]) {
        const help = await screen([...words, "--help"], columns);
        assert.equal(help.code, 0);
        for (const line of help.lines) {
          assert.ok(line.length <= columns, `${words.join(" ")}, ${line.length}: ${line}`);
        }
        assert.ok(!help.lines.some((line) => line.includes("[command]  display help")), "no command `help`");
      }
    }
  });
});

test("screens: a command of the help → has a screen here", async () => {
  const { lines } = await screen([], 200);
  const names = lines.flatMap((line) => /^ {2}([a-z]+)(?: [<[]\S+)? {2,}/.exec(line)?.[1] ?? []);
  const shown = new Set(Object.values(screens).map(({ args }) => args()[0]));
  // Two write files and programs, verbatim; the other is in the browser.
  expect(names.filter((name) => !shown.has(name))).toEqual(["init", "generate", "dashboard"]);
});

test("list at 60 columns → all columns of a session, below its handle", async () => {
  const { lines } = await screen(["list", "--user", longUser], 60);
  assert.deepEqual(
    lines.slice(0, 3).map((line) => line.trim().split(/ {2,}/)),
    [["handle"], ["age", "idle", "ends in", "user", "size"], ["from"]],
  );
  assert.equal(lines[3], handle);
  assert.match(lines[5]!, new RegExp(`^  ${address}, Mozilla.*…$`));
  const wide = await screen(["list", "--user", longUser], 200);
  assert.match(wide.lines[0]!, /^handle +age +idle +ends in +user +size +from$/);
});

test("a line of columns that is too wide → broken between columns, then between words", () => {
  const out = { isTTY: true, columns: 40 } as Terminal["out"];
  const line =
    "2026-11-30  login  user 42  by passkey  from 192.0.2.1  (a long reason that takes more than a line)";
  assert.deepEqual(wrapped(out, line).split("\n"), [
    "2026-11-30  login  user 42  by passkey",
    "  from 192.0.2.1  (a long reason that",
    "  takes more than a line)",
  ]);
  assert.equal(wrapped({ ...out, isTTY: false } as Terminal["out"], line), line);
});
