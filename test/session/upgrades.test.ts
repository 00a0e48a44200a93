import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import * as v from "valibot";
import { createSessionManager, memoryStore, RefusedError, StoreUnavailableError } from "../../src/index.ts";
import { channels } from "../../src/telemetry/channels.ts";
import { commitForResponse } from "../../src/manager.ts";
import { cookieOf, testKeys } from "./doubles.ts";

type Data = Record<string, any>;

const today = v.object({ theme: v.string() }) as never;
const boom = (): never => {
  throw new RangeError("no such version");
};
const throwing = { "~standard": { version: 1, vendor: "test", validate: boom } } as never;

const faults: Record<string, object> = {
  "an upgrade that throws": { schema: today, upgrade: boom },
  "an async upgrade that throws": { schema: today, upgrade: async () => boom() },
  "an upgrade that answers no object": { schema: v.any() as never, upgrade: () => 5 },
  "an upgrade that answers what cannot be stored": {
    schema: v.union([v.object({ theme: v.function() })]) as never,
    upgrade: () => ({ theme: boom }),
  },
  "a schema that throws": { schema: throwing },
  "a schema that answers no object": {
    schema: { "~standard": { version: 1, vendor: "test", validate: () => ({ value: 5 }) } } as never,
  },
};

describe.each(Object.entries(faults))("onUnreadable: %s", (name, options) => {
  if (name === "an upgrade that answers no object") {
    const validate = (value: unknown) => (value === 5 ? { value } : { issues: [{ message: "old" }] });
    options = { ...options, schema: { "~standard": { version: 1, vendor: "test", validate } } };
  }
  const begin = async () => {
    const store = memoryStore();
    const before = createSessionManager<Data>({ store, keys: testKeys });
    const session = await before.load(null);
    session.login("7");
    session.data["colour"] = "red";
    const cookie = cookieOf(await before.commit(session));
    const manager = (onUnreadable: "renew" | "throw") =>
      createSessionManager<Data>({ store, keys: testKeys, onUnreadable, ...options });
    return { before, cookie, manager };
  };

  test('"renew" → a refuse event and a fresh session', async () => {
    const { cookie, manager } = await begin();
    const reasons: unknown[] = [];
    const listen = (event: unknown) => reasons.push((event as { reason: string }).reason);
    channels.refuse.subscribe(listen);
    const session = await manager("renew").load(cookie);
    channels.refuse.unsubscribe(listen);
    assert.deepEqual([session.isNew, session.user, session.data], [true, undefined, {}]);
    assert.deepEqual(reasons, ["schema"]);
  });

  test('"throw" → RefusedError with status 500 at each access, and no effect on other requests', async () => {
    const { cookie, manager } = await begin();
    const sessions = manager("throw");
    const session = await sessions.load(cookie);
    for (const look of ["data", "user", "isNew", "handle"] as const) {
      expect(() => session[look]).toThrow(expect.objectContaining({ status: 500, reason: "schema" }));
    }
    assert.equal(await sessions.commit(session), null);
  });

  test.each(["renew", "throw"] as const)("%j → R43: logging out works", async (onUnreadable) => {
    const { before, cookie, manager } = await begin();
    const sessions = manager(onUnreadable);
    const session = await sessions.load(cookie);
    session.destroy();
    assert.match((await commitForResponse(sessions as never, session as never))!, /Max-Age=0/);
    assert.equal((await before.load(cookie)).isNew, true);
  });
});

test('onUnreadable: "throw", and a row that does not open, with a schema → logging out works', async () => {
  const store = memoryStore();
  const before = createSessionManager<Data>({ store, keys: testKeys, app: "before" });
  const session = await before.load(null);
  session.data["theme"] = "dark";
  const cookie = cookieOf(await before.commit(session));
  const sessions = createSessionManager<Data>({
    store,
    keys: testKeys,
    onUnreadable: "throw",
    schema: today,
  });
  const refused = await sessions.load(cookie);
  assert.throws(() => refused.data, RefusedError);
  refused.destroy();
  assert.match((await sessions.commit(refused))!, /Max-Age=0/);
});

test("promise 8: an upgrade whose own store is down → the store's error, no fresh session", async () => {
  const store = memoryStore();
  const before = createSessionManager<Data>({ store, keys: testKeys });
  const session = await before.load(null);
  session.data["colour"] = "red";
  const cookie = cookieOf(await before.commit(session));
  const upgrade = () => {
    throw new StoreUnavailableError("down");
  };
  const sessions = createSessionManager<Data>({ store, keys: testKeys, schema: today, upgrade });
  await assert.rejects(sessions.load(cookie), StoreUnavailableError);
});
