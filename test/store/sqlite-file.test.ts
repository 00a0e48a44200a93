/** The file of an open SQLite database is removed or replaced (promise 7). */
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SqliteCheckpoints } from "../../src/sql/sqlite/checkpointer.ts";
import { StoreUnavailableError } from "../../src/errors.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { sqliteStore, type SqliteHandle } from "../../src/sql/sqlite/store.ts";
import { markedBlock } from "../guides/page.ts";
import { sqliteDrivers } from "../servers/chosen.ts";
import { nextRow, randomRow, randomRows } from "../servers/rows.ts";

const BetterSqlite3 = createRequire(import.meta.url)("better-sqlite3") as new (path: string) => SqliteHandle;

let folder: string;
let path: string;
const opened: { close(): unknown }[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stored-session-file-"));
  path = join(folder, "sessions.sqlite3");
});

afterEach(async () => {
  vi.useRealTimers();
  for (const one of opened.splice(0)) await one.close();
  rmSync(folder, { recursive: true, force: true });
});

function handleOf(handle: SqliteHandle): SqlStore {
  handle.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  opened.push(handle);
  return sqliteStore(handle);
}

const ways: [string, () => SqlStore][] = [
  ["node:sqlite by path", () => sqliteStore(path)],
  ["a handle of node:sqlite", () => handleOf(new DatabaseSync(path) as unknown as SqliteHandle)],
];
if (sqliteDrivers.includes("better-sqlite3")) {
  ways.push(["better-sqlite3 by path", () => sqliteStore(path, { driver: "better-sqlite3" })]);
  ways.push(["a handle of better-sqlite3", () => handleOf(new BetterSqlite3(path))]);
}

describe.each(ways)("%s", (_, open) => {
  async function filled(count = 3) {
    const store = open();
    opened.unshift(store);
    await store.migrate();
    const rows = randomRows(count);
    await store.insert(rows);
    return { store, rows };
  }

  const changes: [string, () => void, RegExp][] = [
    ["rm of the file", () => rmSync(path), /was removed while the application had it open/],
    [
      "rm of all three files",
      () => ["", "-wal", "-shm"].forEach((suffix) => rmSync(path + suffix)),
      /was removed/,
    ],
    ["mv of the file elsewhere", () => renameSync(path, join(folder, "moved")), /was removed/],
    [
      "mv of a backup over the file",
      () => {
        copyFileSync(path, join(folder, "backup"));
        renameSync(join(folder, "backup"), path);
      },
      /was replaced while the application had it open/,
    ],
    ["rm of the -wal", () => rmSync(`${path}-wal`), /-wal file beside .* was removed/],
    ["rm of the -shm", () => rmSync(`${path}-shm`), /-shm file beside .* was removed/],
    [
      "another -wal in its place",
      () => {
        rmSync(`${path}-wal`);
        writeFileSync(`${path}-wal`, "");
      },
      /-wal file beside .* was replaced/,
    ],
  ];

  test.each(changes)(
    "%s → no write is acknowledged, and the error says what to do",
    async (_what, change, message) => {
      const { store, rows } = await filled();
      change();
      const [row] = rows as [(typeof rows)[0]];
      for (const write of [
        () => store.insert([randomRow()]),
        () => store.insert(randomRows(4)),
        () => store.update([{ loaded: row, next: nextRow(row) }]),
        () => store.replace(row, randomRow()),
        () => store.delete([row.id]),
        () => store.touch([{ id: row.id, updatedAt: row.updatedAt + 1, expiresAt: row.expiresAt + 1 }]),
        () => store.lease("job", "me", 2_000, 1_000),
      ]) {
        const error: unknown = await write().then(
          (value) => value,
          (reason: unknown) => reason,
        );
        expect(error).toBeInstanceOf(StoreUnavailableError);
        expect((error as Error).message).toMatch(message);
        expect((error as Error).message).toMatch(/Stop the application.*docs\/backup\.md/);
      }
    },
  );

  test("rm of the file → reads fail as well, a moment later", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { store, rows } = await filled();
    await store.read([rows[0]!.id]);
    rmSync(path);
    vi.advanceTimersByTime(100);
    await expect(store.read([rows[0]!.id])).rejects.toThrow(/was removed/);
    await expect(store.read([rows[0]!.id])).rejects.toMatchObject({ outcome: "none", status: 503 });
  });

  test("the file is moved away and back → the store goes on", async () => {
    const { store, rows } = await filled();
    renameSync(path, join(folder, "moved"));
    await expect(store.insert([randomRow()])).rejects.toThrow(/was removed/);
    renameSync(join(folder, "moved"), path);
    expect(await store.read([rows[0]!.id])).toEqual([rows[0]]);
    expect(await store.insert([randomRow()])).toEqual([true]);
  });

  test("many writes, checkpoints and a VACUUM by another process → no false alarm", async () => {
    const { store } = await filled();
    for (let round = 0; round < 20; round++) await store.insert(randomRows(100));
    const program = `const { DatabaseSync } = require("node:sqlite"); const db = new DatabaseSync(process.argv[1], { timeout: 5000 }); db.exec("PRAGMA wal_checkpoint(TRUNCATE); VACUUM"); db.close();`;
    execFileSync(process.execPath, ["--no-warnings", "-e", program, path]);
    expect(await store.insert([randomRow()])).toEqual([true]);
    expect(await store.count(0)).toBe(2_004);
  });
});

test("the owner of a handle leaves WAL mode → no false alarm", async () => {
  const handle = new DatabaseSync(path) as unknown as SqliteHandle;
  const store = handleOf(handle);
  await store.migrate();
  await store.insert(randomRows(2));
  handle.exec("PRAGMA journal_mode = DELETE");
  expect(existsSync(`${path}-wal`)).toBe(false);
  expect(await store.insert([randomRow()])).toEqual([true]);
});

test("SQLite: another file takes the place of the open one → the checkpointing thread does not touch it", async () => {
  const handle = new DatabaseSync(path);
  opened.push(handle);
  handle.exec("PRAGMA journal_mode = WAL; CREATE TABLE notes (text TEXT)");
  const checkpoints = new SqliteCheckpoints(handle as unknown as SqliteHandle, path);
  const other = join(folder, "other.sqlite3");
  const restored = new DatabaseSync(other);
  restored.exec(
    "PRAGMA journal_mode = WAL; CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine')",
  );
  restored.close();
  renameSync(other, path);
  const before = readFileSync(path);
  checkpoints.wrote(10_000);
  await checkpoints.close();
  expect(readFileSync(path).equals(before)).toBe(true);
});

describe("the commands of docs/backup.md", () => {
  // Those of the package are in test/guides/backup.test.ts.
  const block = (name: string): string =>
    markedBlock("backup.md", `sqlite ${name}`).replaceAll(/^npx stored-session .*\n/gm, "");
  const run = (name: string): void => {
    const bin = `${process.execPath.replace(/\/[^/]*$/, "")}:${process.env["PATH"] ?? ""}`;
    const { status, stderr } = spawnSync("sh", ["-e", "-c", block(name)], {
      cwd: folder,
      env: { ...process.env, PATH: bin },
      encoding: "utf8",
    });
    expect(stderr.replace(/^.*ExperimentalWarning.*\n.*\n/m, "")).toBe("");
    expect(status).toBe(0);
  };

  test("backup while the application writes, restore while it is stopped → every session of the backup", async () => {
    const store = sqliteStore(path);
    const rows = randomRows(300);
    await store.insert(rows);
    run("backup");
    await store.insert(randomRows(50));
    await store.delete(rows.map(({ id }) => id));
    await store.close();
    run("restore");
    const after = sqliteStore(path);
    opened.push(after);
    expect(await after.read(rows.map(({ id }) => id))).toEqual(rows);
    expect(await after.count(0)).toBe(300);
  });

  test("restore after a crash left a log behind → every session of the backup, nothing of the log", async () => {
    const store = sqliteStore(path);
    const rows = randomRows(300);
    await store.insert(rows);
    run("backup");
    await store.delete(rows.map(({ id }) => id));
    // As a crash leaves them.
    for (const suffix of ["", "-wal", "-shm"]) copyFileSync(path + suffix, join(folder, `crashed${suffix}`));
    await store.close();
    for (const suffix of ["", "-wal", "-shm"]) copyFileSync(join(folder, `crashed${suffix}`), path + suffix);
    run("restore");
    const after = sqliteStore(path);
    opened.push(after);
    expect(await after.read(rows.map(({ id }) => id))).toEqual(rows);
  });
});
