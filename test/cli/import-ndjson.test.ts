/** `import ndjson`: sessions of anything that can write lines of JSON. */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { MongoStore } from "connect-mongo";
import { afterEach, beforeEach, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { StoredSessionKoaStore } from "../../src/adapters/drop-in/koa-session.ts";
import { generateKey } from "../../src/index.ts";
import { rowIdOf } from "../../src/session/token.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { Folder } from "./command.ts";
import { startMongo } from "./mongodb-stand-in.ts";
import { logIn, serve } from "./old-application.ts";

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  assert.equal((await folder.run("migrate")).code, 0);
});
afterEach(() => folder.remove());

const args = ["import", "ndjson", "--from", "sessions.ndjson"];
const soon = () => new Date(Date.now() + 3_600_000).toISOString();
const write = (...lines: (object | string)[]) =>
  writeFileSync(
    folder.file("sessions.ndjson"),
    lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""),
  );
const rowOf = async (sid: string) => {
  const store = sqliteStore(folder.file("ours.sqlite3"));
  try {
    return (await store.read([rowIdOf(Buffer.from(sid))]))[0] ?? null;
  } finally {
    await store.close();
  }
};
const usersOf = async (...users: string[]) =>
  Promise.all(users.map(async (user) => (await folder.json("list", "--user", user)).sessions.length));

test("promise 3: import ndjson, twice, with sessions ended between → each session once, with its user and end", async () => {
  const expires = soon();
  write(
    { id: "anna-0123456789", expires, user: "anna", data: { cart: ["tea"] } },
    { id: "bert-0123456789", expires: Date.parse(expires), user: 42, data: {} },
    { id: "cleo-0123456789", expires: null, data: { passport: { user: "cleo" } } },
    { id: "dora-0123456789", data: {}, user: null },
    { id: "emil-0123456789", expires: "2020-01-01T00:00:00Z", data: {} },
  );
  const found = ["--user-path", "passport.user", "--lifetime", "2 h"];
  const tried = await folder.json(...args, ...found, "--dry-run");
  assert.deepEqual([tried.read, tried.imported, tried.withUser, tried.skipped.ended], [5, 4, 3, 1]);
  const { imported, withUser } = await folder.json(...args, ...found, "--batch-size", "2");
  assert.deepEqual([imported, withUser], [4, 3]);
  assert.deepEqual(await usersOf("anna", "42", "cleo"), [1, 1, 1]);
  assert.equal((await rowOf("anna-0123456789"))!.expiresAt, Date.parse(expires));
  assert.equal((await rowOf("bert-0123456789"))!.expiresAt, Date.parse(expires));
  const left = (await rowOf("dora-0123456789"))!.expiresAt - Date.now();
  assert.ok(left > 7_000_000 && left <= 7_200_000, "--lifetime");
  await folder.run("revoke", "--user", "anna", "--yes");
  assert.equal((await folder.json(...args, ...found)).imported, 0);
  assert.deepEqual(await usersOf("anna"), [0]);
});

test("import ndjson --refresh: another user and other data in the file → updated, without --user-path", async () => {
  const expires = soon();
  write({ id: "one", expires, user: "anna", data: { cart: [] } }, { id: "two", expires, data: {} });
  await folder.json(...args);
  write(
    { id: "one", expires, user: "anna", data: { cart: ["tea"] } },
    { id: "two", expires, user: "bert", data: {} },
  );
  const { refreshed } = await folder.json(...args, "--refresh");
  assert.equal(refreshed, 2);
  assert.deepEqual(await usersOf("anna", "bert"), [1, 1]);

  // A file without users would take them away.
  write({ id: "one", expires, data: { cart: [] } });
  const without = await folder.run(...args, "--refresh");
  assert.equal(without.code, 2);
  assert.match(without.err, /imported with a user/);
});

test("import ndjson: data for the drop-in stores → read by express-session's and koa-session's", async () => {
  const expires = soon();
  write(
    { id: "express-1", expires, data: { cart: ["tea"], cookie: { originalMaxAge: 3_600_000, path: "/" } } },
    { id: "koa-1", expires, data: { cart: ["tea"], _maxAge: 3_600_000 } },
  );
  await folder.json(...args);
  const options = () => ({
    store: sqliteStore(folder.file("ours.sqlite3")),
    keys: folder.env["STORED_SESSION_KEYS"]!,
  });
  const store = new StoredSessionStore(options());
  const session = await (store.get as any)("express-1");
  assert.deepEqual([session.cart, session.cookie.originalMaxAge], [["tea"], 3_600_000]);
  await store.close();
  const koa = new StoredSessionKoaStore(options());
  assert.deepEqual((await koa.get("koa-1"))!["cart"], ["tea"]);
  await koa.close();
});

test("import ndjson: lines that hold no session that can be stored → counted and listed with what finds them", async () => {
  const expires = soon();
  write(
    `\uFEFF${JSON.stringify({ id: "good", expires, data: {} })}\r`,
    "",
    { id: "no-data", expires },
    { id: "list", expires, data: [] },
    { id: "no-zone", expires: "2099-01-01T00:00:00", data: {} },
    { id: "words", expires: "tomorrow", data: {} },
    { id: "user", expires, data: {}, user: { id: 1 } },
    { id: "too-large", expires, data: { text: "x".repeat(3_000_000) } },
    { id: "good", expires, data: {} },
  );
  const { read, imported, skipped } = await folder.json(...args, "--left-out", "left.jsonl");
  assert.deepEqual(
    [read, imported, skipped.unreadable, skipped.notStorable, skipped.thereAlready],
    [8, 1, 5, 1, 1],
  );
  const finds = readFileSync(folder.file("left.jsonl"), "utf8").trimEnd().split("\n");
  const found = finds.map((line) => {
    const command = (JSON.parse(line) as { find: string }).find;
    return (
      JSON.parse(execFileSync("sh", ["-c", command], { encoding: "utf8", maxBuffer: 1e8 })) as { id: string }
    ).id;
  });
  assert.deepEqual(found.toSorted(), ["list", "no-data", "no-zone", "too-large", "user", "words"]);
});

test("import ndjson: a file that is cut off, misspelt or not there → refused before anything is written", async () => {
  const good = { id: "good", expires: soon(), data: {} };
  const cases: [string | object, RegExp][] = [
    ['{"id":"cut-o', /Line 2 of .*sessions\.ndjson is not JSON; the export may have been cut off/],
    [
      { id: "a", expire: soon(), data: {} },
      /Line 2 .* has the property "expire"; use id, data, expires, user/,
    ],
    [{ sid: "a", data: {} }, /has the property "sid"/],
    [{ data: {} }, /has no "id"/],
    [{ id: 7, data: {} }, /has no "id"/],
    ["[]", /is not an object/],
  ];
  for (const [line, expected] of cases) {
    write(good, line);
    const { code, err, out } = await folder.run(...args, "--batch-size", "1");
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, expected);
    assert.match(err, /Nothing was changed\.$/m);
  }
  assert.equal((await folder.json("count")).live, 0);
  const missing = await folder.run("import", "ndjson", "--from", "none.ndjson");
  assert.match(missing.err, /There is no file .*none\.ndjson/);
  assert.match((await folder.run("import", "ndjson", "--from", ".")).err, /is not a file/);
  assert.match((await folder.run("import", "ndjson")).err, /The file of ndjson is not set/);
  write();
  const nothing = await folder.run(...args);
  assert.deepEqual([nothing.code, nothing.out], [0, "Imported 0 of 0 sessions.\n"]);
});

test("docs/frameworks/moving.md: the export of connect-mongo's sessions, run and imported → the same cookies stay logged in", async () => {
  const page = readFileSync(new URL("../../docs/frameworks/moving.md", import.meta.url), "utf8");
  const [, script] = /```js\n(\/\/ export-sessions\.mjs\n[^`]*|[^`]*MongoClient[\s\S]*?)```/.exec(page)!;
  const root = new URL("../../", import.meta.url).pathname;
  symlinkSync(join(root, "node_modules"), folder.file("node_modules"));
  writeFileSync(folder.file("export-sessions.mjs"), script!);
  const mongo = await startMongo();
  try {
    const cookies: string[] = [];
    for (const stringify of [true, false]) {
      const old = MongoStore.create({ mongoUrl: mongo.url, stringify, autoRemove: "disabled" });
      cookies.push(...(await logIn(old, stringify ? ["anna", "bert", "cleo"] : ["dora"])));
      await old.close();
    }
    const env = { ...process.env, MONGODB_URL: mongo.url };
    await promisify(execFile)(process.execPath, ["export-sessions.mjs"], { cwd: folder.path, env });
    assert.equal(statSync(folder.file("sessions.ndjson")).mode & 0o777, 0o600);
    const { imported, withUser } = await folder.json(...args, "--user-path", "passport.user");
    assert.deepEqual([imported, withUser], [4, 4]);
    const store = new StoredSessionStore({
      store: sqliteStore(folder.file("ours.sqlite3")),
      keys: folder.env["STORED_SESSION_KEYS"]!,
    });
    const app = await serve(store);
    const users: unknown[] = [];
    for (const cookie of cookies) {
      const answer = await fetch(app.url, { headers: { cookie } });
      users.push(((await answer.json()) as { user: unknown }).user);
    }
    assert.deepEqual(users, ["anna", "bert", "cleo", "dora"]);
    await app.close();
    await store.close();
  } finally {
    await mongo.stop();
  }
});
