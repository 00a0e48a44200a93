import assert from "node:assert/strict";
import { test } from "vitest";
import { createSessionManager, type SessionManagerOptions } from "../../src/index.ts";
import { railsFormat, railsStore } from "../../src/rails/index.ts";
import { countDue } from "../../src/session/admin.ts";
import { recordsOf } from "../../src/session/manager.ts";
import { railsKeys } from "../rails/gem.ts";
import { testKeys } from "../session/doubles.ts";
import { eachStore, type TestStore } from "../session/stores.ts";
import { HandClock, visit, type Basket } from "./sessions.ts";

const day = 86_400_000;

function agrees(create: () => Promise<TestStore>, options: Partial<SessionManagerOptions<Basket>>): void {
  test("R34 what would be deleted is what is deleted, by the store's own rule", async () => {
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

eachStore((_name, create) => agrees(create, { keys: testKeys }));

const rails = async () => {
  const store = railsStore(":memory:", { createTable: true });
  await store.migrate();
  return { store, drop: () => store.close() };
};
agrees(rails, { format: railsFormat(railsKeys) });
