/** Runs the commands of docs/backup.md with the databases' own programs. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, test } from "vitest";
import { clientsOf } from "../../scripts/services/clients.ts";
import { createSessionManager, generateKey, type SessionManager } from "../../src/index.ts";
import { main } from "../cli/command.ts";
import { chosenDatabases } from "../servers/chosen.ts";
import { DEFAULT_TABLE, namesIn } from "../../src/sql/names.ts";
import { openPlace } from "../session/place.ts";
import { ownDatabase, type OwnDatabase } from "./own-database.ts";
import { markedBlock, pageOf } from "./page.ts";

interface Result {
  code: number;
  out: string;
}

const key = generateKey();

describe.each(chosenDatabases())("docs/backup.md, %s", (kind) => {
  let clients: string;
  let database: OwnDatabase;
  let folder: string;
  let keys: string;

  beforeAll(async () => {
    clients = await clientsOf(kind);
  }, 300_000);
  beforeEach(async () => {
    database = await ownDatabase(kind);
    folder =
      kind === "sqlite" ? dirname(database.place.at) : mkdtempSync(join(tmpdir(), "stored-session-backup-"));
    keys = key;
    // `npx` finds the package that is installed; here it is the sources.
    writeFileSync(join(folder, "npx"), `#!/bin/sh\nshift\nexec '${process.execPath}' '${main}' "$@"\n`, {
      mode: 0o755,
    });
    symlinkSync(process.execPath, join(folder, "node"));
    writeConnection();
    assert.equal((await sh("npx stored-session migrate")).code, 0);
  });
  afterEach(async () => {
    rmSync(folder, { recursive: true, force: true });
    await database[Symbol.asyncDispose]();
  });

  /** The file with the password that the page shows, for the database of this moment. */
  function writeConnection(): void {
    if (kind === "sqlite") return;
    const block = kind === "postgres" ? "postgres backup.conf" : "mysql backup.cnf";
    const { hostname, port, username, password } = new URL(database.url);
    const given = { host: hostname, port, user: username, password, dbname: database.name };
    const settings = Object.entries(given).reduce(
      (text, [name, value]) => text.replace(new RegExp(`^${name}=.*$`, "m"), `${name}=${value}`),
      markedBlock("backup.md", block),
    );
    writeFileSync(join(folder, block.split(" ")[1]!), settings, { mode: 0o644 });
  }

  function sh(commands: string): Promise<Result> {
    const env = {
      PATH: `${folder}:${clients}:/usr/bin:/bin`,
      HOME: folder,
      STORED_SESSION_DATABASE_URL: database.url,
      STORED_SESSION_KEYS: keys,
      NODE_COMPILE_CACHE: join(tmpdir(), "stored-session-compile-cache"),
    };
    const inDatabase = commands.replaceAll(/\bshop\b/g, database.name);
    return new Promise((resolve) => {
      execFile("sh", ["-e", "-c", inDatabase], { cwd: folder, env }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), out: stdout + stderr }),
      );
    });
  }

  async function succeeds(commands: string): Promise<string> {
    const { code, out } = await sh(commands);
    assert.equal(code, 0, `${commands}\n${out}`);
    return out;
  }

  /** With an application that starts and stops. */
  async function withSessions<T>(
    work: (manager: SessionManager<{ hits: number }>) => Promise<T>,
  ): Promise<T> {
    const manager = createSessionManager<{ hits: number }>({ store: openPlace(database.place), keys });
    return await work(manager).finally(() => manager.close());
  }

  const logIn = (...users: string[]) =>
    withSessions((manager) =>
      Promise.all(
        users.map(async (user) => {
          const session = await manager.load(null);
          session.login(user);
          session.data.hits = 1;
          return (await manager.commit(session))!.split(";")[0]!;
        }),
      ),
    );
  const usersOf = (cookies: readonly string[]) =>
    withSessions((manager) => Promise.all(cookies.map(async (cookie) => (await manager.load(cookie)).user)));

  const backup = () => succeeds(markedBlock("backup.md", `${kind} backup`));
  const [revoke] = /^npx stored-session revoke .*\n/m.exec(markedBlock("backup.md", `${kind} restore`)) ?? [];
  const restore = () => succeeds(markedBlock("backup.md", `${kind} restore`));
  const restoreKeeping = () => succeeds(markedBlock("backup.md", `${kind} restore`).replace(revoke!, ""));

  test("backup while sessions are written, restore without revoke → sessions of the backup, also those logged out since", async () => {
    const before = await logIn("1", "2", "3");
    await backup();
    const files = { postgres: ["backup.conf", "sessions.dump"], sqlite: ["backup.sqlite3"] } as Record<
      string,
      string[]
    >;
    for (const file of files[kind] ?? ["backup.cnf", "sessions.sql"])
      assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, `${file} is only its owner's`);
    const since = await logIn("4");
    await withSessions(async (manager) => {
      const gone = await manager.load(before[0]!);
      gone.destroy();
      await manager.commit(gone);
      const changed = await manager.load(before[1]!);
      changed.data.hits = 2;
      await manager.commit(changed);
    });
    assert.deepEqual(await usersOf([...before, ...since]), [undefined, "2", "3", "4"]);
    await restoreKeeping();
    assert.deepEqual(await usersOf([...before, ...since]), ["1", "2", "3", undefined]);
    const { data } = await withSessions((manager) => manager.load(before[1]!));
    assert.equal(data.hits, 1);
    await logIn("5"); // the tables are whole: they take new rows
  });

  test("restore as written → nobody of the backup is logged in, and the tables are ready", async () => {
    const before = await logIn("1", "2");
    await backup();
    const printed = await restore();
    assert.match(printed, /Revoked 2 sessions\./);
    assert.deepEqual(await usersOf(before), [undefined, undefined]);
    assert.deepEqual(await usersOf(await logIn("3")), ["3"]);
  });

  // On SQLite a restore replaces the file.
  test.runIf(kind !== "sqlite")(
    "restore into an empty database → every table, and the sessions",
    async () => {
      const before = await logIn("1", "2");
      await backup();
      const full = database;
      try {
        await using empty = await ownDatabase(kind);
        database = empty;
        writeConnection();
        assert.match(await restoreKeeping(), /up to date/);
        assert.deepEqual(await usersOf(before), ["1", "2"]);
      } finally {
        database = full;
      }
    },
  );

  test("restore after a rotation → opens with the removed key at the end of the ring, not without it", async () => {
    const before = await logIn("1", "2");
    await backup();
    keys = generateKey();
    const { code, out } = await sh(markedBlock("backup.md", `${kind} restore`).replace(revoke!, ""));
    assert.equal(code, 1, out);
    assert.match(out, /add it at the end of STORED_SESSION_KEYS/);
    assert.deepEqual(await usersOf(before), [undefined, undefined]);
    keys += `,${key}`;
    await succeeds("npx stored-session check");
    assert.deepEqual(await usersOf(before), ["1", "2"]);
  });

  test.runIf(kind === "sqlite")("sqlite3 .backup while the application runs → the same restore", async () => {
    const before = await logIn("1");
    await withSessions(async (manager) => {
      await manager.commit(await manager.load(before[0]!));
      await succeeds(markedBlock("backup.md", "sqlite backup with sqlite3"));
    });
    await succeeds("npx stored-session revoke --all --yes");
    await restoreKeeping();
    assert.deepEqual(await usersOf(before), ["1"]);
  });
});

test("docs/backup.md → names every table", () => {
  const page = pageOf("backup.md");
  const names = Object.values(namesIn([], DEFAULT_TABLE, (name) => name));
  const tables = names.filter(
    (name) => !/_(user_ref|expires_bucket|time|subject|session|user|link)$/.test(name),
  );
  assert.ok(tables.length >= 8, tables.join());
  for (const table of tables) assert.ok(page.includes(`\`${table.replace(/_audit.*/, "_audit…")}\``), table);
});
