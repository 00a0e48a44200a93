import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import {
  ClosedError,
  NotMigratedError,
  OptionsError,
  StoreReadOnlyError,
  StoreTimeoutError,
  StoreUnavailableError,
  TableError,
} from "../../src/errors.ts";
import { migrate } from "../../src/store/migrate.ts";
import { BatchingStore } from "../../src/batching/batching-store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { sqliteDrivers } from "../servers/chosen.ts";
import { DAY, NOW, randomRow } from "./rows.ts";
import { Better, temporaryFolder } from "./temporary.ts";
import type { ExpireQuery } from "../../src/store/row.ts";
import type { SqliteHandle } from "../../src/sql/sqlite/store.ts";

const { folder, file } = temporaryFolder();

function openHandle(driver: (typeof sqliteDrivers)[number], path: string): SqliteHandle {
  return driver === "node:sqlite" ? new DatabaseSync(path) : new Better(path);
}

function mode(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

/** The warnings with our code that `work` causes. */
async function warningsOf(work: () => void): Promise<string[]> {
  const seen: string[] = [];
  const listen = (warning: Error & { code?: string }): void => {
    if (warning.code === "STORED_SESSION_WEAK_DURABILITY") seen.push(warning.message);
  };
  process.on("warning", listen);
  work();
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", listen);
  return seen;
}

describe.each(sqliteDrivers)("%s", (driver) => {
  test("a new path → created for this user only, in WAL mode with FULL, and migrated at first use", async () => {
    const path = file();
    const store = sqliteStore(path, { driver });
    expect(existsSync(path), "nothing happens before the first use").toBe(false);
    const row = randomRow();
    await store.insert([row]);
    const level = { text: "PRAGMA synchronous", values: [], writes: false };
    expect((await store.database.run(level)).rows, "FULL").toEqual([{ synchronous: 2 }]);
    expect([mode(path), mode(`${path}-wal`), mode(`${path}-shm`)]).toEqual(["600", "600", "600"]);
    await store.close();
    const handle = new DatabaseSync(path);
    expect(handle.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    handle.close();
    const again = sqliteStore(path, { driver });
    expect(await again.read([row.id])).toEqual([row]);
    await again.close();
  });

  test("a handle without tables → refused until it is migrated", async () => {
    const store = sqliteStore(openHandle(driver, file()));
    const row = randomRow();
    await expect(store.insert([row])).rejects.toThrow(NotMigratedError);
    await expect(store.read([row.id])).rejects.toThrow(/Run migrate\(store\) once/);
    await expect(store.lease("a", "b", 1, 0)).rejects.toThrow(NotMigratedError);
    await migrate(store);
    expect(await store.insert([row])).toEqual([true]);
  });

  test("a handle → not closed, and its settings unchanged", async () => {
    const handle = openHandle(driver, file());
    handle.exec("PRAGMA busy_timeout = 77");
    const store = sqliteStore(handle);
    await migrate(store);
    await store.insert([randomRow()]);
    await store.close();
    expect(handle.prepare("PRAGMA journal_mode").all()).toEqual([{ journal_mode: "delete" }]);
    expect(handle.prepare("PRAGMA busy_timeout").all()).toEqual([{ timeout: 77 }]);
    handle.close();
  });

  test("the application closed the handle → a ClosedError", async () => {
    const handle = openHandle(driver, file());
    const store = sqliteStore(handle);
    await migrate(store);
    handle.close();
    await expect(store.count(0)).rejects.toThrow(ClosedError);
    await expect(store.insert([randomRow(), randomRow()])).rejects.toThrow(
      /The application closed the handle/,
    );
  });

  test("weak durability settings → one warning that names them (R33)", async () => {
    const handle = openHandle(driver, file());
    handle.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    expect(await warningsOf(() => [sqliteStore(handle), sqliteStore(handle)])).toEqual([
      expect.stringContaining("synchronous=NORMAL"),
    ]);
    const careless = openHandle(driver, file());
    careless.exec("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
    expect((await warningsOf(() => sqliteStore(careless))).join()).toMatch(
      /synchronous=OFF.*journal_mode=MEMORY/,
    );
    const careful = openHandle(driver, file());
    careful.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    expect(await warningsOf(() => sqliteStore(careful))).toEqual([]);
    expect(await warningsOf(() => sqliteStore(openHandle(driver, ":memory:")))).toEqual([]);
    expect(await warningsOf(() => sqliteStore(file(), { driver }))).toEqual([]);
    const warned = await warningsOf(() => sqliteStore(file(), { driver, synchronous: "NORMAL" }));
    expect(warned).toHaveLength(1);
  });

  test("a file that is not a database → refused, unchanged", async () => {
    const path = file();
    const text = "Dear diary, today I was not a database.\n".repeat(200);
    writeFileSync(path, text);
    const store = sqliteStore(path, { driver });
    await expect(store.insert([randomRow()])).rejects.toThrow(TableError);
    await expect(store.read([randomRow().id])).rejects.toThrow(/is not a SQLite database/);
    expect(readFileSync(path, "utf8")).toBe(text);
  });

  test("a corrupt file → an error that says so", async () => {
    const path = file();
    const store = sqliteStore(path, { driver });
    await store.insert(Array.from({ length: 400 }, () => randomRow()));
    await store.close();
    const bytes = readFileSync(path);
    bytes.fill(0xee, 4096);
    writeFileSync(path, bytes);
    await expect(sqliteStore(path, { driver }).scan(null, 500)).rejects.toThrow(/is corrupt/);
  });

  test("a table with other columns → refused, by path and by handle, and not changed", async () => {
    const path = file();
    const handle = openHandle(driver, path);
    handle.exec("CREATE TABLE stored_sessions (sid TEXT PRIMARY KEY, sess TEXT NOT NULL)");
    await expect(sqliteStore(handle).read([randomRow().id])).rejects.toThrow(TableError);
    await expect(migrate(sqliteStore(handle))).rejects.toThrow(/exists with other columns: it has sid, sess/);
    const byPath = sqliteStore(path, { driver });
    await expect(byPath.insert([randomRow()])).rejects.toThrow(TableError);
    await byPath.close();
    expect(handle.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all()).toEqual([
      { name: "stored_sessions" },
    ]);
    const elsewhere = sqliteStore(path, { driver, table: "web_sessions" });
    expect(await elsewhere.insert([randomRow()])).toEqual([true]);
    await elsewhere.close();
    handle.close();
  });

  test("a full disk → nothing is lost, refused writes are not stored, and with free space it works again", async () => {
    const handle = openHandle(driver, file());
    const store = sqliteStore(handle);
    await migrate(store);
    const kept = [randomRow()];
    await store.insert(kept);
    handle.exec("PRAGMA max_page_count = 60");
    for (;;) {
      const more = Array.from({ length: 20 }, () => randomRow());
      const failed: unknown = await store.insert(more).then(
        () => null,
        (error: unknown) => error,
      );
      if (failed) {
        expect(failed).toBeInstanceOf(StoreReadOnlyError);
        expect(failed).toMatchObject({ outcome: "none", status: 503 });
        expect(await store.read(more.map(({ id }) => id)), "all or nothing").toEqual(more.map(() => null));
        break;
      }
      kept.push(...more);
    }
    expect(await store.read(kept.map(({ id }) => id))).toEqual(kept);
    handle.exec("PRAGMA max_page_count = 100000");
    expect(await store.insert([randomRow()])).toEqual([true]);
    expect(handle.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
  });

  test("a file locked by another process → waits without blocking, then StoreTimeoutError", async () => {
    const path = file();
    const store = sqliteStore(path, { driver, busyTimeout: 150 });
    await store.insert([randomRow()]);
    const other = openHandle(driver, path);
    other.exec("BEGIN IMMEDIATE");
    let turns = 0;
    const counting = setInterval(() => turns++, 5);
    const row = randomRow();
    await expect(store.insert([row])).rejects.toThrow(StoreTimeoutError);
    await expect(store.insert([row, randomRow()])).rejects.toThrow(/stayed locked by another connection/);
    clearInterval(counting);
    expect(turns, "the event loop went on").toBeGreaterThan(3);
    expect(await store.read([row.id]), "readers are not blocked").toEqual([null]);

    const waiting = sqliteStore(path, { driver });
    const answer = waiting.insert([row]);
    setTimeout(() => other.exec("COMMIT"), 60);
    expect(await answer).toEqual([true]);
    await Promise.all([store.close(), waiting.close()]);
    other.close();
  });

  test("an open transaction of the owner → waited for, and never includes writes of the store", async () => {
    const handle = openHandle(driver, file());
    const store = sqliteStore(handle, { busyTimeout: 100 });
    await migrate(store);
    const [row, other] = [randomRow(), randomRow()];
    handle.exec("CREATE TABLE mine (x); BEGIN; INSERT INTO mine VALUES (1)");
    await expect(store.insert([row])).rejects.toThrow(/A transaction was open on the handle/);
    const answer = sqliteStore(handle).insert([row, other]);
    setTimeout(() => handle.exec("ROLLBACK"), 30);
    expect(await answer).toEqual([true, true]);
    expect(await store.read([row.id])).toEqual([row]);
    expect(handle.prepare("SELECT * FROM mine").all()).toEqual([]);
  });

  test("a migration → other statements stay out of its transaction", async () => {
    const store = sqliteStore(openHandle(driver, file()));
    const row = randomRow();
    const [, inserted] = await Promise.all([
      migrate(store),
      store.insert([row]).catch((error: unknown) => error),
    ]);
    if (inserted instanceof Error) expect(inserted).toBeInstanceOf(NotMigratedError);
    await store.insert([row]);
    expect(await store.read([row.id])).toEqual([row]);
  });

  test("expiry → at most 100 rows a step, and a run is linear (R34)", async () => {
    const store = sqliteStore(":memory:", { driver });
    const rows = Array.from({ length: 3_000 }, (_, nth) =>
      randomRow({ expiresAt: nth % 3 ? NOW - (nth % 5) * DAY : NOW + 1 }),
    );
    await store.insert(rows);
    let cursor: ExpireQuery["cursor"] = null;
    let steps = 0;
    let deleted = 0;
    do {
      const query = { before: NOW, limit: 1_000, cursor, idleTimeout: DAY, absoluteTimeout: DAY };
      const step = await store.deleteExpired(query);
      expect(step.deleted).toBeLessThanOrEqual(100);
      deleted += step.deleted;
      cursor = step.cursor;
      steps++;
    } while (cursor);
    expect(deleted).toBe(2_000);
    expect(steps).toBeLessThanOrEqual(2_000 / 100 + 1_000 / 400 + 2);
    await store.close();
  });

  test("a row touched during expiry → stays", async () => {
    const store = sqliteStore(":memory:", { driver });
    const rows = Array.from({ length: 5 }, () => randomRow({ expiresAt: NOW }));
    await store.insert(rows);
    const query = { before: NOW, limit: 100, cursor: null, idleTimeout: DAY, absoluteTimeout: DAY };
    const step = store.deleteExpired(query);
    const touch = store.touch(rows.map(({ id }) => ({ id, updatedAt: NOW, expiresAt: NOW + DAY })));
    await Promise.all([step, touch]);
    expect(await store.count(NOW)).toBe(5 - (await step).deleted);
    await store.close();
  });

  test("tables → as the migration says; a table name of the application's → used", async () => {
    const handle = openHandle(driver, file());
    const store = sqliteStore(handle, { table: "_Web2" });
    await migrate(store);
    const rows = handle.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").all();
    expect(rows.map((one) => (one as { name: string }).name)).toEqual([
      "_Web2",
      "_Web2_audit",
      "_Web2_audit_checkpoints",
      "_Web2_audit_days",
      "_Web2_audit_subjects",
      "_Web2_leases",
      "_Web2_links",
      "_Web2_migrations",
    ]);
    const row = randomRow({ expiresAt: NOW + DAY, absoluteExpiresAt: NOW + 2 * DAY + 5 });
    await store.insert([row]);
    const bucket = (): unknown => handle.prepare('SELECT expires_bucket FROM "_Web2"').all();
    expect(bucket()).toEqual([{ expires_bucket: NOW / DAY + 1 }]);
    await store.touch([{ id: row.id, updatedAt: NOW, expiresAt: NOW + 2 * DAY - 1 }]);
    expect(bucket()).toEqual([{ expires_bucket: NOW / DAY + 1 }]);
    await store.touch([{ id: row.id, updatedAt: NOW, expiresAt: NOW + 9 * DAY }]);
    expect(bucket()).toEqual([{ expires_bucket: NOW / DAY + 2 }]);
  });

  test("64 callers on one file → no update is lost (promise 2)", async () => {
    const path = file();
    const stores = [1, 2].map(() => new BatchingStore(sqliteStore(path, { driver })));
    const rows = Array.from({ length: 8 }, () => randomRow({ version: 0 }));
    for (const row of rows) await stores[0]?.insert(row);
    let left = 600;
    const work = async (caller: number): Promise<void> => {
      const store = stores[caller % 2] as BatchingStore;
      while (left-- > 0) {
        for (;;) {
          const loaded = await store.read(rows[(left + 600) % 8]?.id as Uint8Array);
          if (!loaded) throw new Error("a row is gone");
          if (await store.update(loaded, { ...loaded, version: loaded.version + 1 })) break;
        }
      }
    };
    await Promise.all(Array.from({ length: 64 }, (_, caller) => work(caller)));
    const now = await Promise.all(rows.map(({ id }) => stores[1]?.read(id)));
    expect(now.reduce((sum, row) => sum + (row?.version ?? 0), 0)).toBe(600);
    await Promise.all(stores.map((store) => store.close()));
  });
});

describe("files", () => {
  test("a directory that does not exist, or the path is a directory → an error", async () => {
    await expect(sqliteStore(join(folder, "nowhere", "a.sqlite3")).count(0)).rejects.toThrow(
      /does not exist/,
    );
    await expect(sqliteStore(folder).count(0)).rejects.toThrow(StoreUnavailableError);
  });

  test("a failure to open → the next call tries again", async () => {
    const below = join(folder, "later");
    const store = sqliteStore(join(below, "a.sqlite3"));
    await expect(store.count(0)).rejects.toThrow(StoreUnavailableError);
    mkdirSync(below);
    expect(await store.count(0)).toBe(0);
    await store.close();
  });

  test.each(sqliteDrivers)("a handle of %s opened for reading only → an error", async (driver) => {
    const path = file();
    const writer = sqliteStore(path, { driver });
    const row = randomRow();
    await writer.insert([row]);
    const reader =
      driver === "node:sqlite"
        ? new DatabaseSync(path, { readOnly: true })
        : new Better(path, { readonly: true });
    const store = sqliteStore(reader);
    expect(await store.read([row.id])).toEqual([row]);
    await expect(store.delete([row.id])).rejects.toThrow(StoreReadOnlyError);
    await expect(store.delete([row.id, row.id])).rejects.toThrow(/cannot be written to/);
    reader.close();
    await writer.close();
  });

  // Deno has no modules on its command line.
  test.skipIf("deno" in process.versions)(
    "a file or directory that this user may not write to → an error",
    async () => {
      const below = join(folder, "guarded");
      mkdirSync(below);
      const path = join(below, "a.sqlite3");
      const store = sqliteStore(path);
      await store.insert([randomRow()]);
      await store.close();
      chmodSync(path, 0o444);
      chmodSync(below, 0o555);
      chmodSync(folder, 0o755);
      const script = `
      if (process.getuid() === 0) process.setuid(65534);
      const { sqliteStore } = await import(${JSON.stringify(new URL("../../src/sql/sqlite/store.ts", import.meta.url).href)});
      for (const path of process.argv.slice(1)) {
        await sqliteStore(path).delete([new Uint8Array(32)]).then(
          () => console.log("worked"),
          (error) => console.log(error.code),
        );
      }`;
      const args = ["--no-warnings", "--input-type=module", "-e", script, path, join(below, "new.sqlite3")];
      const output = execFileSync(process.execPath, args, { encoding: "utf8" });
      expect(output.trim().split("\n")).toEqual([
        "ERR_STORED_SESSION_STORE_READ_ONLY",
        "ERR_STORED_SESSION_STORE_READ_ONLY",
      ]);
      chmodSync(below, 0o755);
    },
  );
});

describe("a driver that cannot tell whether a transaction is open (Node before 22.16)", () => {
  const openMute = (path: string): { handle: DatabaseSync; mute: SqliteHandle } => {
    const handle = new DatabaseSync(path);
    const mute = { prepare: handle.prepare.bind(handle), exec: handle.exec.bind(handle), close() {} };
    return { handle, mute };
  };

  test("an open transaction of the owner → never swallows what the store writes", async () => {
    const { handle, mute } = openMute(file());
    const store = sqliteStore(mute, { busyTimeout: 100 });
    await migrate(store);
    const row = randomRow();
    handle.exec("BEGIN");
    await expect(store.insert([row])).rejects.toThrow(/A transaction was open on the handle/);
    await expect(store.touch([{ id: row.id, updatedAt: 1, expiresAt: 2 }])).rejects.toThrow(
      StoreTimeoutError,
    );
    const answer = sqliteStore(mute).insert([row]);
    setTimeout(() => handle.exec("ROLLBACK"), 20);
    expect(await answer).toEqual([true]);
    expect(await store.read([row.id])).toEqual([row]);
  });

  test("a migration → keeps other statements out of its transaction, however long it takes", async () => {
    const { handle, mute } = openMute(file());
    const { database } = sqliteStore(mute, { busyTimeout: 5 });
    handle.exec("CREATE TABLE mine (x)");
    const insert = (x: number) => ({ text: "INSERT INTO mine VALUES (?)", values: [x], writes: true });
    const undone = database.exclusively(async (run) => {
      await run(insert(1));
      await new Promise((resolve) => setTimeout(resolve, 60));
      throw new Error("undone");
    });
    const others = Promise.all([database.run(insert(2)), database.transaction([insert(3), insert(4)])]);
    await expect(undone).rejects.toThrow("undone");
    await others;
    expect(handle.prepare("SELECT x FROM mine ORDER BY x").all()).toEqual([{ x: 2 }, { x: 3 }, { x: 4 }]);
  });
});

describe("options", () => {
  test.each([
    "",
    "stored sessions",
    "a;DROP TABLE users",
    'a"b',
    "a.b",
    "1a",
    "x".repeat(41),
    "stored_sessions\n",
    "naïve",
    7,
    {},
    [],
    ["a"],
    null,
  ])("the table name %j → refused (R31)", (table) => {
    expect(() => sqliteStore(":memory:", { table: table as string })).toThrow(OptionsError);
  });

  test("several invalid options → all reported at once", () => {
    const wrong = { driver: "sqlite3", busyTimeout: -1, synchronous: "full" } as unknown as {
      driver: "node:sqlite";
    };
    expect(() => sqliteStore(5 as unknown as string, wrong)).toThrow(/4 problems/);
  });
});

test("an error of the driver → kept as the cause", async () => {
  const store = sqliteStore(new DatabaseSync(":memory:"));
  const error: unknown = await store.count(0).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ cause: { code: "ERR_SQLITE_ERROR" } });
});
