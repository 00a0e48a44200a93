import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "vitest";
import { MIGRATIONS } from "../../src/sql/migrations/migrator.ts";
import { generateKey } from "../../src/index.ts";
import { Folder } from "./command.ts";

const source = (file: string) => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => folder.remove());

test("configuration: options or a manager, in TypeScript or JavaScript → loaded, with keys from .env", async () => {
  writeFileSync(folder.file(".env"), `STORED_SESSION_KEYS=${generateKey()}\n`);
  const options = `{ store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS }`;
  const imports = `import { sqliteStore } from ${source("sql/sqlite/store.ts")};
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

test("configuration: a promise, a function, or compiled CommonJS → loaded", async () => {
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  assert.equal((await folder.run("migrate", "-d", "sqlite:sessions.sqlite3")).code, 0);
  const imports = `import { sqliteStore } from ${source("sql/sqlite/store.ts")};`;
  const options = `{ store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS }`;
  const compiled = `Object.defineProperty(exports, "__esModule", { value: true });
    const { sqliteStore } = require(${JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).pathname)});
    exports.default = ${options};`;
  for (const [name, text] of [
    ["promise.mjs", `${imports}\nexport default Promise.resolve(${options});`],
    ["function.mjs", `${imports}\nexport default async () => (${options});`],
    ["compiled.cjs", compiled],
  ] as const) {
    writeFileSync(folder.file(name), text);
    assert.deepEqual(await folder.json("count", "-c", name), { live: 0 }, name);
  }
});

test("configuration: does not load → the reason and the place in the file", async () => {
  const path = folder.file("broken.mjs");
  for (const [text, sentence] of [
    ["\nexport default {", `Unexpected end of input (${path}:2)`],
    ["throw null;", "it threw null."],
    ["export default async () => { throw new Error('no vault'); };", "no vault"],
    ["import './other.cjs';", `Unexpected token ';' (${folder.file("other.cjs")}:2)`],
    ["import { nothing } from 'node:fs';", `does not provide an export named 'nothing' (${path}:1)`],
  ] as const) {
    writeFileSync(path, text);
    writeFileSync(folder.file("other.cjs"), "\nconst x = ;");
    const { err, code } = await folder.run("count", "-c", "broken.mjs");
    assert.ok(err.startsWith(`Error: ${path} could not be loaded: `), err);
    assert.ok(err.endsWith(`${sentence}\n`), err);
    assert.equal(code, 2);
  }
  writeFileSync(path, "export default async () => 'options';");
  assert.match(
    (await folder.run("count", "-c", "broken.mjs")).err,
    /has no default export that is an object/,
  );
});

test("configuration: its promise never settles → one sentence", async () => {
  const path = folder.file("never.mjs");
  for (const text of [
    "export default new Promise(() => {});",
    "export default () => new Promise(() => {});",
    "await new Promise(() => {}); export default {};",
    "export default {}; export const rails = new Promise(() => {});",
  ]) {
    writeFileSync(path, text);
    const { err, code } = await folder.run("count", "-c", "never.mjs");
    assert.equal(
      err,
      `Error: ${path} could not be loaded: its promise never settled. Check what it awaits.\n`,
    );
    assert.equal(code, 2);
  }
});

test("a configuration's `rails`: a promise, a function, or beside the options of CommonJS → read", async () => {
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  assert.equal((await folder.run("migrate", "-d", "sqlite:sessions.sqlite3")).code, 0);
  // In a process of its own: the files load the sources as Node does.
  writeFileSync(
    folder.file("print.mjs"),
    `import { configure } from ${source("cli/configuration.ts")};
    import { processTerminal } from ${source("cli/terminal.ts")};
    const { rails } = await configure(processTerminal(), { config: process.argv[2] }, { keys: false });
    console.log(JSON.stringify(rails));`,
  );
  const options = `{ store: sqliteStore("sessions.sqlite3"), keys: process.env.STORED_SESSION_KEYS }`;
  const imports = `import { sqliteStore } from ${source("sql/sqlite/store.ts")};\nexport default ${options};`;
  const required = `const { sqliteStore } = require(${JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).pathname)});`;
  for (const [name, text] of [
    ["object.mjs", `${imports}\nexport const rails = { format: 1 };`],
    ["promise.mjs", `${imports}\nexport const rails = Promise.resolve({ format: 1 });`],
    ["function.mjs", `${imports}\nexport const rails = async () => ({ format: 1 });`],
    ["beside.cjs", `${required}\nmodule.exports = { ...${options}, rails: { format: 1 } };`],
    [
      // Node takes this for an export of that name besides
      "short.cjs",
      `${required}\nconst options = ${options};\nconst rails = { format: 1 };\nmodule.exports = { ...options, rails };`,
    ],
    [
      "later.cjs",
      `${required}\nmodule.exports = async () => ({ ...${options}, rails: async () => ({ format: 1 }) });`,
    ],
  ] as const) {
    writeFileSync(folder.file(name), text);
    assert.deepEqual(await folder.json("count", "-c", name), { live: 0 }, name);
    const printed = spawnSync(process.execPath, ["print.mjs", name], {
      cwd: folder.path,
      env: folder.env,
      encoding: "utf8",
    });
    assert.equal(printed.stdout, '{"format":1}\n', `${name}: ${printed.stderr}`);
  }
});

test("keys in the .env beside the configuration → found from every directory", async () => {
  const app = folder.file("app");
  mkdirSync(app);
  const path = JSON.stringify(folder.file("app/sessions.sqlite3"));
  writeFileSync(
    folder.file("app/c.mjs"),
    `import { sqliteStore } from ${source("sql/sqlite/store.ts")};
    export default { store: sqliteStore(${path}), keys: process.env.STORED_SESSION_KEYS };`,
  );
  writeFileSync(folder.file("app/.env"), `STORED_SESSION_KEYS=${generateKey()}\n`);
  // The other folder's own key is for another application.
  writeFileSync(folder.file(".env"), `STORED_SESSION_KEYS=nonsense\n`);
  const migrated = await folder.run("migrate", "-c", "app/c.mjs");
  assert.ok(
    migrated.out.startsWith(
      `✓ Created ${folder.file("app/sessions.sqlite3")}\n✓ Ran ${MIGRATIONS.length} migration`,
    ),
  );
  assert.deepEqual((await folder.json("list", "-c", "app/c.mjs")).sessions, []);
});

test("an empty variable → not set; a folder called .env → ignored", async () => {
  mkdirSync(folder.file(".env"));
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  folder.env["STORED_SESSION_DATABASE_URL"] = "";
  const none = await folder.run("count");
  assert.match(none.err, /There is no configuration\. Run "stored-session init"/);
  assert.equal((await folder.run("migrate", "-d", "sqlite:sessions.sqlite3")).code, 0);
});

test("configuration: leaves handles open → the command ends all the same", async () => {
  // A pool of the application would: pg's for ten seconds, mysql2's for ever.
  writeFileSync(
    folder.file("stored-session.config.mjs"),
    `import { createServer } from "node:net";
    import { sqliteStore } from ${source("sql/sqlite/store.ts")};
    createServer().listen(0, "127.0.0.1");
    export default { store: sqliteStore("sessions.sqlite3") };`,
  );
  assert.equal((await folder.run("migrate")).code, 0);
  assert.equal((await folder.run("count")).out, "0 live sessions\n");
});

test("init → a working configuration, a key readable by its owner only, and nothing overwritten", async () => {
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
  assert.match(config, /store: sqliteStore\(join\(import\.meta\.dirname, "sessions\.sqlite3"\)\),/);

  const again = await folder.run("init");
  assert.equal(again.code, 2);
  assert.match(again.err, /already exists/);
  assert.equal((await folder.run("init", "--force")).code, 0);
  assert.equal(readFileSync(folder.file(".env"), "utf8"), env, "the key that is there stays");
  assert.equal(readFileSync(folder.file("stored-session.config.mjs"), "utf8"), config);
});

test("init: an empty --file → the default", async () => {
  assert.equal((await folder.run("init", "--yes", "--file", "")).code, 0);
  const config = readFileSync(folder.file("stored-session.config.mjs"), "utf8");
  assert.match(config, /join\(import\.meta\.dirname, "sessions\.sqlite3"\)/);
});

test("R28 init in a git repository → an ignore entry that git matches, and nothing outside this folder", async () => {
  const app = folder.file("app");
  mkdirSync(app);
  mkdirSync(folder.file("app/.git"));
  const inApp = new Folder();
  inApp.remove();
  Object.assign(inApp, { path: app });
  const ignored = async (file: string) => {
    rmSync(inApp.file(".gitignore"), { force: true });
    assert.equal((await inApp.run("init", "--force", "--file", file)).code, 0);
    return readFileSync(inApp.file(".gitignore"), "utf8");
  };
  for (const file of ["./x.sqlite3", "data/../x.sqlite3"]) {
    assert.equal(await ignored(file), ".env\nx.sqlite3\nx.sqlite3-wal\nx.sqlite3-shm\n");
  }
  for (const file of ["../x.sqlite3", ":memory:", "file:x.sqlite3?cache=shared", folder.file("y.sqlite3")]) {
    assert.equal(await ignored(file), ".env\n");
  }
});

test("init: the folder is missing → created, or one sentence and nothing changed", async () => {
  const { out, code } = await folder.run("init", "--file", "data/deep/s.sqlite3");
  assert.equal(code, 0);
  assert.ok(out.includes(`✓ Made the folder ${folder.file("data/deep")}: it must be there wherever`), out);
  const name = folder.file("stored-session.config.mjs");
  const text = readFileSync(name, "utf8");
  writeFileSync(name, text.replace('"stored-session/sqlite"', source("sql/sqlite/store.ts")));
  assert.equal((await folder.run("migrate")).code, 0);
  rmSync(name);
  rmSync(folder.file(".env"));
  writeFileSync(folder.file("taken"), "");
  const failed = await folder.run("init", "--file", "taken/deep/s.sqlite3");
  assert.equal(failed.code, 1);
  assert.match(failed.err, /The folder .*taken\/deep could not be created .* Nothing was changed\.\n$/);
  assert.deepEqual(readdirSync(folder.path).toSorted(), ["data", "taken"]);
});

test("init in a project with tsconfig.json → TypeScript, and the requested database", async () => {
  writeFileSync(folder.file("tsconfig.json"), "{}");
  writeFileSync(folder.file("package.json"), '{"type":"module"}');
  const { out } = await folder.run("init", "--database", "postgres");
  const config = readFileSync(folder.file("stored-session.config.ts"), "utf8");
  assert.match(config, /import { postgresStore } from "stored-session\/postgres";/);
  assert.match(config, /satisfies SessionManagerOptions;/);
  assert.match(out, /npm install pg/);
  assert.match(out, /DATABASE_URL/);
});

test("R28 init in a repository → the key stays out of it; a .env that others may read → a warning", async () => {
  mkdirSync(folder.file(".git"));
  mkdirSync(folder.file("app"));
  const app = new Folder();
  app.remove();
  Object.assign(app, { path: folder.file("app") });
  writeFileSync(app.file(".env"), "PORT=3000", { mode: 0o644 });
  const { out, code } = await app.run("init");
  assert.equal(code, 0);
  assert.match(readFileSync(app.file(".gitignore"), "utf8"), /^\.env$/m);
  assert.match(readFileSync(app.file(".env"), "utf8"), /^PORT=3000\nSTORED_SESSION_KEYS=ssk1_/);
  assert.match(out, /Other users of this machine may open \.env: "chmod 600 \.env" keeps the key from them/);
});

test("init: no place for the key → writes nothing; with a key from the environment → goes on", async () => {
  mkdirSync(folder.file(".env"));
  const { err, code } = await folder.run("init");
  assert.match(err, /\.env is not a file, so the key cannot be written to it/);
  assert.equal(code, 2);
  assert.deepEqual(readdirSync(folder.path), [".env"]);
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  assert.equal((await folder.run("init")).code, 0);
});

test("init: its configuration runs without DATABASE_URL → names the variable", async () => {
  for (const [database, typescript, name] of [
    ["postgres", "--no-typescript", "stored-session.config.mjs"],
    ["mysql", "--typescript", "stored-session.config.mts"],
  ] as const) {
    assert.equal((await folder.run("init", "--database", database, typescript, "--force")).code, 0);
    const text = readFileSync(folder.file(name), "utf8");
    const store = JSON.stringify(new URL(`../../src/sql/${database}/store.ts`, import.meta.url).href);
    writeFileSync(folder.file(name), text.replace(`"stored-session/${database}"`, store));
    const { err, code } = await folder.run("count", "-c", name);
    assert.match(err, /DATABASE_URL is not set\. Set it to the URL of the session database\./);
    assert.equal(code, 2);
    rmSync(folder.file(name));
  }
});
