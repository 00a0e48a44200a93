import assert from "node:assert/strict";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSessionManager, memoryStore, OptionsError, type SessionManager } from "../../src/index.ts";
import { channels } from "../../src/telemetry/channels.ts";
import { countDue } from "../../src/operator/admin.ts";
import { recordsOf } from "../../src/manager.ts";
import { fakeClock, type FakeClock } from "../../src/testing/clock.ts";
import { cookieOf, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

type Data = Record<string, unknown>;

const minute = 60_000;
const day = 86_400_000;
const year = 365 * day;
const today = Date.UTC(2026, 10, 30);

eachStore((_name, create) => {
  let held: TestStore;
  let clock: FakeClock;
  let sessions: SessionManager<Data>;
  beforeEach(async () => {
    held = await create();
    clock = fakeClock(today);
    sessions = createSessionManager<Data>({
      store: held.store,
      keys: testKeys,
      idleTimeout: "1 day",
      clock: clock.now,
    });
  });
  afterEach(async () => held.drop());

  async function begun(): Promise<string> {
    const session = await sessions.load(null);
    session.login("42");
    session.data["n"] = 1;
    return cookieOf(await sessions.commit(session));
  }

  test("R20: a session was created while the clock was ten years ahead → it is refused with an event, not listed, and expire deletes it", async () => {
    clock.advance(10 * year);
    const cookie = await begun();
    clock.set(today);
    const alive = await begun();
    const refused: unknown[] = [];
    const listen = (event: unknown) => refused.push((event as { reason: string }).reason);
    channels.refuse.subscribe(listen);
    assert.equal((await sessions.load(cookie)).isNew, true);
    channels.refuse.unsubscribe(listen);
    assert.deepEqual(refused, ["times"]);
    assert.equal((await sessions.forUser("42").list()).length, 1);
    assert.equal((await sessions.stats()).live, 1);
    assert.equal(await countDue(recordsOf(sessions as never), {}), 1);
    assert.equal(await sessions.expire(), 1);
    assert.equal((await held.store.scan(null, 10)).length, 1);
    assert.equal((await sessions.load(alive)).isNew, false);
    clock.advance(2 * year);
    assert.equal((await sessions.load(cookie)).isNew, true);
  });

  test("R20: a server's clock is ahead by less than five minutes → its sessions are alive on every other", async () => {
    clock.advance(5 * minute);
    const cookie = await begun();
    clock.set(today);
    assert.equal((await sessions.load(cookie)).user, "42");
    clock.set(today - 1);
    assert.equal((await sessions.load(cookie)).isNew, true);
  });

  test("R20: the clock is behind by an hour → sessions of the other servers are refused, and none is deleted", async () => {
    const cookie = await begun();
    clock.set(today - 60 * minute);
    assert.equal((await sessions.load(cookie)).isNew, true);
    assert.equal(await sessions.expire(), 0);
    clock.set(today);
    assert.equal((await sessions.load(cookie)).user, "42");
  });

  test("R20: a machine has lost its time → expire deletes no session", async () => {
    const cookie = await begun();
    clock.set(Date.UTC(2000, 0, 1));
    assert.equal(await sessions.expire(), 0);
    clock.set(today);
    assert.equal((await sessions.load(cookie)).user, "42");
  });

  test("R14: a session was used while the clock was ahead → its next use brings its idle limit back", async () => {
    const cookie = await begun();
    clock.advance(20 * 60 * minute);
    assert.equal((await sessions.load(cookie)).user, "42");
    await sessions.commit(await sessions.load(cookie));
    await new Promise((resolve) => setTimeout(resolve, 20));
    clock.set(today + minute);
    const session = await sessions.load(cookie);
    assert.equal(session.user, "42");
    await sessions.commit(session);
    await recordsOf(sessions as never).settled();
    clock.set(today + minute + day);
    assert.equal((await sessions.load(cookie)).isNew, true);
  });
});

test.each([
  [
    "seconds",
    () => Date.UTC(2026, 0, 1) / 1000,
    /`clock` returned 1767225600, a time before 1973: these may be seconds/,
  ],
  ["microseconds", () => Date.UTC(2026, 0, 1) * 1000, /a time after 5138: these may be microseconds/],
  ["a Date", () => new Date(), /`clock` returned a Date\./],
  ["NaN", () => Number.NaN, /`clock` returned NaN\./],
  ["Infinity", () => Number.POSITIVE_INFINITY, /`clock` returned Infinity, a time after 5138/],
  ["a bigint", () => 1_767_225_600_000n, /`clock` returned a value of type bigint\./],
  ["nothing", () => undefined, /`clock` returned a value of type undefined\./],
])(
  "createSessionManager: a clock that returns %s → OptionsError that names milliseconds",
  (_kind, clock, message) => {
    const create = () =>
      createSessionManager({ store: memoryStore(), keys: testKeys, clock: clock as () => number });
    expect(create).toThrow(OptionsError);
    expect(create).toThrow(message);
    expect(create).toThrow(/milliseconds since the epoch, as Date\.now\(\) does/);
  },
);
