import assert from "node:assert/strict";
import { test } from "vitest";
import { createSessionManager, type SessionManagerOptions } from "../../src/index.ts";
import { railsFormat, railsStore } from "../../src/rails/index.ts";
import { countDue } from "../../src/operator/admin.ts";
import { recordsOf } from "../../src/manager.ts";
import { railsKeys } from "../rails/gem.ts";
import { testKeys } from "../session/doubles.ts";
import { eachStore, type TestStore } from "../session/stores.ts";
import { HandClock, visit, type Basket } from "./sessions.ts";

const day = 86_400_000;

function agrees(create: () => Promise<TestStore>, options: Partial<SessionManagerOptions<Basket>>): void {
  test("R34 dry run → counts what the store's own rule deletes", async () => {
    const { store, drop } = await create();
    const clock = new HandClock();
    const sessions = createSessionManager<Basket>({ ...options, store, clock: clock.now });
    const cookies: string[] = [];
    for (let age = 0; age < 6; age++) {
      cookies.push(await visit(sessions));
      clock.time += 10 * day;
      await sessions.commit(await sessions.load(cookies[0])); // used, until its absolute limit
      await sessions.commit(await sessions.load(cookies.at(-1)));
    }
    for (const limits of [{ maxUpdatedAge: 55 * day }, { maxCreatedAge: 35 * day }, {}]) {
      const due = await countDue(recordsOf(sessions as never), limits);
      const deleted = await sessions.expire({ ...limits, share: 1 });
      assert.equal(due, deleted, JSON.stringify(limits));
    }
    assert.equal((await store.scan(null, 10)).length, 2, "two began less than the absolute limit ago");
    await drop();
  });
}

function tells(name: string, create: () => Promise<TestStore>): void {
  test("R34 progress → by expiry day, or by id with an age", async () => {
    const { store, drop } = await create();
    const clock = new HandClock();
    const sessions = createSessionManager<Basket>({ keys: testKeys, store, clock: clock.now });
    const visitDaily = async (days: number) => {
      for (let nth = 0; nth < days * 4; nth++) {
        await visit(sessions);
        clock.time += day / 4;
      }
    };
    const told = async (ages: { maxCreatedAge?: number }) => {
      const fractions: (number | undefined)[] = [];
      const onProgress = ({ fraction }: { fraction?: number | undefined }) => fractions.push(fraction);
      const deleted = await sessions.expire({ ...ages, batchSize: 1, share: 1, onProgress });
      return { deleted, last: fractions.pop(), fractions };
    };
    const rises = (fractions: (number | undefined)[]) => {
      const known = fractions.map((fraction) => fraction ?? NaN);
      assert.deepEqual(
        known,
        known.toSorted((a, b) => a - b),
      );
      assert.ok(
        known.every((fraction) => fraction >= 0 && fraction < 1),
        known.join(" "),
      );
      return known;
    };

    await visitDaily(8);
    clock.time += 40 * day;
    const byDay = await told({});
    assert.deepEqual([byDay.deleted, byDay.last], [32, 1]);
    await visitDaily(5);
    const byAge = await told({ maxCreatedAge: day });
    assert.deepEqual([byAge.deleted, byAge.last], [16, 1]);
    if (name === "memory") {
      assert.deepEqual(new Set([...byDay.fractions, ...byAge.fractions]), new Set([undefined]));
    } else {
      // Of the 19 days until today, sessions ended on the first nine.
      assert.deepEqual(
        [...new Set(rises(byDay.fractions))],
        Array.from({ length: 9 }, (_, nth) => nth / 19),
      );
      assert.ok(new Set(rises(byAge.fractions)).size > 1);
    }
    await drop();
  });
}

eachStore((name, create) => {
  agrees(create, { keys: testKeys });
  tells(name, create);
});

const rails = async () => {
  const store = railsStore(":memory:", { createTable: true });
  await store.migrate();
  return { store, drop: () => store.close() };
};
agrees(rails, { format: railsFormat(railsKeys) });
