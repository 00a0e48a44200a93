import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { Folder } from "./command.ts";

const source = (file: string) => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => folder.remove());

test("options or a manager, in TypeScript or JavaScript, with keys from .env", async () => {
  writeFileSync(folder.file(".env"), `STORED_SESSION_KEYS=${generateKey()}\n`);
  const options = `{ store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS }`;
  const imports = `import { sqliteStore } from ${source("store/sqlite.ts")};
    import { createSessionManager } from ${source("index.ts")};`;
  writeFileSync(
    folder.file("stored-session.config.ts"),
    `${imports}\nconst options: object = ${options};\nexport default options;`,
  );
  assert.equal((await folder.run("migrate")).code, 0);
  assert.deepEqual(await folder.json("count"), { live: 0 });
  writeFileSync(folder.file("manager.mjs"), `${imports}\nexport default createSessionManager(${options});`);
  assert.deepEqual(await folder.json("count", "--config", "manager.mjs"), { live: 0 });
  const both = await folder.run("count", "--config", "manager.mjs", "-d", "sqlite:sessions.sqlite3");
  assert.equal(both.code, 2);
  writeFileSync(folder.file("strange.mjs"), "class SessionManager {}\nexport default new SessionManager();");
  const { err } = await folder.run("count", "--config", "strange.mjs");
  assert.match(err, /uses another copy of stored-session/);
});

test("init writes a configuration that works, a key that only its owner reads, and overwrites nothing", async () => {
  mkdirSync(folder.file(".git"));
  const first = await folder.run("init");
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /npx stored-session migrate\n {2}npx stored-session check/);
  const env = readFileSync(folder.file(".env"), "utf8");
  assert.match(env, /^STORED_SESSION_KEYS=ssk1_[\w-]{43}\n$/);
  assert.ok(!first.out.includes(env.trim().split("=")[1]!), "the key is not printed");
  assert.equal(statSync(folder.file(".env")).mode & 0o777, 0o600);
  assert.equal(
    readFileSync(folder.file(".gitignore"), "utf8"),
    ".env\nsessions.sqlite3\nsessions.sqlite3-wal\nsessions.sqlite3-shm\n",
  );
  const config = readFileSync(folder.file("stored-session.config.mjs"), "utf8");

  const again = await folder.run("init");
  assert.equal(again.code, 2);
  assert.match(again.err, /is there already/);
  assert.equal((await folder.run("init", "--force")).code, 0);
  assert.equal(readFileSync(folder.file(".env"), "utf8"), env, "the key that is there stays");
  assert.equal(readFileSync(folder.file("stored-session.config.mjs"), "utf8"), config);
});

test("init follows the project: TypeScript where there is a tsconfig.json, and the database asked for", async () => {
  writeFileSync(folder.file("tsconfig.json"), "{}");
  writeFileSync(folder.file("package.json"), '{"type":"module"}');
  const { out } = await folder.run("init", "--database", "postgres");
  const config = readFileSync(folder.file("stored-session.config.ts"), "utf8");
  assert.match(config, /import { postgresStore } from "stored-session\/postgres";/);
  assert.match(config, /satisfies SessionManagerOptions;/);
  assert.match(out, /npm install pg/);
  assert.match(out, /DATABASE_URL/);
});
