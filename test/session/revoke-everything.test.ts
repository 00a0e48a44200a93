import assert from "node:assert/strict";
import { afterEach, test, vi } from "vitest";
import { ConflictError, memoryStore, type SessionStore } from "../../src/index.ts";
import { exportUser, revokeEverything } from "../../src/operator/admin.ts";
import { recordsOf } from "../../src/manager.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { cookieOf, HandClock, manage, visit } from "../jobs/sessions.ts";
import { around, testKeys } from "./doubles.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** The store, with something that happens after each page of rows that it answers. */
function afterScan(store: SessionStore, happens: (page: number, last: Uint8Array) => Promise<void>) {
  let page = 0;
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== "function") return value;
      if (name !== "scanInfo") return value.bind(target) as unknown;
      return async (after: Uint8Array | null, limit: number) => {
        const rows = await target.scanInfo(after, limit);
        const last = rows.at(-1);
        if (last !== undefined) await happens(++page, last.id);
        return rows;
      };
    },
  });
}

test("promise 3, R44: revoking all while sessions get new ids behind the cursor → they end too", async () => {
  const store = memoryStore();
  const clock = new HandClock();
  const app = manage(store, testKeys, { clock: clock.now });
  for (let nth = 0; nth < 6; nth++) await visit(app, "other");
  let cookie = await visit(app, "42");
  const regenerate = async () => {
    const session = await app.load(cookie);
    if (session.isNew) return null;
    session.regenerate();
    cookie = cookieOf(await app.commit(session));
    return Buffer.from(session.handle, "base64url");
  };
  let later: string | undefined;
  const watched = afterScan(store, async (page, last) => {
    if (page > 2) return;
    clock.time += 10_000;
    later ??= await visit(app, "came later");
    // First to a place that was passed already; then out of the hands of who is about to delete it.
    for (;;) {
      const id = await regenerate();
      if (page === 2 || (id !== null && Buffer.compare(id, last) < 0)) break;
    }
  });
  const revoked = await revokeEverything(
    recordsOf(manage(watched, testKeys, { clock: clock.now }) as never),
    {
      batchSize: 4,
    },
  );
  assert.equal((await app.load(cookie)).isNew, true);
  const rows = await store.scan(null, 10);
  assert.ok(rows.length <= 1, "nothing is left but who came later");
  assert.ok(rows.every(({ createdAt }) => createdAt >= new HandClock().time + 10_000));
  assert.ok(revoked >= 7);
});

test("promise 3, R44: revoking all, and a session begun on a server whose clock is ahead gets a new id meanwhile → ended", async () => {
  const store = memoryStore();
  const clock = new HandClock();
  const ahead = manage(store, testKeys, { clock: () => clock.time + 10_000 });
  for (let nth = 0; nth < 6; nth++) await visit(ahead, "other");
  let cookie = await visit(ahead, "42");
  const watched = afterScan(store, async (page, last) => {
    if (page > 1) return;
    for (;;) {
      const session = await ahead.load(cookie);
      session.regenerate();
      cookie = cookieOf(await ahead.commit(session));
      if (Buffer.compare(Buffer.from(session.handle, "base64url"), last) < 0) break;
    }
  });
  const records = recordsOf(manage(watched, testKeys, { clock: clock.now }) as never);
  assert.equal(await revokeEverything(records, { batchSize: 4 }), 7);
  assert.deepEqual(await store.scan(null, 10), []);
});

test("R44: a login behind the cursor → left alone by passes from the sixth second on", async () => {
  for (const [later, left] of [
    [5_000, 0],
    [5_001, 1],
  ] as const) {
    const store = memoryStore();
    const clock = new HandClock();
    const app = manage(store, testKeys, { clock: clock.now });
    await visit(app);
    const watched = afterScan(store, async (page) => {
      if (page > 1) return;
      clock.time += later;
      await visit(app, "42");
    });
    await revokeEverything(recordsOf(manage(watched, testKeys, { clock: clock.now }) as never));
    assert.equal((await store.scan(null, 10)).length, left);
  }
});

test("promise 10: revoking all while older sessions keep appearing → ConflictError", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const store = memoryStore();
  const clock = new HandClock();
  const behind = manage(store, testKeys, { clock: clock.now });
  await visit(behind);
  const watched = afterScan(store, async () => void (await visit(behind)));
  const revoking = revokeEverything(recordsOf(manage(watched, testKeys, { clock: clock.now }) as never));
  const failed = assert.rejects(revoking, ConflictError);
  await vi.advanceTimersByTimeAsync(60_000);
  await failed;
});

test("promise 3, R44: revokeAll of a user → goes on while rows are left, whatever a pass reports", async () => {
  const store = memoryStore();
  let blind = 2;
  // A pass that waited for a new id in a transaction under way finds the old row gone and does not see the new one.
  const racing = around(store, async (operation, call) =>
    operation === "deleteByUser" && blind-- > 0 ? 0 : call(),
  );
  const sessions = manage(racing, testKeys);
  const cookie = await visit(sessions, "42");
  const kept = await sessions.load(await visit(sessions, "42"));
  assert.equal(await sessions.forUser("42").revokeAll({ except: kept }), 1);
  assert.equal((await sessions.load(cookie)).isNew, true);
  assert.equal((await store.scan(null, 10)).length, 1);
  blind = Infinity;
  await assert.rejects(sessions.forUser("42").revokeAll(), ConflictError);
});

test("R36 export of a user with more sessions than one statement returns → complete", async () => {
  const store = sqliteStore(":memory:");
  const sessions = manage(store, testKeys);
  await visit(sessions, "42");
  const [row] = await store.scan(null, 1);
  const count = 100_001;
  for (let from = 1; from < count; from += 10_000) {
    const rows = Array.from({ length: Math.min(10_000, count - from) }, (_, nth) => {
      const id = Buffer.alloc(32);
      id.writeUInt32BE(from + nth);
      return { ...row!, id, createdAt: row!.createdAt - from - nth, client: null };
    });
    await store.insert(rows);
  }
  const found = await exportUser(recordsOf(sessions as never), "42");
  assert.equal(found.length, count);
  assert.ok(found.every(({ createdAt }, nth) => nth === 0 || createdAt <= found[nth - 1]!.createdAt));
  await sessions.close();
});
