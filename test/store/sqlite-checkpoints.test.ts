import { execFileSync } from "node:child_process";
import { existsSync, renameSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { sqliteDrivers } from "../servers/chosen.ts";
import { randomRow } from "./rows.ts";
import { Better, temporaryFolder } from "./temporary.ts";

const { file } = temporaryFolder();

async function fill(store: SqlStore, rows: number): Promise<Uint8Array[]> {
  const ids: Uint8Array[] = [];
  for (let from = 0; from < rows; from += 100) {
    const batch = Array.from({ length: 100 }, () => randomRow());
    expect(await store.insert(batch)).not.toContain(false);
    ids.push(...batch.map(({ id }) => id));
  }
  return ids;
}

/** `PRAGMA wal_autocheckpoint` of the store's own connection. */
async function pagesBeforeCheckpoint(store: SqlStore): Promise<unknown> {
  const { rows } = await store.database.run({ text: "PRAGMA wal_autocheckpoint", values: [], writes: false });
  return Object.values(rows[0] as object)[0];
}

const until = async (condition: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 1_000 && !condition(); turn++) await new Promise((done) => setTimeout(done, 10));
  expect(condition()).toBe(true);
};

test("checkpoints: the store is open → the WAL is written back, and nothing is lost (promise 7)", async () => {
  const path = file();
  const store = sqliteStore(path);
  const ids = await fill(store, 600);
  expect(await pagesBeforeCheckpoint(store), "SQLite does it itself only much later").toBe(10_000);
  await until(() => statSync(path).size > 100_000);
  await fill(store, 600);
  expect(await store.read(ids)).not.toContain(null);
  await store.close();
  expect(existsSync(`${path}-wal`), "the last connection took the log with it").toBe(false);
  const again = sqliteStore(path);
  expect(await again.read(ids)).not.toContain(null);
  await again.close();
});

test("checkpoints: continuous writes → the WAL stays below its bound", async () => {
  const path = file();
  const store = sqliteStore(path);
  // The event loop has no turn meanwhile, so the thread is asked once only. Unless SQLite checkpoints, 126 MB remain.
  for (let round = 0; round < 120; round++) {
    await store.insert(Array.from({ length: 400 }, () => randomRow()));
  }
  expect(statSync(`${path}-wal`).size).toBeLessThan(60e6);
  await store.close();
}, 120_000);

test("checkpoints: a caller's handle → not checkpointed by the store", async () => {
  const handle = new DatabaseSync(file());
  handle.exec("PRAGMA journal_mode = WAL");
  const given = sqliteStore(handle);
  await given.migrate();
  expect(await pagesBeforeCheckpoint(given)).toBe(1_000);
  await given.close();
});

test.runIf(sqliteDrivers.includes("better-sqlite3"))(
  "checkpoints: better-sqlite3 → not checkpointed by the store",
  async () => {
    const better = sqliteStore(file(), { driver: "better-sqlite3" });
    await better.count(0);
    expect(await pagesBeforeCheckpoint(better)).toBe(1_000);
    const betterHandle = sqliteStore(new Better(file()));
    await betterHandle.migrate();
    expect(await pagesBeforeCheckpoint(betterHandle)).toBe(1_000);
    await better.close();
  },
);

test("checkpoints: many stores open and close while their threads work → no failure", async () => {
  const path = file();
  for (let turn = 0; turn < 12; turn++) {
    const stores = [sqliteStore(path), sqliteStore(file())];
    await Promise.all(stores.map((store) => fill(store, 600)));
    await Promise.all(stores.map((store) => store.close()));
  }
  const store = sqliteStore(path);
  expect(await store.count(0)).toBe(12 * 600);
  await store.close();
}, 60_000);

test("checkpoints: the file was moved away → not recreated", async () => {
  const path = file();
  const store = sqliteStore(path);
  await fill(store, 400);
  for (const end of ["", "-wal", "-shm"]) renameSync(`${path}${end}`, `${path}.moved${end}`);
  await expect(fill(store, 400)).rejects.toThrow(/was removed/);
  await new Promise((done) => setTimeout(done, 300));
  expect(existsSync(path)).toBe(false);
  await store.close();
});

const child = fileURLToPath(new URL("./children/checkpoint.ts", import.meta.url));

test("checkpoints: the thread → keeps no process alive", () => {
  const output = execFileSync(process.execPath, ["--no-warnings", child, file()], { timeout: 30_000 });
  expect(String(output)).toBe("10000\n");
});

// A flag of Node.
test.skipIf("bun" in process.versions || "deno" in process.versions)(
  "checkpoints: threads are not allowed → SQLite checkpoints by itself",
  () => {
    const allowed = ["--permission", "--allow-fs-read=*", "--allow-fs-write=*"];
    const output = execFileSync(process.execPath, ["--no-warnings", ...allowed, child, file()], {
      timeout: 30_000,
    });
    expect(String(output)).toBe("1000\n");
  },
);
