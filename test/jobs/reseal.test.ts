import assert from "node:assert/strict";
import { describe, test, vi } from "vitest";
import { generateKey, memoryStore, migrate, resealJob } from "../../src/index.ts";
import { Pace } from "../../src/jobs/pace.ts";
import { recordsOf } from "../../src/manager.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { around } from "../session/doubles.ts";
import { cookieOf, HandClock, manage, visit } from "./sessions.ts";

const [oldest, older, newest] = [generateKey(), generateKey(), generateKey()];

const stores: Record<string, () => SessionStore> = {
  memory: () => memoryStore(),
  sqlite: () => sqliteStore(":memory:"),
};

for (const [name, create] of Object.entries(stores)) {
  describe(name, () => {
    async function filled(count: number, keys: string | string[] = older) {
      const store = create();
      await migrate(store);
      const clock = new HandClock();
      const before = manage(store, keys, { clock: clock.now });
      const cookies: string[] = [];
      for (let i = 0; i < count; i++)
        cookies.push(await visit(before, i % 2 ? `user ${i}` : undefined, `item ${i}`));
      return { store, clock, before, cookies, after: manage(store, [newest, older], { clock: clock.now }) };
    }

    test("R27 promise 9 resealing → every row is under the newest key, and nobody is logged out", async () => {
      const { store, clock, cookies, after } = await filled(25);
      const rowsBefore = await store.scan(null, 100);
      clock.time += 60_000;
      const result = await after.reseal({ batchSize: 4 });
      assert.equal(result.resealed, 25);
      assert.equal(result.finished, true);
      assert.equal(result.cursor, null);

      const { keys } = await after.stats();
      assert.deepEqual(
        keys.map(({ place, live }) => [place, live]),
        [
          ["newest", 25],
          ["older", 0],
        ],
      );
      // Without the older key every row still opens; the cookies are another matter, so they are read with both.
      const rows = await store.scan(null, 100);
      const alone = manage(store, newest, { clock: clock.now });
      for (const row of rows) assert.ok(recordsOf(alone as never).settings.format.open(row, null));
      for (const [index, cookie] of cookies.entries()) {
        const session = await after.load(cookie);
        assert.deepEqual(session.data.items, [`item ${index}`]);
        assert.equal(session.user, index % 2 ? `user ${index}` : undefined);
      }
      assert.equal((await alone.forUser("user 3").list()).length, 1, "the user reference moved as well");
      assert.equal((await alone.forUser("user 3").list())[0]!.client!.address, "192.0.2.7");
      // R19: no time of a row moved, so resealing keeps nobody in.
      for (const [index, row] of rows.entries()) {
        const was = rowsBefore[index]!;
        assert.deepEqual(
          [row.createdAt, row.updatedAt, row.expiresAt, row.absoluteExpiresAt],
          [was.createdAt, was.updatedAt, was.expiresAt, was.absoluteExpiresAt],
        );
      }
    });

    test("R27 it stops between pages → goes on after its cursor, and skips what is done", async () => {
      const { after } = await filled(23);
      let cursor: string | undefined;
      let resealed = 0;
      for (let runs = 1; ; runs++) {
        const stop = new AbortController();
        const result = await after.reseal({
          batchSize: 3,
          signal: stop.signal,
          ...(cursor !== undefined && { after: cursor }),
          onProgress: () => stop.abort(),
        });
        resealed += result.resealed;
        assert.ok(result.scanned <= 3, "a page is all that is in memory");
        if (result.finished) break;
        cursor = result.cursor!;
        assert.ok(runs < 20);
      }
      assert.equal(resealed, 23);
      const again = await after.reseal();
      assert.deepEqual([again.resealed, again.current], [0, 23]);
    });

    test("R27 R34 a page → sealed a few rows a turn; stopped within it → goes on after those", async () => {
      const { store, after } = await filled(60);
      const { format } = recordsOf(after as never).settings;
      const { seal } = format;
      let [sealed, most, ticking] = [0, 0, true];
      format.seal = (...args) => {
        most = Math.max(most, ++sealed);
        return seal.apply(format, args);
      };
      const tick = () => {
        sealed = 0;
        if (ticking) setImmediate(tick);
      };
      tick();
      const stop = new AbortController();
      const { update } = store;
      store.update = (updates) => {
        stop.abort();
        return update.call(store, updates);
      };
      const first = await after.reseal({ batchSize: 60, signal: stop.signal });
      assert.deepEqual([first.finished, first.scanned, first.resealed], [false, 10, 10]);
      const second = await after.reseal({ batchSize: 60, after: first.cursor! });
      ticking = false;
      assert.deepEqual([second.finished, second.scanned, second.resealed], [true, 50, 50]);
      // A timer may come before the next tick, so two steps can fall between two of them.
      assert.ok(most <= 20, `${most} rows in one turn`);
    });

    test("R27 R34 share: 1 → statements take the whole batch, and still only a few rows are sealed a turn", async () => {
      const { store, after } = await filled(130);
      const { format } = recordsOf(after as never).settings;
      const { seal } = format;
      let [sealed, most, ticking] = [0, 0, true];
      format.seal = (...args) => {
        most = Math.max(most, ++sealed);
        return seal.apply(format, args);
      };
      const tick = () => {
        sealed = 0;
        if (ticking) setImmediate(tick);
      };
      tick();
      const stop = new AbortController();
      const written: number[] = [];
      const { update } = store;
      store.update = (updates) => {
        stop.abort();
        written.push(updates.length);
        return update.call(store, updates);
      };
      const fast = { batchSize: 60, share: 1, maxPerSecond: Infinity };
      const first = await after.reseal({ ...fast, signal: stop.signal });
      assert.deepEqual([first.finished, first.scanned, first.resealed], [false, 60, 60]);
      if (store.lanes.maxBatch > 1) assert.ok(written.length <= 2, `written as ${written}`);
      const second = await after.reseal({ ...fast, after: first.cursor! });
      ticking = false;
      assert.deepEqual([second.finished, second.scanned, second.resealed], [true, 70, 70]);
      assert.ok(most <= 20, `${most} rows in one turn`);
    });

    test("R27 promise 2 a request saves meanwhile → not overwritten", async () => {
      const { store, before, cookies, after } = await filled(1);
      const { read } = store;
      store.read = async (...args) => {
        const rows = await read.apply(store, args);
        store.read = read;
        // Between the reading and the writing, a process that still seals with the older key saves.
        const session = await before.load(cookies[0]!);
        session.data.items!.push("saved meanwhile");
        await before.commit(session);
        return rows;
      };
      const result = await after.reseal();
      assert.equal(store.read, read, "it was read");
      assert.equal(result.resealed, 1);
      const session = await after.load(cookies[0]!);
      assert.deepEqual(session.data.items, ["item 0", "saved meanwhile"]);
      const { keys } = await after.stats();
      assert.equal(keys[1]!.live, 0, "what the other process sealed with the older key was resealed as well");
    });

    test("R26 R27 a row that does not open → left as it is, and counted", async () => {
      const { store, before, after } = await filled(2, oldest);
      void before;
      const rows = await store.scan(null, 10);
      const result = await after.reseal();
      assert.deepEqual([result.refused, result.resealed], [2, 0]);
      assert.deepEqual(await store.scan(null, 10), rows);
      const { keys } = await after.stats();
      assert.deepEqual(
        keys.map(({ place, live }) => [place, live]),
        [
          ["newest", 0],
          ["older", 0],
          ["unknown", 2],
        ],
      );
    });

    test("promise 3 ended rows → neither resealed nor brought back", async () => {
      const { clock, after } = await filled(3);
      clock.time += 31 * 86_400_000;
      const result = await after.reseal();
      assert.deepEqual([result.ended, result.resealed], [3, 0]);
    });

    test("R27 rows that others change at each attempt → reported as contended, keep their key, and the next run does them", async () => {
      const { store, clock, cookies } = await filled(3);
      let contended = true;
      const busy = around(store, async (operation, call) =>
        operation === "update" && contended ? [false] : call(),
      );
      const after = manage(busy, [newest, older], { clock: clock.now });
      const { contended: kept, resealed, waiting, finished } = await after.reseal({ batchSize: 1 });
      assert.deepEqual([kept, resealed, waiting, finished], [3, 0, 0, true]);
      assert.equal((await after.stats()).keys[1]!.live, 3);
      contended = false;
      const again = await after.reseal();
      assert.deepEqual([again.contended, again.resealed], [0, 3]);
      for (const cookie of cookies) assert.equal((await after.load(cookie)).isNew, false);
    });

    test("R34 sealTo cookie → the rows written count for the pace too, and there is no pause after the last", async () => {
      const store = create();
      await migrate(store);
      const before = manage(store, older, { sealTo: "cookie" });
      for (let nth = 0; nth < 25; nth++) await visit(before, "42");
      const rest = vi.spyOn(Pace.prototype, "rest").mockResolvedValue();
      try {
        const after = manage(store, [newest, older], { sealTo: "cookie" });
        assert.equal((await after.reseal()).waiting, 25);
        assert.deepEqual(
          rest.mock.calls.map(([rows]) => rows),
          [10, 10],
        );
        rest.mockClear();
        await after.reseal();
        assert.deepEqual(
          rest.mock.calls.map(([rows]) => rows),
          [0, 0],
        );
      } finally {
        rest.mockRestore();
      }
    });

    test("promise 6 sealTo cookie → only address and user agent are resealed, and the data still opens", async () => {
      const store = create();
      await migrate(store);
      const cookie = await visit(manage(store, older, { sealTo: "cookie" }), "42");
      const after = manage(store, [newest, older], { sealTo: "cookie" });
      const result = await after.reseal();
      assert.deepEqual([result.waiting, result.resealed], [1, 0]);
      const format = recordsOf(after as never).settings.format;
      const [row] = await store.scan(null, 1);
      assert.equal(format.sealedUnder!(row!).client, format.keyNames![0]);
      assert.equal(format.sealedUnder!(row!).data, format.keyNames![1]);

      const session = await after.load(cookie);
      assert.deepEqual(session.data.items, ["tea"]);
      // The user's next request carries the rest over.
      cookieOf(await after.commit(session));
      const [now] = await store.scan(null, 1);
      assert.equal(format.isCurrent(now!), true);
    });

    test("another process holds the lease → the job returns at once with nothing done", async () => {
      const { store, after } = await filled(2);
      const now = new HandClock().time;
      assert.equal(await store.lease("reseal", "another process", now + 60_000, now), true);
      const result = await resealJob(after);
      assert.deepEqual([result.finished, result.scanned], [false, 0]);
      assert.equal(await store.lease("reseal", "another process", 0, now), true);
      assert.equal((await resealJob(after)).resealed, 2);
    });
  });
}

test("options that cannot work → a TypeError", async () => {
  const sessions = manage(memoryStore(), newest);
  await assert.rejects(sessions.reseal({ batchSize: 0 }), TypeError);
  await assert.rejects(sessions.reseal({ maxPerSecond: -1 }), TypeError);
  await assert.rejects(sessions.reseal({ share: 0 }), TypeError);
  await assert.rejects(sessions.reseal({ share: 1.5 }), TypeError);
  await assert.rejects(sessions.reseal({ after: "not a handle" }), TypeError);
  await assert.rejects(sessions.reseal({ exclusive: true, lease: 0 }), TypeError);
});
