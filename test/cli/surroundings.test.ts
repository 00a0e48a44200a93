/** What stands around a command: the environment, .env, the configuration's own habits, files that are links or pipes. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { Folder } from "./command.ts";

const source = (file: string) => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);
const database = ["-d", "sqlite:sessions.sqlite3"];

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => folder.remove());

function configure(before: string, after = ""): void {
  writeFileSync(
    folder.file("stored-session.config.mjs"),
    `import { sqliteStore } from ${source("sql/sqlite/store.ts")};
${before}
const store = sqliteStore("sessions.sqlite3");
${after}
export default { store, keys: process.env.STORED_SESSION_KEYS };`,
  );
}

/** Every command that reads a configuration and can run unattended. */
const commands = [
  "check",
  "migrate",
  "migrate status",
  "count",
  "stats",
  "list",
  "expire",
  "expire --dry-run",
  "export --user 42",
  "erase --user 42 --yes",
  "revoke --all --yes",
  "keys status",
  "reseal",
];

describe("the environment", () => {
  test.each(["", "  "])("STORED_SESSION_KEYS exported as %j → the key in .env counts", async (value) => {
    assert.equal((await folder.run("migrate", ...database)).code, 0);
    const key = generateKey();
    writeFileSync(folder.file(".env"), `STORED_SESSION_KEYS=${key}\n`);
    folder.env["STORED_SESSION_KEYS"] = value;
    assert.deepEqual(
      await folder.json("list", "--user", "42", ...database).then(({ sessions }) => sessions),
      [],
    );
    const init = await folder.run("init");
    assert.match(init.out, /Kept the keys/);
    assert.equal(readFileSync(folder.file(".env"), "utf8"), `STORED_SESSION_KEYS=${key}\n`);
  });

  test("an address exported empty → that in .env counts", async () => {
    assert.equal((await folder.run("migrate", ...database)).code, 0);
    writeFileSync(folder.file(".env"), "STORED_SESSION_DATABASE_URL=sqlite:sessions.sqlite3\n");
    folder.env["STORED_SESSION_DATABASE_URL"] = "";
    assert.deepEqual(await folder.json("count"), { live: 0 });
  });

  test("a variable that is set → it goes before .env", async () => {
    assert.equal((await folder.run("migrate", ...database)).code, 0);
    writeFileSync(folder.file(".env"), "STORED_SESSION_KEYS=no-key\n");
    folder.env["STORED_SESSION_KEYS"] = generateKey();
    assert.equal((await folder.run("check", ...database)).code, 0);
  });

  test(".env is a pipe → it is not read, a warning says so, and nothing waits", async () => {
    execFileSync("mkfifo", [folder.file(".env")]);
    const { code, err } = await folder.run("migrate", ...database);
    assert.equal(code, 0);
    assert.match(err, /Warning: .*\.env is a pipe or a device, so it was not read/);
    assert.deepEqual(await folder.json("count", ...database), { live: 0 });
    const init = await folder.run("init");
    assert.match(init.err, /\.env is not a file, so the key cannot be written to it/);
    assert.equal(init.code, 2);
  });

  test("a configuration that is a pipe or a folder → refused, and nothing waits", async () => {
    execFileSync("mkfifo", [folder.file("pipe.mjs")]);
    mkdirSync(folder.file("folder.mjs"));
    for (const name of ["pipe.mjs", "folder.mjs"]) {
      const { code, err } = await folder.run("count", "-c", name);
      assert.equal(code, 2);
      assert.match(err, /is not a regular file/);
    }
  });
});

describe("a configuration that prints", () => {
  test.each(commands)("%s → standard output holds the JSON alone", async (command) => {
    const args = command.split(" ");
    folder.env["STORED_SESSION_KEYS"] = generateKey();
    configure("");
    assert.equal((await folder.run("migrate")).code, 0);
    configure(
      `console.log("loading"); process.stdout.write("printed"); console.table([{ a: 1 }]);`,
      `const { scan } = store; store.scan = (...args) => { console.log("asked"); return scan.apply(store, args); };
       setTimeout(() => console.log("later"), 0);`,
    );
    const { out, err } = await folder.run(...args, ...(args[0] === "migrate" ? [] : ["--json"]));
    assert.match(err, /loading/);
    assert.doesNotMatch(out, /loading|printed|asked|later/);
    if (args[0] !== "migrate") JSON.parse(out);
  });
});

describe("a configuration that ends the process", () => {
  test.each(commands)("%s → a failure, and the message says why", async (command) => {
    folder.env["STORED_SESSION_KEYS"] = generateKey();
    for (const code of [0, 3]) {
      configure("", `process.exit(${code});`);
      const answer = await folder.run(...command.split(" "));
      assert.equal(answer.code, 1);
      assert.match(
        answer.err,
        new RegExp(`ended with exit code ${code} before the command was done.*process\\.exit`),
      );
      assert.equal(answer.out, "");
    }
  });

  test("later, in the middle of the work → a failure as well", async () => {
    folder.env["STORED_SESSION_KEYS"] = generateKey();
    configure("");
    assert.equal((await folder.run("migrate")).code, 0);
    configure("", "store.deleteExpired = () => process.exit(0);");
    const { code, err } = await folder.run("expire");
    assert.equal(code, 1);
    assert.match(err, /before the command was done/);
  });
});

// Node 22.13 ignores the option.
const readsBigInts =
  typeof new DatabaseSync(":memory:", { readBigInts: true }).prepare("SELECT 1 AS one").get()!["one"] ===
  "bigint";

test.runIf(readsBigInts)(
  "check: a handle whose settings change results → they are named, and nothing is wrong",
  async () => {
    folder.env["STORED_SESSION_KEYS"] = generateKey();
    assert.equal((await folder.run("migrate", ...database)).code, 0);
    writeFileSync(
      folder.file("stored-session.config.mjs"),
      `import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from ${source("sql/sqlite/store.ts")};
const handle = new DatabaseSync("sessions.sqlite3", { readBigInts: true });
export default { store: sqliteStore(handle), keys: process.env.STORED_SESSION_KEYS };`,
    );
    const { ok, findings } = await folder.json("check");
    assert.equal(ok, true);
    const [settings] = findings.filter(({ about }: { about: string }) => about === "Settings");
    assert.match(settings.message, /has readBigInts or safeIntegers; the store's statements are immune/);
  },
);

describe("init", () => {
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "safe.directory=*", ...args], { cwd: folder.path, encoding: "utf8" });
  const isIgnored = (name: string): boolean => {
    try {
      return git("check-ignore", "--no-index", name) !== "";
    } catch {
      return false;
    }
  };

  test.each(["x.sqlite3\n!.env", "x\r!.env", "a\0b"])(
    "R28 --file %j → refused, and nothing is changed",
    async (file) => {
      git("init", "-q");
      const before = readdirSync(folder.path);
      // A process cannot be given a NUL in an argument.
      if (file.includes("\0")) return;
      const { code, err } = await folder.run("init", "--file", file);
      assert.equal(code, 2);
      assert.match(err, /control character/);
      assert.deepEqual(readdirSync(folder.path), before);
    },
  );

  test.each(["!.env", "#x.sqlite3", "*.sqlite3", "[ab].sqlite3", "x ", "a\\b"])(
    "R28 --file %j → git ignores that file and the key, and no other",
    async (file) => {
      git("init", "-q");
      assert.equal((await folder.run("init", "--file", file)).code, 0);
      assert.ok(isIgnored(".env"), readFileSync(folder.file(".gitignore"), "utf8"));
      if (!file.includes("\\"))
        assert.ok(isIgnored(`./${file}`), readFileSync(folder.file(".gitignore"), "utf8"));
      assert.equal(isIgnored("other.sqlite3"), false);
      assert.equal(isIgnored("a.sqlite3"), false);
    },
  );

  test.each([".env", ".gitignore", "stored-session.config.mjs", "stored-session.config.ts"])(
    "%s is a link that leads nowhere → refused, and nothing is made behind it",
    async (name) => {
      git("init", "-q");
      const target = folder.file("elsewhere");
      symlinkSync(target, folder.file(name));
      for (const force of [[], ["--force"]]) {
        const { code, err } = await folder.run("init", ...force);
        assert.equal(code, 2);
        assert.match(err, /Nothing was changed/);
        assert.equal(existsSync(target), false);
        assert.deepEqual(readdirSync(folder.path).toSorted(), [".git", name].toSorted());
      }
    },
  );

  test(".env is a link to a file → the key goes into that file", async () => {
    writeFileSync(folder.file("secrets"), "A=1\n", { mode: 0o600 });
    symlinkSync(folder.file("secrets"), folder.file(".env"));
    assert.equal((await folder.run("init")).code, 0);
    assert.match(readFileSync(folder.file("secrets"), "utf8"), /^A=1\nSTORED_SESSION_KEYS=/);
    assert.ok(lstatSync(folder.file(".env")).isSymbolicLink());
  });
});

test("R33 a database that is a link that leads nowhere yet → the file behind it is its owner's alone", async () => {
  symlinkSync(folder.file("volume.sqlite3"), folder.file("sessions.sqlite3"));
  assert.equal((await folder.run("migrate", ...database)).code, 0);
  assert.equal(statSync(folder.file("volume.sqlite3")).mode & 0o777, 0o600);
});
