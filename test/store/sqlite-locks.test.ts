/** Promise 10: waiting for a file that another process writes to is not the pace of the store. */
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { BatchingStore } from "../../src/batching/batching-store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { sqliteDrivers } from "../servers/chosen.ts";
import { nextRow, randomRow } from "../servers/rows.ts";
import { Better, temporaryFolder } from "./temporary.ts";

const { file } = temporaryFolder();

describe.each(sqliteDrivers)("%s", (driver) => {
  test("a lock held elsewhere for longer than half of storeTimeout, with saves all the while → all are kept", async () => {
    const path = file();
    const below = sqliteStore(path, { driver, busyTimeout: 2_000 });
    const rows = Array.from({ length: 65 }, () => randomRow());
    await below.insert(rows);
    const store = new BatchingStore(below, { storeTimeout: 2_000 });
    // By the same library, because each drops the file locks of the other within one process.
    const other = driver === "node:sqlite" ? new DatabaseSync(path) : new Better(path);
    other.exec("BEGIN IMMEDIATE");
    const saves: Promise<boolean>[] = [];
    const began = performance.now();
    for (const row of rows) {
      saves.push(store.update(row, nextRow(row)));
      await sleep(20);
      if (performance.now() - began > 1_300) break; // on a slow machine, fewer saves instead of a longer lock
    }
    other.exec("COMMIT");
    other.close();
    const answers = await Promise.allSettled(saves);
    expect(answers.filter(({ status }) => status === "rejected")).toEqual([]);
    await store.close();
  });
});

test("SQLite: a lock held for longer than storeTimeout → the saves fail, and those after it go at once", async () => {
  const path = file();
  const below = sqliteStore(path, { busyTimeout: 5_000 });
  const [first, second, third] = [randomRow(), randomRow(), randomRow()];
  await below.insert([first, second, third]);
  const store = new BatchingStore(below, { storeTimeout: 300 });
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  await expect(store.update(first, nextRow(first))).rejects.toMatchObject({ outcome: "unknown" });
  const late = store.update(second, nextRow(second));
  await sleep(200);
  other.exec("COMMIT");
  other.close();
  expect(await late, "it had waited for two thirds of its time, and succeeds").toBe(true);
  expect(await store.update(third, nextRow(third))).toBe(true);
  await store.close();
});
