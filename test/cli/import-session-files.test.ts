/** `import session-file-store`: sessions out of the files of the real package. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { afterEach, beforeEach, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { SessionFilesReader } from "../../src/cli/import/session-files.ts";
import { generateKey } from "../../src/index.ts";
import { rowIdOf } from "../../src/session/token.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { Folder } from "./command.ts";
import { idIn, logIn, serve } from "./old-application.ts";

// They come without types.
const require = createRequire(import.meta.url);
const FileStore = require("session-file-store")(require("express-session"));

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  assert.equal((await folder.run("migrate")).code, 0);
});
afterEach(() => folder.remove());

const args = ["import", "session-file-store", "--from", "old"];
const fileStore = (options: object = {}) =>
  new FileStore({ path: folder.file("old"), reapInterval: -1, retries: 0, logFn() {}, ...options });
const save = (store: any, sid: string, session: object) =>
  new Promise<void>((resolve, reject) =>
    store.set(sid, session, (error: Error | null) => (error ? reject(error) : resolve())),
  );
const rowOf = async (sid: string) => {
  const store = sqliteStore(folder.file("ours.sqlite3"));
  try {
    return (await store.read([rowIdOf(Buffer.from(sid))]))[0] ?? null;
  } finally {
    await store.close();
  }
};

test("promise 3: an application with session-file-store, imported → the same cookies stay logged in through the drop-in; what ends afterwards stays ended", async () => {
  const cookies = await logIn(fileStore(), ["anna", "bert"]);
  const users = ["--user-path", "passport.user"];
  const tried = await folder.json(...args, ...users, "--dry-run");
  assert.deepEqual([tried.read, tried.imported, tried.withUser], [2, 2, 2]);
  const { imported } = await folder.json(...args, ...users, "--batch-size", "1");
  assert.equal(imported, 2);
  assert.equal(readdirSync(folder.file("old")).length, 2, "the files are only read");
  const store = new StoredSessionStore({
    store: sqliteStore(folder.file("ours.sqlite3")),
    keys: folder.env["STORED_SESSION_KEYS"]!,
    userOf: (data) => (data["passport"] as { user?: string } | undefined)?.user,
  });
  const app = await serve(store);
  const userOf = async (cookie: string) =>
    ((await (await fetch(app.url, { headers: { cookie } })).json()) as { user: unknown }).user;
  assert.deepEqual(await Promise.all(cookies.map(userOf)), ["anna", "bert"]);
  const session = await (store.get as any)(idIn(cookies[0]!));
  assert.ok(!("__lastAccess" in session), "a property of the old store");
  await store.sessions.forUser("anna").revokeAll();
  const again = await folder.json(...args, ...users);
  assert.deepEqual([again.imported, again.skipped.importedBefore], [0, 2]);
  assert.deepEqual(await Promise.all(cookies.map(userOf)), [null, "bert"]);
  await app.close();
  await store.close();
});

test("import session-file-store: with and without maxAge, used long ago → each ends when its store would end it", async () => {
  const store = fileStore();
  await save(store, "max-age", { cookie: { originalMaxAge: 7_200_000 } });
  await save(store, "no-max-age", { cookie: { originalMaxAge: null } });
  await save(store, "ended", { cookie: { originalMaxAge: 1_000 } });
  const path = folder.file("old/ended.json");
  const ended = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...ended, __lastAccess: Date.now() - 1_001 }));
  assert.equal(
    await new Promise((resolve) => store.get("ended", (_: unknown, got: unknown) => resolve(got))),
    null,
  );

  const { imported, skipped } = await folder.json(...args);
  assert.deepEqual([imported, skipped.ended], [2, 1]);
  const usedAt = (sid: string) =>
    JSON.parse(readFileSync(folder.file(`old/${sid}.json`), "utf8"))["__lastAccess"];
  assert.equal((await rowOf("max-age"))!.expiresAt, usedAt("max-age") + 7_200_000);
  assert.equal((await rowOf("no-max-age"))!.expiresAt, usedAt("no-max-age") + 3_600_000);

  await save(store, "other-ttl", { cookie: {} });
  await folder.json(...args, "--lifetime", "2 h");
  assert.equal((await rowOf("other-ttl"))!.expiresAt, usedAt("other-ttl") + 7_200_000);

  // Used in the old application since the import.
  await save(store, "max-age", { cookie: { originalMaxAge: 9_000_000 } });
  await folder.json(...args, "--refresh");
  assert.equal((await rowOf("max-age"))!.expiresAt, usedAt("max-age") + 9_000_000);
});

test("import session-file-store: files that are no sessions → skipped, counted and listed with what finds them", async () => {
  await save(fileStore(), "good-0123456789", { cookie: {} });
  writeFileSync(folder.file("old/broken-0123456789.json"), '{"cookie":{');
  writeFileSync(folder.file("old/package-0123456789.json"), '{"name":"app"}');
  writeFileSync(folder.file("old/array-0123456789.json"), "[]");
  writeFileSync(folder.file("old/notes.txt"), "no session");
  mkdirSync(folder.file("old/folder.json"));
  const { read, imported, skipped } = await folder.json(...args, "--left-out", "left.jsonl");
  assert.deepEqual([read, imported, skipped.unreadable], [4, 1, 3]);
  const text = readFileSync(folder.file("left.jsonl"), "utf8");
  assert.ok(!text.includes("0123456789"), "R28: no whole session id");
  for (const line of text.trimEnd().split("\n")) {
    const found = execFileSync("sh", ["-c", JSON.parse(line).find], { encoding: "utf8" });
    assert.match(found, /^\S+\/(broken|package|array)-0123456789\.json\n$/);
  }
});

test("import session-file-store --file-extension: another or none → its files are read; the wrong one → refused", async () => {
  const options = { fileExtension: ".session" };
  await save(fileStore(options), "one", { cookie: {} });
  const wrong = await folder.run(...args);
  assert.equal(wrong.code, 2);
  assert.match(
    wrong.err,
    /None of the 1 files in .* ends with "\.json"\. .*--file-extension\. Nothing was changed/,
  );
  assert.equal((await folder.json(...args, "--file-extension", ".session")).imported, 1);
  rmSync(folder.file("old"), { recursive: true });
  await save(fileStore({ fileExtension: "" }), "two", { cookie: {} });
  assert.equal((await folder.json(...args, "--file-extension", "")).imported, 1);
  assert.ok(await rowOf("two"));
});

test("import session-file-store: files encrypted with `secret` → refused with what to do, nothing written", async () => {
  for (const encryptEncoding of ["hex", "base64"]) {
    await save(fileStore({ secret: "Correct horse 5 battery!", encryptEncoding }), "one", { cookie: {} });
    const { code, err, out } = await folder.run(...args);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, /are encrypted: the application passes `secret` to session-file-store.*import ndjson/);
  }
  assert.equal((await folder.json("count")).live, 0);
});

test("import session-file-store: no directory, or a session that ends while it is read → said, or left out", async () => {
  const none = await folder.run(...args);
  assert.equal(none.code, 2);
  assert.match(none.err, /There is no directory .*old\. Pass the option `path`/);
  for (const sid of ["a", "b", "c"]) await save(fileStore(), sid, { cookie: {} });
  const reader = new SessionFilesReader({ folder: folder.file("old"), extension: ".json", lifetime: 1 });
  await reader.begin();
  const sids: string[] = [];
  for await (const page of reader.pages(1)) {
    sids.push(...page.map(({ sid }) => sid));
    for (const sid of ["a", "b", "c"])
      if (!sids.includes(sid)) rmSync(folder.file(`old/${sid}.json`), { force: true });
  }
  assert.equal(sids.length, 1);
});
