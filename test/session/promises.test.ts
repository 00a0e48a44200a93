import assert from "node:assert/strict";
import { inspect } from "node:util";
import * as v from "valibot";
import { afterEach, beforeEach, describe, test } from "vitest";
import {
  createSessionManager,
  generateKey,
  LimitError,
  OptionsError,
  RefusedError,
  SchemaError,
  SessionEndedError,
  StoreError,
  StoreUnavailableError,
  ValueError,
  memoryStore,
  type SessionManager,
} from "../../src/index.ts";
import { channels } from "../../src/telemetry/channels.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import { around, cookieOf, counted, olderKey, testKeys } from "./doubles.ts";
import { eachStoreAndBinding, type TestStore } from "./stores.ts";

type Data = Record<string, any>;
const start = 1_700_000_000_000;
const day = 86_400_000;

eachStoreAndBinding((_name, create, making) => {
  const { isBound, user: someone } = making;
  let held: TestStore;
  let now: number;
  let statements: ReturnType<typeof counted>;
  let sessions: SessionManager<Data>;

  beforeEach(async () => {
    held = await create();
    now = start;
    statements = counted(held.store);
    sessions = manager();
  });
  afterEach(async () => held.drop());

  function manager(options: Partial<SessionManagerOptions<Data>> = {}): SessionManager<Data> {
    return making.createSessionManager<Data>({
      store: statements.store,
      keys: testKeys,
      clock: () => now,
      ...options,
    });
  }

  /** One request: load, do something, commit. Answers the `Set-Cookie` value. */
  async function visit(
    cookie: string | null,
    act: (session: Awaited<ReturnType<typeof sessions.load>>) => unknown = () => {},
    by: SessionManager<Data> = sessions,
  ): Promise<string | null> {
    const session = await by.load(cookie, { address: "192.0.2.1", userAgent: "curl" });
    await act(session);
    return by.commit(session);
  }

  async function begin(data: Data = { a: 1 }, by: SessionManager<Data> = sessions): Promise<string> {
    const act = (session: Awaited<ReturnType<typeof sessions.load>>) => {
      if (someone !== undefined) session.login(someone);
      Object.assign(session.data, data);
    };
    return cookieOf(await visit(null, act, by));
  }

  describe("promise 1: anonymous requests never touch the database", () => {
    test("R35: a request without a cookie writes nothing → no statement, no cookie", async () => {
      assert.equal(await visit(null), null);
      assert.equal(await visit(""), null);
      assert.equal(await visit("other=1; __Host-session="), null);
      assert.equal(
        await visit(null, (session) => void [session.data, session.user, session.isNew, session.handle]),
        null,
      );
      assert.equal(statements.total(), 0);
    });

    test("R3: a forged or malformed token → no statement, no row", async () => {
      const cookie = await begin();
      const before = statements.total();
      const token = cookie.split("=")[1]!;
      const forged = [
        token.slice(0, 63),
        `${token}A`,
        `B${token.slice(1)}`,
        `${token.slice(0, 63)}${token[63] === "A" ? "B" : "A"}`,
      ];
      for (const value of [
        ...forged,
        "x",
        "%00",
        "../../etc/passwd",
        "' OR 1=1 --",
        "[object Object]",
        "🍪",
      ]) {
        assert.equal(await visit(`__Host-session=${value}`), null);
      }
      assert.equal(statements.total(), before);
      assert.equal(await sessions.count(), 1);
    });

    test("R3: an id that the client made up → never adopted", async () => {
      const stranger = createSessionManager<Data>({ store: memoryStore(), keys: testKeys });
      const theirs = await begin({ x: 1 }, stranger); // tagged by our own keys, but no row of ours
      const own = cookieOf(await visit(theirs, (session) => (session.data["mine"] = true)));
      assert.notEqual(own, theirs);
    });

    test("R10: several cookies of our name → the first live one is used, of at most four", async () => {
      const dead = createSessionManager<Data>({ store: memoryStore(), keys: testKeys });
      const dying = await Promise.all(Array.from({ length: 4 }, (_, i) => begin({ i }, dead)));
      const cookie = await begin({ a: "live" });
      const three = [...dying.slice(0, 3), cookie].join("; ");
      assert.equal((await sessions.load(three)).data["a"], "live");
      assert.equal((await sessions.load([...dying, cookie].join("; "))).isNew, true);
    });
  });

  describe("a session from its first save to its end", () => {
    test("values of every type → stored; the first save sets a cookie, later ones do not", async () => {
      const data = {
        text: "ü🍵",
        none: null,
        big: 12345678901234567890n,
        at: new Date(start),
        set: new Set([1, "two"]),
        map: new Map<unknown, unknown>([
          ["tea", new Date(1)],
          [7, { deep: [1.5] }],
        ]),
        url: new URL("https://example.com/?q=1"),
        bytes: new Uint8Array([0, 255]),
      };
      const cookie = await begin(data);
      assert.match(cookie, /^__Host-session=[\w-]{64}$/);
      assert.deepEqual((await sessions.load(cookie)).data, data);
      assert.equal(await visit(cookie, (session) => (session.data["more"] = 1)), null);
      assert.deepEqual((await sessions.load(cookie)).data, { ...data, more: 1 });
      assert.equal(statements.counts.get("insert"), 1);
      assert.equal(statements.counts.get("update"), 1);
    });

    test("an unchanged session is read → not written", async () => {
      const cookie = await begin({ list: [1, { deep: true }], at: new Date(5) });
      statements.counts.clear();
      assert.equal(await visit(cookie, (session) => void JSON.stringify(session.data)), null);
      assert.equal(await visit(cookie, (session) => (session.data["list"] = [1, { deep: true }])), null);
      assert.deepEqual([...statements.counts], [["read", 2]]);
    });

    test("a nested value changes → written; a change is undone → not written", async () => {
      const cookie = await begin({ cart: [{ sku: "tea", n: 1 }] });
      await visit(cookie, (session) => (session.data["cart"][0].n = 2));
      assert.equal((await sessions.load(cookie)).data["cart"][0].n, 2);
      statements.counts.clear();
      await visit(cookie, (session) => {
        session.data["cart"].push(1);
        session.data["cart"].pop();
      });
      assert.equal(statements.counts.get("update"), undefined);
    });

    test("a flash message → kept until it is taken", async () => {
      const cookie = cookieOf(await visit(null, (session) => session.flash("notice", "Welcome")));
      await visit(cookie);
      let taken: unknown;
      await visit(cookie, (session) => (taken = session.takeFlash("notice")));
      assert.equal(taken, "Welcome");
      await visit(cookie, (session) => (taken = session.takeFlash("notice")));
      assert.equal(taken, undefined);
      await visit(cookie, (session) => session.flash("__proto__x", 1));
      await assert.rejects(
        visit(cookie, (session) => session.flash("__proto__", 1)),
        ValueError,
      );
    });

    test("R17 (ASVS 7.2.4): login → a new id, the old one ends, data is kept, both limits restart", async () => {
      const cookie = await begin({ cart: ["tea"] });
      now += 10 * day;
      const next = cookieOf(await visit(cookie, (session) => session.login("42")));
      assert.notEqual(next, cookie);
      assert.equal((await sessions.load(cookie)).isNew, true);
      const session = await sessions.load(next);
      assert.equal(session.user, "42");
      assert.deepEqual(session.data["cart"], ["tea"]);
      assert.equal(session.createdAt.getTime(), now);
      assert.equal(session.expiresAt.getTime(), now + 30 * day);
      assert.equal(await sessions.count(), 1);
    });

    test("R42: a login as another user → an empty session", async () => {
      const cookie = cookieOf(
        await visit(null, (session) => {
          session.login("alice");
          session.data["secret"] = "of alice";
          session.flash("notice", "for alice");
        }),
      );
      const next = cookieOf(await visit(cookie, (session) => session.login("bob")));
      const session = await sessions.load(next);
      assert.equal(session.user, "bob");
      assert.deepEqual(session.data, {});
      assert.equal(session.takeFlash("notice"), undefined);
    });

    test("regenerate → a new id; data, user and limits stay", async () => {
      const cookie = cookieOf(
        await visit(null, (session) => {
          session.login("42");
          session.data["a"] = 1;
        }),
      );
      now += day;
      let handle = "";
      const next = cookieOf(
        await visit(cookie, (session) => {
          session.regenerate();
          handle = session.handle;
        }),
      );
      const session = await sessions.load(next);
      assert.equal(session.handle, handle);
      assert.equal(session.user, "42");
      assert.equal(session.data["a"], 1);
      assert.equal(session.createdAt.getTime(), start);
      assert.equal((await sessions.load(cookie)).isNew, true);
    });

    test("reset → the session ends, and an empty one begins", async () => {
      const cookie = cookieOf(await visit(null, (session) => session.login("42")));
      const next = cookieOf(
        await visit(cookie, (session) => {
          session.reset();
          session.data["fresh"] = true;
        }),
      );
      const session = await sessions.load(next);
      assert.equal(session.user, undefined);
      assert.deepEqual(session.data, { fresh: true });
      assert.equal((await sessions.load(cookie)).isNew, true);
      assert.deepEqual(await sessions.forUser("42").list(), []);
    });

    test("R13: destroy → the row is deleted, the cookie is cleared, later changes are not saved", async () => {
      const cookie = await begin();
      const cleared = await visit(cookie, (session) => {
        session.destroy();
        session.data["late"] = 1;
      });
      assert.match(
        cleared!,
        /^__Host-session=; Max-Age=0; Path=\/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax$/,
      );
      assert.equal(await sessions.count(), 0);
      assert.equal(
        await visit(cookie, (session) => session.destroy()),
        null,
        "a second log-out has nothing to clear",
      );
    });

    test("a login after destroy or reset in the same request → a new session", async () => {
      for (const first of ["destroy", "reset"] as const) {
        const cookie = await begin({ old: true });
        const next = cookieOf(
          await visit(cookie, (session) => {
            session[first]();
            session.login("5");
          }),
        );
        const session = await sessions.load(next);
        assert.deepEqual([session.user, session.data], ["5", {}]);
        assert.equal((await sessions.load(cookie)).isNew, true);
      }
    });

    test("a session is committed repeatedly → each commit saves what changed", async () => {
      const session = await sessions.load(null);
      session.data["n"] = 1;
      const cookie = cookieOf(await sessions.commit(session));
      session.data["n"] = 2;
      assert.equal(await sessions.commit(session), null);
      session.regenerate();
      const next = cookieOf(await sessions.commit(session));
      session.data["n"] = 3;
      assert.equal(await sessions.commit(session), null);
      assert.equal((await sessions.load(next)).data["n"], 3);
      assert.equal((await sessions.load(cookie)).isNew, true);
    });

    test("update → atomic and saved at once; other changes of the request stay unsaved", async () => {
      const cookie = await begin({ n: 1 });
      const session = await sessions.load(cookie);
      session.data["mine"] = "later";
      await sessions.update(session, (data) => void (data["n"] += 1));
      assert.deepEqual((await sessions.load(cookie)).data, { n: 2 });
      assert.deepEqual(session.data, { n: 2, mine: "later" });
      await sessions.commit(session);
      assert.deepEqual((await sessions.load(cookie)).data, { n: 2, mine: "later" });
      await sessions.update(session, (data) => ({ ...data, n: 10 }));
      assert.equal(session.data["n"], 10);
      await assert.rejects(
        sessions.update(session, (async () => {}) as never),
        /sessions\.update must be synchronous/,
      );
    });

    test("update of a new session → saved, and its commit sends the cookie", async () => {
      const session = await sessions.load(null);
      await sessions.update(session, (data) => void (data["n"] = 1));
      assert.equal(await sessions.count(), 1);
      const cookie = cookieOf(await sessions.commit(session));
      assert.equal((await sessions.load(cookie)).data["n"], 1);
      assert.equal(await sessions.commit(session), null);
    });

    test("update after login, regenerate or reset → changes the session with the new id", async () => {
      for (const act of ["login", "regenerate", "reset"] as const) {
        const cookie = await begin({ n: 1 });
        const session = await sessions.load(cookie);
        if (act === "login") session.login("42");
        else session[act]();
        await sessions.update(session, (data) => void (data["n"] = (data["n"] ?? 0) + 1));
        const next = cookieOf(await sessions.commit(session));
        assert.equal((await sessions.load(cookie)).isNew, true);
        assert.equal((await sessions.load(next)).data["n"], act === "reset" ? 1 : 2, act);
      }
    });

    test("promise 3: update of an ended session → SessionEndedError", async () => {
      const cookie = await begin({ n: 1 });
      const session = await sessions.load(cookie);
      await visit(cookie, (other) => other.destroy());
      await assert.rejects(
        sessions.update(session, (data) => void (data["n"] = 2)),
        SessionEndedError,
      );
      assert.equal(await sessions.commit(session), null);
      assert.equal(await sessions.count(), 0);
    });

    test("promise 2: two requests change one key → onConflict decides, or fails the commit", async () => {
      const seen: unknown[] = [];
      const careful = manager({
        onConflict(conflict) {
          seen.push(conflict);
          if (conflict.key === "stop") throw new RangeError("not both");
          return `${conflict.theirs}+${conflict.mine}`;
        },
      });
      const cookie = await begin({ same: "base", stop: 0 });
      const first = await careful.load(cookie);
      const second = await careful.load(cookie);
      first.data["same"] = "one";
      second.data["same"] = "two";
      await careful.commit(first);
      await careful.commit(second);
      assert.equal((await careful.load(cookie)).data["same"], "one+two");
      assert.deepEqual(seen, [{ key: "same", base: "base", mine: "two", theirs: "one" }]);
      const third = await careful.load(cookie);
      await visit(cookie, (session) => (session.data["stop"] = 1));
      third.data["stop"] = 2;
      await assert.rejects(careful.commit(third), RangeError);
      assert.equal((await careful.load(cookie)).data["stop"], 1);
    });
  });

  describe("promise 5: expiry does not depend on a job", () => {
    test("R14, R19: the idle limit passes → ended to the millisecond, without any job", async () => {
      const short = manager({ idleTimeout: "15 min", absoluteTimeout: "12 h" });
      const cookie = await begin({ a: 1 }, short);
      now = start + 15 * 60_000 - 1;
      assert.equal((await short.load(cookie)).isNew, false);
      now += 1;
      assert.equal((await short.load(cookie)).isNew, true);
    });

    test("R14, R16: the absolute limit passes → ended to the millisecond, even if the session is in use", async () => {
      const short = manager({ idleTimeout: "15 min", absoluteTimeout: "1 h" });
      const cookie = await begin({ a: 1 }, short);
      for (let minutes = 10; minutes <= 50; minutes += 10) {
        now = start + minutes * 60_000;
        await visit(cookie, (session) => (session.data["a"] = minutes), short);
      }
      now = start + 3_600_000 - 1;
      assert.equal((await short.load(cookie)).isNew, false);
      assert.equal((await short.load(cookie)).expiresAt.getTime(), start + 3_600_000);
      now += 1;
      assert.equal((await short.load(cookie)).isNew, true);
    });

    test("a session is used → a touch moves the idle limit, at most once per touchEvery", async () => {
      const short = manager({ idleTimeout: "20 min", absoluteTimeout: "12 h" }); // touchEvery: 1 min
      const cookie = await begin({ a: 1 }, short);
      statements.counts.clear();
      now = start + 60_000 - 1;
      await visit(cookie, undefined, short);
      assert.equal(statements.counts.get("touch"), undefined);
      now = start + 60_000;
      await visit(cookie, undefined, short);
      // it is off the request's path: wait until the row has it
      while ((await held.store.scan(null, 1))[0]!.updatedAt !== now) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await visit(cookie, undefined, short);
      assert.equal(statements.counts.get("touch"), 1);
      now = start + 21 * 60_000 - 1;
      assert.equal((await short.load(cookie)).isNew, false);
      now += 1;
      assert.equal((await short.load(cookie)).isNew, true);
    });

    test("the idle timeout is shortened → applies to existing sessions at once", async () => {
      const cookie = await begin();
      now = start + 2 * 3_600_000;
      const strict = manager({ preset: "aal2" });
      assert.equal((await strict.load(cookie)).isNew, true);
      assert.equal((await sessions.load(cookie)).isNew, false);
    });

    test("R20: the clock jumps an hour → the absolute limit is never extended", async () => {
      const short = manager({ idleTimeout: "2 h", absoluteTimeout: "12 h" });
      for (const jump of [-3_600_000, 3_600_000]) {
        now = start;
        const cookie = await begin({ a: 1 }, short);
        now = start + 60_000 + jump;
        await visit(cookie, (session) => (session.data["a"] = jump), short);
        await visit(cookie, undefined, short);
        now = start + 120_000;
        assert.equal((await short.load(cookie)).isNew, false, "alive when the clock is right again");
        for (let hour = 1; hour < 12; hour++) {
          now = start + hour * 3_600_000;
          await visit(cookie, (session) => (session.data["hour"] = hour), short);
        }
        now = start + 12 * 3_600_000 - 1;
        assert.equal((await short.load(cookie)).isNew, false);
        now += 1;
        assert.equal((await short.load(cookie)).isNew, true);
      }
    });

    test("promise 3: a session expires while its save is in flight → it stays ended", async () => {
      const cookie = await begin();
      now = start + 30 * day - 1;
      const session = await sessions.load(cookie);
      session.data["late"] = true;
      now += 1;
      assert.equal(await sessions.commit(session), null);
      assert.equal((await sessions.load(cookie)).isNew, true);
    });

    test("expire → deletes ended sessions only, in batches, and reports its progress", async () => {
      for (let i = 0; i < 25; i++) await begin({ i });
      now = start + 30 * day - 1;
      const alive = await begin({ alive: true });
      assert.equal(await sessions.expire(), 0);
      now += 1;
      const progress: number[] = [];
      assert.equal(
        await sessions.expire({ batchSize: 10, onProgress: ({ deleted }) => progress.push(deleted) }),
        25,
      );
      assert.deepEqual(progress.slice(0, 3), [10, 20, 25]);
      assert.equal(await sessions.count(), 1);
      assert.equal((await sessions.load(alive)).isNew, false);
      now += 10;
      assert.equal(await sessions.expire({ maxCreatedAge: 11 }), 0);
      assert.equal(await sessions.expire({ maxCreatedAge: 10 }), 1);
      const stop = new AbortController();
      stop.abort();
      assert.equal(await sessions.expire({ signal: stop.signal }), 0);
      await assert.rejects(async () => sessions.expire({ batchSize: 0 }), TypeError);
    });
  });

  describe("promise 6: a stolen dump reveals no session data", () => {
    test("R26: a row does not open → refused with an event, and the user gets a new session", async () => {
      const cookie = await begin({ secret: 1 });
      const refused: { handle: string; reason: string }[] = [];
      const listen = (message: unknown) => refused.push(message as (typeof refused)[number]);
      channels.refuse.subscribe(listen);
      try {
        const other = manager({ app: "another" });
        const session = await other.load(cookie);
        assert.deepEqual(session.data, {});
        assert.equal(session.isNew, true);
        assert.deepEqual(
          refused.map(({ reason }) => reason),
          ["commitment"],
        );
        assert.equal(await other.commit(session), null);
        const strict = manager({ app: "another", onUnreadable: "throw" });
        const again = await strict.load(cookie);
        assert.throws(() => again.data, RefusedError);
      } finally {
        channels.refuse.unsubscribe(listen);
      }
    });

    test("R2: rows, events and inspected objects → contain no token, user id or value", async () => {
      const lines: string[] = [];
      const heard = (message: unknown) => lines.push(inspect(message, { depth: 9 }));
      const traced = [channels.read, channels.write, channels.delete, channels.touch];
      const hears = { start: heard, end: heard, asyncStart: heard, asyncEnd: heard, error: heard };
      for (const channel of traced) channel.subscribe(hears);
      const session = await sessions.load(null, { address: "198.51.100.7", userAgent: "SecretAgent" });
      session.login("user-4711");
      session.data["card"] = "4111-1111";
      const cookie = cookieOf(await sessions.commit(session));
      await visit(cookie, (each) => (each.data["card"] = "4222-2222"));
      await visit(cookie, (each) => each.regenerate());
      for (const channel of traced) channel.unsubscribe(hears);
      const token = cookie.split("=")[1]!;
      const rows = await held.store.scan(null, 100);
      const shown = [
        ...lines,
        inspect(session, { depth: 9, showHidden: true }),
        JSON.stringify(session),
        inspect(sessions, { depth: 9, showHidden: true }),
        inspect(rows, { depth: 9, maxArrayLength: null }),
        ...rows.map((row) => Buffer.concat([row.id, row.data, row.userRef!, row.client!]).toString("latin1")),
      ].join("\n");
      for (const secret of [
        token,
        "user-4711",
        "4111-1111",
        "4222-2222",
        "198.51.100.7",
        "SecretAgent",
        testKeys,
      ]) {
        assert.ok(!shown.includes(secret), secret);
      }
      assert.ok(lines.length > 5);
    });

    test("sealed to the cookie → the database and the keys together open nothing", async () => {
      const sealed = manager({ sealTo: "cookie" });
      const cookie = await begin({ secret: 1 }, sealed);
      assert.equal((await sealed.load(cookie)).data["secret"], 1);
      assert.deepEqual((await sessions.load(cookie)).data, {}, "the mode comes from the configuration");
      await visit(cookie, (session) => (session.data["more"] = 2), sealed);
      assert.deepEqual((await sealed.load(cookie)).data, { secret: 1, more: 2 });
    });
  });

  describe("promise 8: fail closed, a store outage is a 503", () => {
    test("R37: the store fails → an error with status 503, never an anonymous session; nothing is cached", async () => {
      let down = false;
      const flaky = making.createSessionManager<Data>({
        store: around(held.store, async (_operation, call) => {
          if (down) throw new StoreUnavailableError("The database does not answer.");
          return call();
        }),
        keys: testKeys,
        clock: () => now,
      });
      const cookie = await begin({ a: 1 }, flaky);
      const session = await flaky.load(cookie);
      session.data["a"] = 2;
      down = true;
      await assert.rejects(flaky.load(cookie), (error: StoreError) => error.status === 503);
      await assert.rejects(flaky.commit(session), (error: StoreError) => error.status === 503);
      assert.equal(await visit(null, undefined, flaky), null, "requests without a cookie still work");
      down = false;
      assert.equal(await flaky.commit(session), null, "committing again works");
      assert.equal((await flaky.load(cookie)).data["a"], 2);
    });

    test("a commit with unknown outcome → an error; committing again applies nothing twice", async () => {
      let lose: string | null = null;
      const flaky = making.createSessionManager<Data>({
        store: around(held.store, async (operation, call) => {
          const answer = await call();
          if (operation === lose) {
            lose = null;
            throw new StoreUnavailableError("The connection was lost.", { outcome: "unknown" });
          }
          return answer;
        }),
        keys: testKeys,
        clock: () => now,
      });
      const session = await flaky.load(null);
      session.data["n"] = 1;
      lose = "insert";
      await assert.rejects(flaky.commit(session), (error: StoreError) => error.outcome === "unknown");
      const cookie = cookieOf(await flaky.commit(session));
      assert.equal((await flaky.load(cookie)).data["n"], 1);
      assert.equal(await flaky.count(), 1);

      session.data["n"] = 2;
      lose = "update";
      await assert.rejects(flaky.commit(session), StoreError);
      assert.equal(await flaky.commit(session), null);
      assert.equal((await flaky.load(cookie)).data["n"], 2);

      session.login("42");
      lose = "replace";
      await assert.rejects(flaky.commit(session), StoreError);
      const next = cookieOf(await flaky.commit(session));
      assert.equal((await flaky.load(next)).user, "42");
      assert.equal(await flaky.count(), 1);

      session.destroy();
      lose = "delete";
      await assert.rejects(flaky.commit(session), StoreError);
      assert.match((await flaky.commit(session))!, /Max-Age=0/);
      assert.equal(await flaky.count(), 0);
    });
  });

  describe("promise 9: zero-downtime key rotation", () => {
    test("R27: a newest key is added → nobody is logged out, the row moves to it, the cookie is sent again", async () => {
      const before = manager({ keys: olderKey });
      const cookie = cookieOf(await visit(null, (session) => session.login("42"), before));
      const turned = manager({ keys: [testKeys, olderKey] });
      assert.equal((await turned.load(cookie)).user, "42");
      const renewed = cookieOf(await visit(cookie, undefined, turned));
      assert.notEqual(renewed, cookie);
      assert.equal(await visit(renewed, undefined, turned), null);
      const after = manager({ keys: testKeys });
      assert.equal((await after.load(renewed)).user, "42", "the older key can be retired");
      assert.equal((await after.load(cookie)).isNew, true);
      const [info] = await after.forUser("42").list();
      assert.deepEqual(info!.client, { address: "192.0.2.1", userAgent: "curl" });
    });

    test("a session under an older key changes → saved under the newest key, and its cookie is sent again", async () => {
      const cookie = await begin({ a: 1 }, manager({ keys: olderKey }));
      const renewed = cookieOf(
        await visit(cookie, (session) => (session.data["a"] = 2), manager({ keys: [testKeys, olderKey] })),
      );
      assert.equal((await manager().load(renewed)).data["a"], 2);
    });

    test("sessions under every key of the ring → found by their user", async () => {
      const before = manager({ keys: olderKey });
      const cookie = cookieOf(await visit(null, (session) => session.login("42"), before));
      const turned = manager({ keys: [testKeys, olderKey] });
      await visit(null, (session) => session.login("42"), turned);
      assert.equal((await turned.forUser("42").list()).length, 2);
      assert.equal(await turned.forUser("42").revokeAll(), 2);
      assert.equal((await turned.load(cookie)).isNew, true);
    });
  });

  describe("users and their devices", () => {
    test("R36, R44: list, find, revoke one, revoke all others → effective at the next request", async () => {
      const cookies: string[] = [];
      for (let i = 0; i < 4; i++) {
        now += 1;
        cookies.push(cookieOf(await visit(null, (session) => session.login("42"))));
      }
      await visit(null, (session) => session.login("43"));
      const current = await sessions.load(cookies[1]!);
      const list = await sessions.forUser("42").list({ current: current as never });
      assert.deepEqual(
        list.map((info) => info.current),
        [false, false, true, false],
        "newest first",
      );
      assert.deepEqual(list[0]!.client, { address: "192.0.2.1", userAgent: "curl" });
      assert.deepEqual(
        await sessions.find(list[2]!.handle),
        { ...list[2]!, current: undefined }.handle ? await sessions.find(current.handle) : null,
      );
      assert.equal(await sessions.find("nonsense"), null);
      assert.equal(await sessions.forUser("43").revoke(list[0]!.handle), false, "not that user's");
      assert.equal(await sessions.forUser("42").revoke(list[0]!.handle), true);
      assert.equal(await sessions.forUser("42").revoke(list[0]!.handle), false);
      assert.equal((await sessions.load(cookies[3]!)).isNew, true);
      assert.equal(await sessions.forUser("42").revokeAll({ except: current as never }), 2);
      assert.equal((await sessions.load(cookies[1]!)).user, "42");
      assert.equal((await sessions.forUser("43").list()).length, 1);
      assert.equal(await sessions.forUser(42).revokeAll(), 1, "a number is its decimal text");
    });

    test("`client: false` → neither address nor user agent is stored", async () => {
      const blind = manager({ client: false });
      await visit(null, (session) => session.login("42"), blind);
      const [row] = await held.store.scan(null, 1);
      if (!isBound) assert.equal(row!.client, null); // otherwise it notes that it is bound
      assert.equal((await blind.forUser("42").list())[0]!.client, null);
    });

    test("userOf → finds the user in the data at each commit", async () => {
      const passport = manager({ userOf: (data) => data["passport"]?.user });
      const cookie = cookieOf(
        await visit(null, (session) => (session.data["passport"] = { user: "7" }), passport),
      );
      assert.equal((await passport.forUser("7").list()).length, 1);
      await visit(cookie, (session) => void delete session.data["passport"], passport);
      assert.equal((await passport.forUser("7").list()).length, 0);
      assert.equal((await passport.load(cookie)).user, undefined);
    });

    test("R43: a hook throws → no session stays valid that was to end", async () => {
      let broken = false;
      const hooked = manager({
        userOf: () => {
          if (broken) throw new RangeError("hook");
          return someone;
        },
      });
      for (const end of ["regenerate", "reset", "destroy"] as const) {
        broken = false;
        const cookie = await begin({ a: 1 }, hooked);
        broken = true;
        const session = await hooked.load(cookie);
        session[end]();
        session.data["b"] = 1;
        if (end === "destroy") await hooked.commit(session);
        else await assert.rejects(hooked.commit(session), RangeError);
        assert.equal((await sessions.load(cookie)).isNew, true, end);
      }
    });
  });

  describe("promise 10: bounded resources, and bad input", () => {
    test("R45: a value cannot be stored → an error with its path, and the stored session is unchanged", async () => {
      const cookie = await begin({ a: 1 });
      const cases: [(data: Data) => void, RegExp][] = [
        [(data) => (data["cart"] = [0, 0, 0, { price: () => 1 }]), /data\.cart\[3\]\.price/],
        [(data) => (data["me"] = data), /data\.me/],
        [(data) => (data["when"] = new Date(NaN)), /data\.when/],
        [(data) => (data["error"] = new Error("x")), /data\.error/],
        [(data) => (data["text"] = "\ud800"), /data\.text/],
      ];
      for (const [change, path] of cases) {
        await assert.rejects(
          visit(cookie, (session) => change(session.data)),
          (error: unknown) =>
            error instanceof ValueError && path.test(error.path) && path.test(error.message),
        );
      }
      await assert.rejects(
        visit(cookie, (session) => (session.data["big"] = "x".repeat(2 ** 20))),
        LimitError,
      );
      assert.deepEqual((await sessions.load(cookie)).data, { a: 1 });
    });

    test("misuse → a TypeError", async () => {
      const session = await sessions.load(null);
      assert.throws(() => session.login(""), TypeError);
      assert.throws(() => session.login({} as never), TypeError);
      assert.throws(() => session.login(1.5), TypeError);
      assert.throws(() => (session.data = [] as never), TypeError);
      assert.throws(() => session.flash(1 as never, 1), TypeError);
      assert.throws(() => sessions.forUser(""), TypeError);
      assert.throws(() => sessions.scheduleExpiry({ every: "soon" as never }), TypeError);
    });

    test("a schema → validates on save and load; upgrade converts older data", async () => {
      const old = manager({ schema: v.object({ name: v.string() }) as never });
      const cookie = await begin({ name: "Ada Lovelace" }, old);
      await assert.rejects(
        visit(cookie, (session) => (session.data["name"] = 5), old),
        (error: unknown) =>
          error instanceof SchemaError && /data\.name/.test(error.message) && error.issues.length === 1,
      );
      const schema = v.object({ first: v.string(), last: v.string() });
      const upgrade = (data: unknown) => {
        const [first, last] = (data as { name: string }).name.split(" ");
        return { first, last };
      };
      const today = manager({ schema: schema as never, upgrade });
      statements.counts.clear();
      await visit(
        cookie,
        (session) => assert.deepEqual(session.data, { first: "Ada", last: "Lovelace" }),
        today,
      );
      assert.equal(statements.counts.get("update"), undefined, "reading alone never writes");
      await visit(cookie, (session) => (session.data["first"] = "Augusta"), today);
      const without = manager({ schema: schema as never });
      assert.deepEqual((await without.load(cookie)).data, { first: "Augusta", last: "Lovelace" });
      assert.deepEqual(
        (await old.load(cookie)).data,
        {},
        "data of a newer shape is refused by the older schema",
      );
    });
  });

  test("R34: scheduleExpiry → runs in one process at a time, until it is stopped", async () => {
    for (let i = 0; i < 3; i++) await begin({ i });
    now = start + 31 * day;
    assert.equal(await held.store.lease("expire", "another process", now + 60_000, now), true);
    let runs = 0;
    let deleted = 0;
    const done = Promise.withResolvers<void>();
    const job = sessions.scheduleExpiry({
      every: 5,
      onProgress(progress) {
        runs++;
        deleted = progress.deleted;
        if (deleted === 3) done.resolve();
      },
    });
    while ((statements.counts.get("lease") ?? 0) < 5) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(runs, 0, "another process has the lease");
    now += 60_000; // it died: its lease runs out
    await done.promise;
    await job.stop();
    const leases = statements.counts.get("lease");
    assert.equal(
      await held.store.lease("expire", "another process", now + 60_000, now),
      true,
      "the lease was given back",
    );
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(statements.counts.get("lease"), leases, "nothing runs any more");
  });
});

describe("options", () => {
  test("several problems → one error lists them all, and shows no key", () => {
    const secret = "correct horse battery staple";
    let thrown: unknown;
    try {
      createSessionManager({
        store: {} as never,
        keys: secret,
        idleTimeout: "soon" as never,
        absoluteTimeout: -1,
        touchEvery: NaN,
        sealTo: "nothing" as never,
        onUnreadable: "ignore" as never,
        maxBytes: 0,
        compressAbove: -1,
        preset: "best" as never,
        schema: {} as never,
        userOf: 5 as never,
        client: "yes" as never,
        cookie: { sameSite: "none", secure: false } as never,
        // @ts-expect-error no such option
        maxAge: 5,
      });
    } catch (error) {
      thrown = error;
    }
    assert.ok(thrown instanceof OptionsError);
    assert.equal(thrown.code, "ERR_STORED_SESSION_OPTIONS");
    for (const name of [
      "store",
      "keys",
      "idleTimeout",
      "absoluteTimeout",
      "touchEvery",
      "sealTo",
      "onUnreadable",
      "maxBytes",
      "compressAbove",
      "preset",
      "schema",
      "userOf",
      "client",
      "maxAge",
    ]) {
      assert.ok(
        thrown.problems.some((problem) => problem.includes(`\`${name}\``)),
        name,
      );
    }
    assert.ok(!inspect(thrown).includes(secret));
  });

  test("R15: a preset → its limits, which can only be shortened", async () => {
    const limits = {
      aal1: [30 * day, 30 * day],
      aal2: [3_600_000, day],
      aal3: [900_000, day / 2],
      pci: [900_000, day / 2],
    } as const;
    for (const [preset, [idle, absolute]] of Object.entries(limits)) {
      let now = start;
      const sessions = createSessionManager<Data>({
        store: memoryStore(),
        keys: testKeys,
        preset: preset as "pci",
        clock: () => now,
      });
      const session = await sessions.load(null);
      session.data["a"] = 1;
      const setCookie = await sessions.commit(session);
      assert.match(setCookie!, new RegExp(`Max-Age=${absolute / 1000}\\b`), preset);
      assert.equal(session.expiresAt.getTime(), start + idle, preset);
    }
    assert.throws(
      () =>
        createSessionManager({ store: memoryStore(), keys: testKeys, preset: "aal3", idleTimeout: "1 h" }),
      /must not exceed those of preset "aal3"/,
    );
    createSessionManager({ store: memoryStore(), keys: testKeys, preset: "aal3", idleTimeout: "5 min" });
  });

  test("generated keys → accepted as text and as an array", async () => {
    const keys = [generateKey(), generateKey()];
    for (const form of [keys, keys.join(","), ` ${keys.join(" , ")} `]) {
      assert.ok(createSessionManager({ store: memoryStore(), keys: form }));
    }
    assert.throws(
      () => createSessionManager({ store: memoryStore(), keys: undefined }),
      /STORED_SESSION_KEYS|generateKey|keys generate/,
    );
  });
});

test("session.data → typed by argument, by schema and by default", async () => {
  const typed = createSessionManager<{ n: number }>({ store: memoryStore(), keys: testKeys });
  const session = await typed.load(null);
  session.data.n = 1;
  // @ts-expect-error wrong type
  session.data.n = "1";
  // @ts-expect-error no such key
  session.data.m = 1;
  const inferred = createSessionManager({
    store: memoryStore(),
    keys: testKeys,
    schema: v.object({ name: v.string() }),
  });
  const other = await inferred.load(null);
  other.data.name = "x";
  // @ts-expect-error wrong type
  other.data.name = 5;
  await typed.update(session, (data) => {
    const n: number | undefined = data.n;
    void n;
  });
});
