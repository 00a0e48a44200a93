/** What is under way when a drop-in store is closed. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { testKeys } from "../session/doubles.ts";

const day = 86_400_000;

let folder: string;
let time: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stored-session-"));
  time = Date.now();
});
afterEach(() => rmSync(folder, { recursive: true }));

const file = () => join(folder, "sessions.sqlite3");
const open = () => new StoredSessionStore({ store: sqliteStore(file()), keys: testKeys, clock: () => time });

function ask(text: string): Record<string, unknown> | undefined {
  const database = new DatabaseSync(file(), { readOnly: true });
  try {
    return database.prepare(text).get();
  } finally {
    database.close();
  }
}

function session() {
  return { cookie: { originalMaxAge: day, expires: new Date(time + day) } };
}

test("R34 close: the schedule stops first → another process acquires the lease at once, without a warning", async () => {
  const warnings: string[] = [];
  const onWarning = (warning: Error) => warnings.push(warning.message);
  process.on("warning", onWarning);
  try {
    const store = open();
    for (const id of ["a", "b", "c"]) await store.set(id, session());
    time += 2 * day;
    const underWay = Promise.withResolvers<void>();
    // After its first row the run rests for a second, so that the store is closed in the middle of it.
    store.sessions.scheduleExpiry({
      every: 1,
      batchSize: 1,
      maxPerSecond: 1,
      onProgress: () => underWay.resolve(),
    });
    await underWay.promise;
    await store.close();
    await new Promise(setImmediate);
    assert.deepEqual({ ...ask("SELECT COUNT(*) AS count FROM stored_sessions") }, { count: 2 });
    const { held_until: heldUntil } = ask("SELECT * FROM stored_sessions_leases WHERE name = 'expire'")!;
    assert.ok(Number(heldUntil) <= time, `held for ${Number(heldUntil) - time} ms more`);
    assert.deepEqual(warnings, []);
  } finally {
    process.off("warning", onWarning);
  }
});

test("a touch that is not awaited → not lost", async () => {
  const store = open();
  await store.set("a", session());
  const loaded = await store.get("a");
  time += day / 2;
  await store.touch("a", { ...loaded, ...session() });
  await store.close();
  assert.deepEqual({ ...ask("SELECT updated_at FROM stored_sessions") }, { updated_at: time });
});
