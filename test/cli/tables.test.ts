import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "vitest";
import { parse } from "yaml";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { generateKey } from "../../src/index.ts";
import { Folder } from "./command.ts";

const key = generateKey();
const database = ["-d", "sqlite:sessions.sqlite3"];
const source = new URL("../../src", import.meta.url).pathname;
let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = key;
});
afterEach(() => folder.remove());

function raw(sql: string): Record<string, unknown>[] {
  const handle = new DatabaseSync(folder.file("sessions.sqlite3"));
  try {
    return handle.prepare(sql).all();
  } finally {
    handle.close();
  }
}

function configure(text: string): void {
  writeFileSync(folder.file("stored-session.config.mjs"), text);
}

/** The findings of `check` about one thing, and its exit code. */
async function check(...args: string[]): Promise<{ code: number | null; about(name: string): any[] }> {
  const { code, out } = await folder.run("check", "--json", ...args);
  const { findings } = JSON.parse(out);
  return { code, about: (name) => findings.filter((finding: any) => finding.about === name) };
}

test.each([
  ["DROP TABLE stored_sessions", /the table "stored_sessions"/, true, true],
  ["DROP TABLE stored_sessions_leases", /the table "stored_sessions_leases"/, true, false],
  ["DROP INDEX stored_sessions_user_ref", /an index that starts with user_ref/, false, false],
])(
  "after %s → every reading command says what is missing, and migrate recreates it",
  async (loss, what, stops, asks) => {
    await folder.run("migrate", ...database);
    raw(loss);

    const checked = await check(...database);
    assert.equal(checked.code, 1);
    assert.match(checked.about("Tables")[0].message, what);
    const status = await folder.run("migrate", "status", ...database);
    assert.equal(status.code, 3);
    assert.match(status.out, what);
    assert.match(
      (await folder.run("migrate", "--dry-run", ...database)).out,
      /Missing, and would be recreated: .*Nothing was changed/,
    );
    assert.match((await folder.run("migrate", "--print", ...database)).out, /-- missing: .*\nCREATE /);
    const expire = await folder.run("expire", ...database);
    assert.equal(expire.code, stops ? 1 : 0);
    if (stops) assert.match(expire.err, /Restore it from a backup, or run "stored-session migrate"/);

    if (asks) {
      const asked = await folder.run("migrate", ...database);
      assert.equal(asked.code, 2);
      assert.match(
        asked.err,
        /Restore it, .*logs everybody out\. Add --yes to confirm\. Nothing was changed/,
      );
      assert.match((await folder.run("migrate", "status", ...database)).out, what);
    }
    const yes = asks ? ["--yes"] : [];
    assert.match((await folder.run("migrate", ...yes, ...database)).out, /Recreated what was missing: /);
    assert.equal((await folder.run("migrate", "status", ...database)).code, 0);
    assert.equal((await check(...database)).code, 0);
    assert.match((await folder.run("migrate", ...database)).out, /up to date/);
  },
);

test("check: a missing column → a problem, not a pending migration", async () => {
  await folder.run("migrate", ...database);
  raw("DROP INDEX stored_sessions_expires_bucket");
  raw("ALTER TABLE stored_sessions DROP COLUMN expires_bucket");
  const { code, about } = await check(...database);
  assert.equal(code, 1);
  assert.match(about("Tables")[0].message, /other columns: .*and lacks .*expires_bucket/);
  for (const args of [[], ["--dry-run"], ["--print"], ["status"]]) {
    const answer = await folder.run("migrate", ...args, ...database);
    assert.equal(answer.code, 1, args.join());
    assert.match(answer.err, /other columns/);
  }
});

test("check: a table of another program → a problem before anything runs", async () => {
  raw("CREATE TABLE stored_sessions (sid TEXT, sess TEXT)");
  const { code, about } = await check(...database);
  assert.equal(code, 1);
  assert.match(about("Tables")[0].message, /other columns: it has sid, sess/);
  for (const args of [["--dry-run"], ["--print"], ["status"], []]) {
    const answer = await folder.run("migrate", ...args, ...database);
    assert.equal(answer.code, 1, args.join());
    assert.match(answer.err, /other columns/);
  }
});

test("check → tries to write a session, and leaves none", async () => {
  await folder.run("migrate", ...database);
  for (const [event, work] of [
    ["INSERT", "inserted"],
    ["UPDATE", "updated"],
    ["DELETE", "deleted"],
  ]) {
    raw(`CREATE TRIGGER no BEFORE ${event} ON stored_sessions BEGIN SELECT RAISE(ABORT, 'not ${work}'); END`);
    const { code, about } = await check(...database);
    assert.equal(code, 1);
    assert.match(about("Writing")[0].message, new RegExp(`not ${work}`));
    raw("DROP TRIGGER no");
  }
  assert.equal((await check(...database)).about("Writing")[0].level, "good");
  assert.deepEqual(raw("SELECT * FROM stored_sessions"), []);
});

test("check of a Rails database → looks at its table, and fails if the server does not answer", async () => {
  const rails = (where: string, more = "") =>
    configure(`import { railsFormat, railsStore } from ${JSON.stringify(`${source}/rails/index.ts`)};
      export default {
        store: railsStore(${where}${more}),
        format: railsFormat({ primaryKey: "p".repeat(32), keyDerivationSalt: "s".repeat(32), hashDigestClass: "SHA256" }),
        cookie: { name: "_app_session" },
      };`);
  rails(`"postgres://u:p@127.0.0.1:9/d"`);
  const away = await check();
  assert.equal(away.code, 1);
  assert.match(away.about("Database")[0].message, /could not be reached/);

  const file = JSON.stringify(folder.file("sessions.sqlite3"));
  rails(file);
  assert.match((await check()).about("Database")[0].message, /There is no file/);
  raw("CREATE TABLE stored_sessions (sid TEXT)");
  const strange = await check();
  assert.equal(strange.code, 1);
  assert.match(strange.about("Tables")[0].message, /not the table of the stored_session gem/);

  rails(file, ', { table: "gem_sessions", createTable: true }');
  const { railsStore } = await import("../../src/rails/index.ts");
  const store = railsStore(folder.file("sessions.sqlite3"), { table: "gem_sessions", createTable: true });
  await store.migrate();
  await store.close();
  const good = await check("--strict");
  assert.equal(good.code, 0);
  assert.match(good.about("Tables")[0].message, /"gem_sessions" is that of the gem/);
  assert.equal(good.about("Durability")[0].level, "good");
});

test("a store of another copy of the package → named by every command", async () => {
  cpSync(source, folder.file("copy"), { recursive: true });
  for (const exported of ["{ store, keys: process.env.STORED_SESSION_KEYS }", "{ store, format: {} }"]) {
    configure(`import { sqliteStore } from "./copy/sql/sqlite/store.ts";
      const store = sqliteStore("sessions.sqlite3");
      export default ${exported};`);
    for (const args of [["check"], ["migrate"], ["count"]]) {
      const { code, err } = await folder.run(...args);
      assert.equal(code, 2, args.join());
      assert.match(err, /uses another copy of stored-session than this command/);
    }
  }
});

test("check: a custom store that does not respond → a problem", async () => {
  configure(`const never = async () => { throw new Error("no answer"); };
    const methods = ["read", "insert", "update", "replace", "touch", "delete", "listByUser", "deleteByUser",
      "deleteExpired", "count", "scan", "lease", "migrate"];
    export default {
      store: { lanes: { read: 1, write: 1, maxBatch: 1 }, close: async () => {}, ...Object.fromEntries(methods.map((name) => [name, never])) },
      keys: process.env.STORED_SESSION_KEYS,
    };`);
  const { code, about } = await check();
  assert.equal(code, 1);
  assert.deepEqual(
    about("Database").map(({ level, message }: any) => [level, message]),
    [["problem", "no answer"]],
  );
});

test("R33 a weak durability setting: check → reported once; another command → not printed before its output", async () => {
  const sqlite = JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).href);
  writeFileSync(
    folder.file("stored-session.config.mjs"),
    `import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from ${sqlite};
const handle = new DatabaseSync("sessions.sqlite3");
handle.exec("PRAGMA synchronous = OFF");
export default { store: sqliteStore(handle), keys: process.env.STORED_SESSION_KEYS };`,
  );
  assert.equal((await folder.run("migrate")).err, "");
  const { out, err } = await folder.run("check");
  assert.equal(err, "");
  assert.equal(out.match(/! Durability .*synchronous is OFF/gi)?.length, 1);
  assert.deepEqual(await folder.run("count"), { code: 0, out: "0 live sessions\n", err: "" });
});

test("check --quick, docs/operations.md: the probe → reads no session; exit codes 0, 1 and 2 as the page says", async () => {
  const page = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const probes = parse(/^```yaml\n(readinessProbe:.*?)^```$/ms.exec(page)![1]!);
  const commands = [probes.readinessProbe, probes.startupProbe].map(({ exec }: any) =>
    exec.command.join(" "),
  );
  assert.deepEqual(new Set(commands), new Set(["node_modules/.bin/stored-session check --quick --json"]));

  assert.equal((await folder.run("migrate", ...database)).code, 0);
  const quick = async (...args: string[]) => folder.run("check", "--quick", "--json", ...args);
  const ready = await quick(...database);
  assert.equal(ready.code, 0, ready.err);
  const { ok, findings } = JSON.parse(ready.out);
  assert.equal(ok, true);
  assert.deepEqual(
    findings.map(({ about }: any) => about),
    ["Options", "Keys", "Database", "Tables", "Writing", "Durability"],
  );
  // Sessions of another key are a problem of `check`, and are not looked at here.
  const sessions = manage(sqliteStore(folder.file("sessions.sqlite3")), generateKey());
  await visit(sessions);
  await sessions.close();
  assert.equal((await folder.run("check", ...database)).code, 1);
  assert.equal((await quick(...database)).code, 0);

  const pending = await quick("-d", "sqlite:none.sqlite3");
  assert.deepEqual([pending.code, JSON.parse(pending.out).ok], [1, false]);
  const none = await quick();
  assert.deepEqual([none.code, none.out], [2, ""]);
});

test("check --strict: a warning → fails, also in JSON", async () => {
  configure(`import { memoryStore } from ${JSON.stringify(`${source}/index.ts`)};
    export default { store: memoryStore(), keys: process.env.STORED_SESSION_KEYS };`);
  for (const [strict, ok] of [
    [[], true],
    [["--strict"], false],
  ] as const) {
    const { code, out, err } = await folder.run("check", "--json", ...strict);
    assert.deepEqual([JSON.parse(out).ok, code], [ok, ok ? 0 : 1]);
    assert.equal(err, ok ? "" : "Error: 0 problems, 1 warning.\n");
  }
});
