import assert from "node:assert/strict";
import * as v from "valibot";
import { beforeEach, describe, test } from "vitest";
import {
  ClosedError,
  createSessionManager,
  memoryStore,
  RefusedError,
  SchemaError,
  SessionEndedError,
  StoreUnavailableError,
  ValueError,
  type Session,
  type SessionManager,
  type SessionStore,
} from "../../src/index.ts";
import { channels } from "../../src/telemetry/channels.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import { commitForResponse } from "../../src/manager.ts";
import { stateOf } from "../../src/session/session.ts";
import { around, cookieOf, Gate, testKeys } from "./doubles.ts";

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;
const start = 1_700_000_000_000;

// What a hostile review found, each with the test that would have caught it.

let store: SessionStore;
let now: number;
let sessions: Sessions;
beforeEach(() => {
  store = memoryStore();
  now = start;
  sessions = manager();
});

function manager(options: Partial<SessionManagerOptions<Data>> = {}): Sessions {
  return createSessionManager<Data>({ store, keys: testKeys, clock: () => now, ...options });
}

async function begin(data: Data, user?: string, by = sessions): Promise<string> {
  const session = await by.load(null, { address: "192.0.2.1" });
  if (user !== undefined) session.login(user);
  Object.assign(session.data, data);
  return cookieOf(await by.commit(session));
}

async function change(cookie: string, data: Data): Promise<void> {
  const session = await sessions.load(cookie);
  Object.assign(session.data, data);
  await sessions.commit(session);
}

describe("schemas", () => {
  // ArkType, v.any() and hand-written ones answer the object they were given
  const identity = {
    "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) },
  } as const;

  test("a schema returns its input → no change is lost", async () => {
    const checked = manager({ schema: identity as never });
    const cookie = await begin({ a: 1 }, undefined, checked);
    const session = await checked.load(cookie);
    session.data["a"] = 2;
    await checked.commit(session);
    await checked.update(session, (data) => void (data["b"] = 3));
    assert.deepEqual((await checked.load(cookie)).data, { a: 2, b: 3 });
  });

  test("a schema strips and adds keys → session.data shows the result after the commit", async () => {
    const strict = manager({
      schema: v.object({ a: v.number(), b: v.optional(v.number(), 2) }) as never,
    });
    const session = await strict.load(null);
    Object.assign(session.data, { a: 1, c: 3 });
    await strict.commit(session);
    assert.deepEqual(session.data, { a: 1, b: 2 });
    Object.assign(session.data, { c: 3 });
    await strict.commit(session);
    assert.deepEqual(session.data, { a: 1, b: 2 });
  });

  test("a session without data → fits every schema, before and after a reset", async () => {
    const strict = manager({ schema: v.object({ name: v.string() }) as never, onUnreadable: "throw" });
    const session = await strict.load(null);
    session.login("42");
    session.flash("notice", "hello");
    const cookie = cookieOf(await strict.commit(session));
    const again = await strict.load(cookie);
    assert.equal(again.user, "42");
    again.reset();
    const next = cookieOf(await strict.commit(again));
    assert.deepEqual((await strict.load(next)).data, {});
  });
});

describe("R42: no data crosses from one user to the next", () => {
  for (const [name, act] of Object.entries({
    reset: (session: Awaited<ReturnType<Sessions["load"]>>) => session.reset(),
    "reset and login": (session: Awaited<ReturnType<Sessions["load"]>>) => (
      session.reset(),
      session.login("bob")
    ),
    "destroy and login": (session: Awaited<ReturnType<Sessions["load"]>>) => (
      session.destroy(),
      session.login("bob")
    ),
    "login as another": (session: Awaited<ReturnType<Sessions["load"]>>) => session.login("bob"),
  })) {
    for (const looked of [true, false]) {
      test(`${name}, ${looked ? "after access" : "without access"}, against a parallel save → no data of the other user`, async () => {
        const cookie = await begin({ pub: 1 }, "alice");
        const session = await sessions.load(cookie);
        if (looked) void session.data;
        act(session);
        await change(cookie, { secret: "alice's" });
        const next = await sessions.load(cookieOf(await sessions.commit(session)));
        assert.deepEqual(next.data, {});
        assert.equal((await sessions.load(cookie)).isNew, true);
      });
    }
  }
});

test("a session starts over, and its row no longer opens → the row is not needed", async () => {
  const cookie = await begin({ a: 1 }, "alice");
  const session = await sessions.load(cookie);
  session.reset();
  session.data["b"] = 1;
  const [row] = await store.scan(null, 1);
  const version = row!.version + 1;
  await store.update([{ loaded: row!, next: { ...row!, version, data: new Uint8Array(row!.data.length) } }]);
  const next = await sessions.load(cookieOf(await sessions.commit(session)));
  assert.deepEqual(next.data, { b: 1 });
  assert.equal((await store.scan(null, 10)).length, 1);
});

describe("after a session has ended", () => {
  test("a login after a commit found the session ended → a new session", async () => {
    const cookie = await begin({ a: 1 }, "alice");
    const session = await sessions.load(cookie);
    await sessions.forUser("alice").revokeAll();
    await assert.rejects(
      sessions.update(session, (data) => void (data["a"] = 2)),
      SessionEndedError,
    );
    session.login("alice");
    const next = cookieOf(await sessions.commit(session));
    assert.equal((await sessions.load(next)).user, "alice");
  });

  test("a login or a reset after a committed destroy → a new session", async () => {
    for (const looked of [true, false]) {
      const session = await sessions.load(await begin({ a: 1 }, "alice"));
      if (looked) void session.data;
      session.destroy();
      await sessions.commit(session);
      session.reset();
      session.data["b"] = 1;
      const next = await sessions.load(cookieOf(await sessions.commit(session)));
      assert.deepEqual([next.user, next.data], [undefined, { b: 1 }]);
    }
  });

  test("R41: another request ends that new session → its cookie is not cleared", async () => {
    const session = await sessions.load(await begin({ a: 1 }));
    session.destroy();
    await sessions.commit(session);
    session.login("alice");
    await sessions.commit(session);
    await sessions.forUser("alice").revokeAll();
    session.destroy();
    assert.equal(await sessions.commit(session), null);
  });

  test("R41: the session ends after an earlier commit → the cookie of that commit is not sent", async () => {
    const session = await sessions.load(null);
    session.login("alice");
    await sessions.commit(session);
    await sessions.forUser("alice").revokeAll();
    session.data["y"] = 1;
    assert.equal(await commitForResponse(sessions as never, session as never), null);
  });

  test("destroy: the row does not open → it stays, for it may be another application's; the cookie is cleared", async () => {
    for (const looked of [true, false]) {
      const cookie = await begin({ a: 1 });
      const other = manager({ app: "another" });
      const session = await other.load(cookie);
      if (looked) assert.deepEqual(session.data, {});
      session.destroy();
      assert.match((await other.commit(session))!, /Max-Age=0/);
      assert.deepEqual((await sessions.load(cookie)).data, { a: 1 });
    }
  });

  test("reset, or a login as another user: the row does not open → it stays", async () => {
    for (const act of ["reset", "login"] as const) {
      const cookie = await begin({ a: 1 });
      const other = manager({ app: "another" });
      const session = await other.load(cookie);
      if (act === "reset") session.reset();
      else session.login("43");
      session.data["b"] = 2;
      assert.notEqual(await other.commit(session), null);
      assert.deepEqual((await sessions.load(cookie)).data, { a: 1 });
    }
  });
});

describe("update", () => {
  test("a new session, and the update fails → nothing of it stays, and a repeated update counts once", async () => {
    let down = true;
    const flaky = manager({
      store: around(store, async (_operation, call) => {
        if (down) throw new StoreUnavailableError("down");
        return call();
      }),
    });
    const session = await flaky.load(null);
    const count = (data: Data) => void (data["n"] = (data["n"] ?? 0) + 1);
    await assert.rejects(flaky.update(session, count), StoreUnavailableError);
    down = false;
    await flaky.update(session, count);
    assert.equal(session.data["n"], 1);
    await assert.rejects(
      flaky.update(await flaky.load(null), (data) => {
        data["half"] = true;
        throw new RangeError("no");
      }),
      RangeError,
    );
    assert.equal(await flaky.count(), 1);
  });

  test("promise 1: an update leaves a new session empty → nothing is written", async () => {
    const session = await sessions.load(null);
    await sessions.update(session, (data) => void delete data["x"]);
    assert.equal(await sessions.commit(session), null);
    assert.equal(await sessions.count(), 0);
  });

  test("R48: a login is pending → the write is recorded as a login", async () => {
    const reasons: string[] = [];
    const hears = { start: (event: object) => reasons.push((event as { reason: string }).reason) };
    const listener = { ...hears, end() {}, asyncStart() {}, asyncEnd() {}, error() {} } as never;
    channels.write.subscribe(listener);
    const session = await sessions.load(null);
    session.login("42");
    await sessions.update(session, (data) => void (data["n"] = 1));
    channels.write.unsubscribe(listener);
    assert.deepEqual(reasons, ["login"]);
  });

  test("update of a session with a rolling cookie → the cookie is renewed", async () => {
    const rolling = manager({ cookie: { rolling: true }, idleTimeout: "1 h", absoluteTimeout: "1 day" });
    const cookie = await begin({ n: 0 }, undefined, rolling);
    for (let i = 1; i <= 3; i++) {
      now += 50 * 60_000;
      const session = await rolling.load(cookie);
      await rolling.update(session, (data) => void (data["n"] += 1));
      assert.match((await rolling.commit(session))!, /Max-Age=3600/);
    }
  });

  test("update with an async function → a TypeError, and no unhandled rejection", async () => {
    const session = await sessions.load(await begin({ n: 0 }));
    await assert.rejects(
      sessions.update(session, (async () => {
        throw new RangeError("lost");
      }) as never),
      TypeError,
    );
  });
});

describe("promise 2: session.data stays the same object", () => {
  const flows: Record<string, (by: Sessions, session: Session<Data>, cookie: string) => Promise<unknown>> = {
    "an update": (by, session) => by.update(session, (data) => void (data["n"] = 1)),
    "a commit": (by, session) => ((session.data["n"] = 1), by.commit(session)),
    "a commit that merged": async (by, session, cookie) => {
      await change(cookie, { b: 1 });
      session.data["n"] = 1;
      await by.commit(session);
    },
  };
  const rebuilding = v.record(v.string(), v.any());
  for (const [name, flow] of Object.entries(flows)) {
    for (const schema of [undefined, rebuilding]) {
      test(`after ${name}${schema ? " with a schema" : ""} → the same object`, async () => {
        const by = manager(schema && { schema: schema as never });
        const cookie = await begin({ cart: ["tea"] });
        const session = await by.load(cookie);
        const cart = session.data["cart"] as string[];
        await flow(by, session, cookie);
        cart.push("cup");
        await by.commit(session);
        assert.deepEqual((await sessions.load(cookie)).data["cart"], ["tea", "cup"]);
      });
    }
  }
});

test("the data changes while a schema validates → the change is written only after it was validated itself", async () => {
  const waiting = Promise.withResolvers<void>();
  let validating = Promise.withResolvers<void>();
  const validate = async (value: unknown) => {
    if (Object.keys(value as Data).length === 0) return { issues: [{ message: "no defaults" }] };
    validating.resolve();
    const isFine = typeof (value as Data)["n"] === "number";
    await waiting.promise;
    return isFine ? { value } : { issues: [{ message: "no number", path: ["n"] }] };
  };
  const checked = manager({ schema: { "~standard": { version: 1, vendor: "test", validate } } as never });
  const session = await checked.load(null);
  session.data["n"] = 1;
  const committing = checked.commit(session);
  await validating.promise;
  session.data["n"] = "none";
  session.data["m"] = 2;
  waiting.resolve();
  const cookie = cookieOf(await committing);
  assert.deepEqual((await sessions.load(cookie)).data, { n: 1 });
  validating = Promise.withResolvers();
  await assert.rejects(checked.commit(session), SchemaError);
  assert.deepEqual((await sessions.load(cookie)).data, { n: 1 });
  session.data["n"] = 3;
  await checked.commit(session);
  assert.deepEqual((await sessions.load(cookie)).data, { n: 3, m: 2 });
});

test("R42: the session starts over while a schema validates → the schema's output is not carried over", async () => {
  let meanwhile = () => {};
  const validate = async (value: unknown) => {
    meanwhile();
    const { name } = value as Data;
    return { value: { ...(value as Data), ...(name && { greeting: `Hello ${name}` }) } };
  };
  const derived = manager({ schema: { "~standard": { version: 1, vendor: "test", validate } } as never });
  const session = await derived.load(await begin({ a: 1 }, "alice"));
  session.data["name"] = "Alice";
  meanwhile = () => {
    meanwhile = () => {};
    session.login("bob");
    session.data["b"] = 1;
  };
  const { user, data } = await sessions.load(cookieOf(await derived.commit(session)));
  assert.deepEqual([user, data], ["bob", { b: 1 }]);
});

test("frozen data → can be merged and updated", async () => {
  const cookie = await begin({ a: 1 });
  const session = await sessions.load(cookie);
  session.data = Object.freeze({ a: 2 });
  await change(cookie, { b: 1 });
  await sessions.commit(session);
  await sessions.update(session, (data) => ({ ...data, c: 1 }));
  assert.deepEqual((await sessions.load(cookie)).data, { a: 2, b: 1, c: 1 });
});

test("R46: `__proto__` as an own key → never reaches a prototype, in a merge either", async () => {
  const cookie = await begin({ a: 1 });
  const session = await sessions.load(cookie);
  session.data = JSON.parse('{"__proto__":{"admin":true}}') as Data;
  await change(cookie, { b: 1 });
  await assert.rejects(sessions.commit(session), ValueError);
  assert.equal(session.data["admin"], undefined);
  assert.equal(({} as Data)["admin"], undefined);
});

describe("an unknown outcome", () => {
  /** A manager over a store that loses one answer, after doing what was asked, or while it is done later. */
  function losing(options: Parameters<typeof manager>[0] = {}): {
    sessions: Sessions;
    lose(operation: string, land?: Promise<void>): void;
  } {
    let lost: string | null = null;
    let landing: Promise<void> | undefined;
    const flaky = manager({
      ...options,
      store: around(store, async (operation, call) => {
        if (operation !== lost) return call();
        lost = null;
        if (landing === undefined) await call();
        else void landing.then(call);
        throw new StoreUnavailableError("lost", { outcome: "unknown" });
      }),
    });
    return { sessions: flaky, lose: (operation, land) => ((lost = operation), (landing = land)) };
  }

  for (const act of ["regenerate", "login"] as const) {
    test(`a lost ${act} is applied between the lookup and the retry → it is found`, async () => {
      const { sessions: flaky, lose } = losing();
      const cookie = await begin({ a: 1 });
      const session = await flaky.load(cookie);
      if (act === "login") session.login("42");
      else session.regenerate();
      const { promise, resolve } = Promise.withResolvers<void>();
      lose("replace", promise);
      await assert.rejects(flaky.commit(session), StoreUnavailableError);
      const committing = flaky.commit(session);
      resolve(); // it lands while the second commit looks
      const next = await flaky.load(cookieOf(await committing));
      assert.deepEqual(next.data, { a: 1 });
      assert.equal((await flaky.load(cookie)).isNew, true);
    });
  }

  test("a lost save was applied → it is the base of the next changes", async () => {
    const { sessions: flaky, lose } = losing();
    const cookie = await begin({ n: 0 });
    const session = await flaky.load(cookie);
    session.data["n"] = 1;
    lose("update");
    await assert.rejects(flaky.commit(session), StoreUnavailableError);
    session.data["n"] = 0;
    await flaky.commit(session);
    assert.equal((await flaky.load(cookie)).data["n"], 0);
  });

  test("a lost update was applied → no conflict with what the request itself sets", async () => {
    const { sessions: flaky, lose } = losing({ onConflict: () => assert.fail("asked") });
    const cookie = await begin({ n: 0 });
    const session = await flaky.load(cookie);
    lose("update");
    await assert.rejects(
      flaky.update(session, (data) => void (data["n"] = 1)),
      StoreUnavailableError,
    );
    session.data["n"] = 9;
    await flaky.commit(session);
    assert.equal((await flaky.load(cookie)).data["n"], 9);
  });

  test("an update looks for a lost first save, and the session is destroyed meanwhile → no session", async () => {
    const gate = new Gate();
    const failing = new Gate();
    const flaky = manager({ store: failing.over(gate.over(store)) });
    const session = await flaky.load(null);
    session.data["n"] = 1;
    failing.stop("insert", "failed");
    failing.open();
    await assert.rejects(flaky.commit(session), StoreUnavailableError);
    gate.stop("read", "sent");
    const updating = flaky.update(session, (data) => void (data["n"] = 2));
    await gate.reached;
    session.destroy();
    gate.open();
    await assert.rejects(updating, SessionEndedError);
    assert.equal(await flaky.commit(session), null);
    assert.deepEqual(await store.scan(null, 10), []);
  });

  test("R17: a login after a lost regenerate → both limits restart", async () => {
    const { sessions: flaky, lose } = losing();
    const cookie = await begin({ a: 1 });
    now += 20 * 86_400_000;
    const session = await flaky.load(cookie);
    session.regenerate();
    lose("replace");
    await assert.rejects(flaky.commit(session), StoreUnavailableError);
    session.login("42");
    const next = await flaky.load(cookieOf(await flaky.commit(session)));
    assert.equal(next.user, "42");
    assert.equal(next.createdAt.getTime(), now);
    assert.equal(await flaky.count(), 1);
  });
});

describe("R43: a failing hook never leaves a session valid that was to end", () => {
  test("onConflict returns a promise, or a value that cannot be stored → the session ends", async () => {
    for (const junk of [Symbol("junk"), Promise.reject(new Error("junk"))]) {
      const careless = manager({ onConflict: () => junk });
      const cookie = await begin({ a: 1 });
      const session = await careless.load(cookie);
      session.data["a"] = 2;
      session.login("42");
      await change(cookie, { a: 3 });
      await assert.rejects(careless.commit(session));
      assert.equal((await sessions.load(cookie)).isNew, true);
    }
  });

  test("the store is unavailable at that moment → the commit fails, and the next one ends the session", async () => {
    let down = false;
    const hooked = manager({
      store: around(store, async (_operation, call) => {
        if (down) throw new StoreUnavailableError("down");
        return call();
      }),
      userOf: () => {
        throw new RangeError("hook");
      },
    });
    const cookie = await begin({ a: 1 });
    const session = await hooked.load(cookie);
    session.regenerate();
    down = true;
    await assert.rejects(hooked.commit(session), StoreUnavailableError);
    down = false;
    await assert.rejects(hooked.commit(session), RangeError);
    assert.equal((await sessions.load(cookie)).isNew, true);
  });
});

describe("userOf", () => {
  test("userOf returns a number → accepted; anything that is no id → a TypeError", async () => {
    const passport = manager({ userOf: (data) => data["id"] as never });
    await begin({ id: 42 }, undefined, passport);
    assert.equal((await passport.forUser(42).list()).length, 1);
    await assert.rejects(begin({ id: {} }, undefined, passport), TypeError);
    await assert.rejects(begin({ id: Promise.reject(new Error("x")) }, undefined, passport), TypeError);
  });

  test("userOf and session.login name different users → a TypeError", async () => {
    const passport = manager({ userOf: (data) => data["id"] as string });
    const session = await passport.load(null);
    session.login("alice");
    await assert.rejects(passport.commit(session), /different users/);
    const agreed = await passport.load(null);
    agreed.data["id"] = "alice";
    agreed.login("alice");
    assert.equal((await passport.load(cookieOf(await passport.commit(agreed)))).user, "alice");
  });
});

test('onUnreadable: "throw": any access → throws; a request without access → not affected', async () => {
  const cookie = await begin({ a: 1 });
  const strict = manager({ app: "another", onUnreadable: "throw" });
  for (const look of ["data", "user", "isNew", "handle", "createdAt", "expiresAt"] as const) {
    const session = await strict.load(cookie);
    assert.throws(() => session[look], RefusedError, look);
  }
  const session = await strict.load(cookie);
  assert.throws(() => session.regenerate(), RefusedError);
  const unlooked = await manager({
    app: "another",
    onUnreadable: "throw",
    keys: [`ssk1_${"E".repeat(43)}`, testKeys],
  }).load(cookie);
  assert.equal(
    await manager({ app: "another", onUnreadable: "throw" })
      .commit(await strict.load(cookie))
      .catch(() => null),
    null,
  );
  void unlooked;
});

test("`client: false` → the next save removes address and user agent", async () => {
  const cookie = await begin({ a: 1 });
  const blind = manager({ client: false });
  const session = await blind.load(cookie, { address: "192.0.2.9" });
  session.data["a"] = 2;
  await blind.commit(session);
  assert.deepEqual(
    (await store.scan(null, 10)).map((row) => row.client),
    [null],
  );
});

test("a clock with fractions → times are whole milliseconds", async () => {
  const exact = manager({ clock: () => start + 0.75 });
  const cookie = await begin({ a: 1 }, "42", exact);
  assert.equal((await exact.load(cookie)).createdAt.getTime(), start);
});

test("a session of another manager → the commit is refused with a TypeError", async () => {
  const session = await sessions.load(null);
  session.data["a"] = 1;
  await assert.rejects(manager().commit(session), TypeError);
});

test("R12: reading the handle → counts as access", async () => {
  const cookie = await begin({ a: 1 }, "42");
  const looks: ((session: Awaited<ReturnType<Sessions["load"]>>) => unknown)[] = [
    (session) => JSON.stringify(session),
    (session) => sessions.forUser("42").list({ current: session }),
  ];
  for (const look of looks) {
    const session = await sessions.load(cookie);
    await look(session);
    assert.equal(stateOf(session as never).accessed, true);
  }
});

describe("schedules", () => {
  test("invalid options, or a closed manager → an error", async () => {
    assert.throws(() => sessions.scheduleExpiry({ batchSize: 0 }), TypeError);
    assert.throws(() => sessions.scheduleExpiry({ share: 0 }), TypeError);
    await sessions.close();
    assert.throws(() => sessions.scheduleExpiry(), ClosedError);
  });
});

describe("promises 3 and 5, R14: a limit that passes between load and commit", () => {
  const day = 86_400_000;

  async function loadedBeforeTheEnd() {
    const cookie = await begin({ cart: 1 }, "42");
    now += 29 * day;
    const session = await sessions.load(cookie);
    session.data["cart"] = 2;
    return { cookie, session };
  }

  test("the limit has passed → nothing is saved, no cookie is sent, and the session stays ended", async () => {
    const { cookie, session } = await loadedBeforeTheEnd();
    now = start + 30 * day;
    assert.equal(await sessions.commit(session), null);
    now = start + 29 * day; // what the row would have kept
    assert.equal((await sessions.load(cookie)).data["cart"], 1);
  });

  test("one millisecond before the limit → the session is saved", async () => {
    const { cookie, session } = await loadedBeforeTheEnd();
    now = start + 30 * day - 1;
    await sessions.commit(session);
    assert.equal((await sessions.load(cookie)).data["cart"], 2);
  });

  test("an update → SessionEndedError", async () => {
    const { session } = await loadedBeforeTheEnd();
    now = start + 30 * day;
    await assert.rejects(
      sessions.update(session, (data) => void (data["cart"] = 3)),
      SessionEndedError,
    );
  });

  test("another request moved the idle limit → the session is saved on top of that", async () => {
    sessions = manager({ idleTimeout: "1 hour" });
    const cookie = await begin({ cart: 1 });
    const slow = await sessions.load(cookie);
    slow.data["cart"] = 2;
    now += 50 * 60_000;
    const other = await sessions.load(cookie);
    other.data["seen"] = true;
    await sessions.commit(other);
    now += 50 * 60_000;
    await sessions.commit(slow);
    assert.deepEqual((await sessions.load(cookie)).data, { cart: 2, seen: true });
  });

  test("a login → goes on in a new session", async () => {
    const { session } = await loadedBeforeTheEnd();
    now = start + 30 * day;
    session.login("42");
    const cookie = cookieOf(await sessions.commit(session));
    assert.equal((await sessions.load(cookie)).user, "42");
  });
});
