/** At most one touch a session and `touchEvery` in a process, however many requests read it at once (promise 10). */
import { afterEach, expect, test } from "vitest";
import { DropInSessions } from "../../src/adapters/drop-in/drop-in-sessions.ts";
import { memoryStore, StoreUnavailableError, type SessionStore } from "../../src/index.ts";
import { recordsOf } from "../../src/manager.ts";
import { HandClock, manage, visit } from "../jobs/sessions.ts";
import { around, counted, cookieOf, Gate, olderKey, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

const minute = 60_000;
const limits = { idleTimeout: 20 * minute, absoluteTimeout: 720 * minute } as const; // touchEvery: 1 min
const fifty = Array.from({ length: 50 }, (_, nth) => nth);

eachStore((_name, create) => {
  let held: TestStore;
  afterEach(() => held.drop());

  test("promise 10: 50 requests read one session at once → one touch in each touchEvery", async () => {
    held = await create();
    const clock = new HandClock();
    const statements = counted(held.store);
    const app = manage(statements.store, testKeys, { ...limits, clock: clock.now });
    const cookie = await visit(app, "42");
    for (let round = 1; round <= 3; round++) {
      clock.time += 2 * minute;
      const sessions = await Promise.all(fifty.map(() => app.load(cookie)));
      await Promise.all(sessions.map((session) => app.commit(session)));
      await recordsOf(app as never).settled();
      const [row] = await held.store.scan(null, 1);
      expect(row).toMatchObject({ updatedAt: clock.time, expiresAt: clock.time + limits.idleTimeout });
      expect(statements.counts.get("touch")).toBe(round);
    }
  });

  test("promise 10: 50 requests read one session whose cookie rolls → one renewal, and one cookie", async () => {
    held = await create();
    const clock = new HandClock();
    const statements = counted(held.store);
    const app = manage(statements.store, testKeys, {
      ...limits,
      clock: clock.now,
      cookie: { rolling: true },
    });
    const cookie = await visit(app, "42");
    clock.time += 2 * minute;
    const sessions = await Promise.all(fifty.map(() => app.load(cookie)));
    const cookies = await Promise.all(sessions.map((session) => app.commit(session)));
    expect(statements.counts.get("update")).toBe(1);
    expect(cookies.filter((one) => one !== null)).toHaveLength(1);
    clock.time += 2 * minute;
    expect(await app.commit(await app.load(cookie)), "the next one that is due").not.toBeNull();
  });

  test("a failover brings back the row of before a renewal → it is renewed again", async () => {
    held = await create();
    const clock = new HandClock();
    const app = manage(held.store, testKeys, { ...limits, clock: clock.now, cookie: { rolling: true } });
    const cookie = await visit(app, "42");
    const [before] = await held.store.scan(null, 1);
    clock.time += 2 * minute;
    expect(await app.commit(await app.load(cookie))).not.toBeNull();
    await held.store.delete([before!.id]);
    await held.store.insert([before!]);
    clock.time += 2 * minute;
    expect(await app.commit(await app.load(cookie)), "or it would end although it is used").not.toBeNull();
  });

  test("promise 10: 50 requests of the drop-in touch one session at once → one touch", async () => {
    held = await create();
    const clock = new HandClock();
    const statements = counted(held.store);
    const dropIn = new DropInSessions({
      store: statements.store,
      keys: testKeys,
      ...limits,
      clock: clock.now,
    });
    await dropIn.save("an id", { n: 1 }, null, clock.time + 10 * minute);
    clock.time += 2 * minute;
    const loaded = await Promise.all(fifty.map(() => dropIn.load("an id")));
    const end = clock.time + 10 * minute;
    await Promise.all(loaded.map((one) => dropIn.touch("an id", one!.baseline, end)));
    await recordsOf(dropIn.sessions as never).settled();
    expect(statements.counts.get("touch")).toBe(1);
    // Another end is another touch: "remember me" must not get lost behind one that is on its way.
    const again = (await dropIn.load("an id"))!;
    const first = dropIn.touch("an id", again.baseline, end + 2 * minute);
    clock.time += 1;
    await Promise.all([first, dropIn.touch("an id", again.baseline, end + 8 * minute)]);
    await recordsOf(dropIn.sessions as never).settled();
    const [row] = await held.store.scan(null, 1);
    expect(row!.expiresAt).toBe(end + 8 * minute);
  });
});

test("a cookie with an older key's tag, read by 50 requests at once → one renewal", async () => {
  const store = memoryStore();
  const cookie = await visit(manage(store, olderKey), "42");
  const statements = counted(store);
  const app = manage(statements.store, [testKeys, olderKey]);
  const sessions = await Promise.all(fifty.map(() => app.load(cookie)));
  const cookies = await Promise.all(sessions.map((session) => app.commit(session)));
  expect(statements.counts.get("update")).toBe(1);
  expect(cookies.filter((one) => one !== null)).toHaveLength(1);
  // The answer may have been lost: a request that comes later with the old cookie is given another.
  expect(await app.commit(await app.load(cookie))).not.toBeNull();
});

test("a touch or a renewal that failed → the next request tries again", async () => {
  const clock = new HandClock();
  const below = memoryStore();
  let fails = true;
  let tries = 0;
  const store = around(below, (operation, call) => {
    if (operation !== "touch" && operation !== "update") return call();
    tries++;
    return fails ? Promise.reject(new StoreUnavailableError("The test's store is down.")) : call();
  });
  const app = manage(store, testKeys, { ...limits, clock: clock.now });
  const rolling = manage(store, testKeys, { ...limits, clock: clock.now, cookie: { rolling: true } });
  const cookie = await visit(app, "42");
  clock.time += 2 * minute;
  await app.commit(await app.load(cookie));
  await recordsOf(app as never).settled();
  await expect(rolling.commit(await rolling.load(cookie))).rejects.toThrow(StoreUnavailableError);
  expect(tries).toBe(2);
  fails = false;
  expect(await rolling.commit(await rolling.load(cookie))).not.toBeNull();
  clock.time += 2 * minute;
  await app.commit(await app.load(cookie));
  await recordsOf(app as never).settled();
  expect((await below.scan(null, 1))[0]!.updatedAt).toBe(clock.time);
});

test("a touch that a reseal has undone → the next request sends another at once", async () => {
  const clock = new HandClock();
  const store = memoryStore();
  const app = manage(store, testKeys, { ...limits, clock: clock.now });
  const cookie = await visit(app, "42");
  const [before] = await store.scan(null, 1);
  clock.time += 2 * minute;
  await app.commit(await app.load(cookie));
  await recordsOf(app as never).settled();
  // What was read before the touch is written over it, with another version.
  const [touched] = await store.scan(null, 1);
  const resealing = manage(undone(store, before!), [olderKey, testKeys], { clock: clock.now });
  await resealing.reseal({ maxPerSecond: Infinity, share: 1 });
  const both = manage(store, [testKeys, olderKey], { ...limits, clock: clock.now });
  expect((await store.scan(null, 1))[0]).toMatchObject({ updatedAt: before!.updatedAt });
  expect(touched!.updatedAt).toBe(clock.time);
  await both.commit(await both.load(cookie));
  await recordsOf(both as never).settled();
  expect((await store.scan(null, 1))[0]!.updatedAt).toBe(clock.time);
});

/** It reads the row as it was. */
function undone(store: SessionStore, row: Awaited<ReturnType<SessionStore["scan"]>>[number]): SessionStore {
  return new Proxy(store, {
    get(target, name) {
      if (name === "read") return () => Promise.resolve([row]);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}

test("promise 3: a logout while a touch of its session hangs → it is done, and the touch brings nothing back", async () => {
  const clock = new HandClock();
  const store = memoryStore();
  const gate = new Gate();
  const app = manage(gate.over(store), testKeys, { ...limits, clock: clock.now });
  const cookie = await visit(app, "42");
  clock.time += 2 * minute;
  gate.stop("touch", "sent");
  await app.commit(await app.load(cookie));
  await gate.reached;
  const session = await app.load(cookie);
  session.destroy();
  expect(cookieOf(await app.commit(session))).toMatch(/=$/);
  gate.open();
  await recordsOf(app as never).settled();
  expect(await store.scan(null, 1)).toEqual([]);
});
