import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fill } from "../../benchmarks/peers/filler.ts";
import { enlarge, settle } from "../../benchmarks/peers/large.ts";
import { ours } from "../../benchmarks/peers/ours.ts";
import { freePort } from "../../scripts/services/processes.ts";
import { StoreError } from "../../src/errors.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stored-session-candidates-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const options = { name: "ours", pid: null, size: 300, bytes: async () => null };

test("benchmark: a touch → measured until the store has answered, each time", async () => {
  const store = sqliteStore(join(folder, "sessions.sqlite3"));
  const steps: string[] = [];
  let answer = (): void => {};
  const { touch } = store;
  store.touch = async (touches) => {
    await touch.call(store, touches);
    steps.push("stored");
    await new Promise<void>((resolve) => (answer = resolve));
  };
  const candidate = await ours(store, options);
  await candidate.create(0);
  for (let time = 0; time < 2; time++) {
    const touched = candidate.touch(0).then(() => steps.push("measured"));
    while (steps.at(-1) !== "stored") await new Promise(setImmediate);
    steps.push("answered");
    answer();
    await touched;
  }
  expect(steps).toEqual(["stored", "answered", "measured", "stored", "answered", "measured"]);
  await candidate.close();
});

test("a failed touch → not measured", async () => {
  const store = sqliteStore(join(folder, "sessions.sqlite3"));
  store.touch = () => Promise.reject(new StoreError("The disk is full."));
  const candidate = await ours(store, options);
  await candidate.create(0);
  await expect(candidate.touch(0)).rejects.toThrow("The disk is full.");
  await candidate.close();
});

test("benchmark: fill → the number of rows added, also when there are too few to copy", async () => {
  const database = new DatabaseSync(":memory:");
  database.exec(
    "CREATE TABLE sessions (id BLOB PRIMARY KEY, data TEXT); INSERT INTO sessions VALUES (x'', '')",
  );
  const newKey = (first: string): string => `unhex('${first}') || randomblob(31)`;
  const added = await fill({ table: "sessions", key: "id", newKey, columns: ["data"] }, 2_560, async (text) =>
    Number(database.prepare(text).run().changes),
  );
  const { count } = database.prepare("SELECT count(*) AS count FROM sessions").get() as { count: number };
  expect(added).toBe(count - 1);
  expect(added).toBeLessThan(2_560);
  database.close();
});

test("a server given by URL → its settings are neither read nor changed", async () => {
  const url = `mysql://root@127.0.0.1:${await freePort()}/test`;
  const given = { url, pid: null, own: false, stop: async () => {} };
  expect(await enlarge("mysql", given)).toBe(null);
  await settle("mysql", given);
  await settle("postgres", given);
});
