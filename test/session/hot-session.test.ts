import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, beforeEach, describe, test } from "vitest";
import {
  ConflictError,
  createSessionManager,
  LimitError,
  SessionBusyError,
  SessionEndedError,
  StoreUnavailableError,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
} from "../../src/index.ts";
import { around, cookieOf, Gate, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;

async function turns(count: number): Promise<void> {
  for (let done = 0; done < count; done++) await new Promise((resolve) => setImmediate(resolve));
}

const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

eachStore((name, create) => {
  let held: TestStore;
  beforeEach(async () => void (held = await create()));
  afterEach(async () => held.drop());

  function manager(options: Partial<SessionManagerOptions<Data>> = {}): Sessions {
    return createSessionManager<Data>({ store: held.store, keys: testKeys, ...options });
  }

  async function begin(sessions: Sessions, data: Data): Promise<string> {
    const session = await sessions.load(null);
    Object.assign(session.data, data);
    return cookieOf(await sessions.commit(session));
  }

  /** A manager, the statements that it sends, and a gate. */
  function watched(options: Partial<SessionManagerOptions<Data>> = {}) {
    const gate = new Gate();
    const statements: string[] = [];
    const store = around(gate.over(held.store), (operation, call) => {
      statements.push(operation);
      return call();
    });
    return { sessions: manager({ store, ...options }), gate, statements };
  }

  const loadAll = (sessions: Sessions, cookie: string, count: number): Promise<Session<Data>[]> =>
    Promise.all(range(count).map(() => sessions.load(cookie)));

  /**
   * A first request holds the session at its write, meanwhile others change it, and then all go on. Answers how each of
   * the others ended.
   */
  async function whileOneWrites(
    { sessions, gate }: ReturnType<typeof watched>,
    cookie: string,
    others: readonly ((session: Session<Data>) => Promise<unknown>)[],
  ): Promise<PromiseSettledResult<unknown>[]> {
    const [first, ...loaded] = await loadAll(sessions, cookie, others.length + 1);
    first!.data["first"] = 1;
    gate.stop("update", "sent");
    const one = sessions.commit(first!);
    await gate.reached;
    const all = Promise.allSettled(others.map((act, at) => act(loaded[at]!)));
    await new Promise((resolve) => setImmediate(resolve));
    gate.open();
    await one;
    return all;
  }

  describe("R39, promise 2: many requests change one session at once in one process", () => {
    test("2,000 requests change one key each → all are kept, in few statements", async () => {
      const { sessions, statements } = watched();
      const cookie = await begin(sessions, { n: 0 });
      const loaded = await loadAll(sessions, cookie, 2_000);
      statements.length = 0;
      const outcomes = await Promise.allSettled(
        loaded.map((session, at) => {
          session.data[`key${at}`] = at;
          return sessions.commit(session);
        }),
      );
      assert.deepEqual(
        outcomes.filter(({ status }) => status === "rejected"),
        [],
      );
      const { data } = await sessions.load(cookie);
      assert.equal(Object.keys(data).length, 2_001);
      for (const at of range(2_000)) assert.equal(data[`key${at}`], at);
      assert.ok(statements.length < 400, `${statements.length} statements`);
    });

    test("2,000 requests increment in sessions.update → each counts once", async () => {
      const { sessions, statements } = watched();
      const cookie = await begin(sessions, { n: 0 });
      const loaded = await loadAll(sessions, cookie, 2_000);
      statements.length = 0;
      await Promise.all(loaded.map((session) => sessions.update(session, (data) => void (data["n"] += 1))));
      assert.equal((await sessions.load(cookie)).data["n"], 2_000);
      assert.ok(statements.length < 400, `${statements.length} statements`);
    });

    test("three processes at once → all are kept", async () => {
      const all = range(3).map(() => manager());
      const cookie = await begin(all[0]!, { n: 0 });
      await Promise.all(
        all.map(async (sessions, process) => {
          const loaded = await loadAll(sessions, cookie, 60);
          await Promise.all(
            loaded.map((session, at) => {
              if (at % 2 === 0) return sessions.update(session, (data) => void (data["n"] += 1));
              session.data[`${process}-${at}`] = 1;
              return sessions.commit(session);
            }),
          );
        }),
      );
      const { data } = await all[0]!.load(cookie);
      assert.deepEqual([data["n"], Object.keys(data).length], [90, 91]);
    });

    test("all change the same key → the later one wins, or onConflict decides at each", async () => {
      const asked: string[] = [];
      const onConflict = ({ base, mine, theirs }: Data) => (
        asked.push(`${mine} on ${theirs}`),
        theirs + mine - base
      );
      for (const [options, expected] of [
        [{}, 4],
        [{ onConflict }, 7],
      ] as const) {
        const all = watched(options as never);
        const cookie = await begin(all.sessions, { n: 0 });
        await whileOneWrites(
          all,
          cookie,
          [1, 2, 4].map((mine) => (session) => {
            session.data["n"] = mine;
            return all.sessions.commit(session);
          }),
        );
        assert.equal((await all.sessions.load(cookie)).data["n"], expected);
      }
      assert.deepEqual(asked, ["2 on 1", "4 on 3"]);
    });

    test("several wait → one write, and each continues from what was written", async () => {
      const all = watched();
      const { sessions } = all;
      const cookie = await begin(sessions, { n: 0, nested: { deep: [1] } });
      const inHand: Session<Data>[] = [];
      let after = 0;
      const outcomes = await whileOneWrites(
        all,
        cookie,
        range(20).map((at) => (session) => {
          inHand.push(session);
          session.data[`key${at}`] = at;
          session.flash(`flash${at}`, at);
          after = all.statements.length;
          return sessions.commit(session);
        }),
      );
      assert.ok(outcomes.every(({ status }) => status === "fulfilled"));
      assert.deepEqual(all.statements.slice(after), ["read", "update"]);
      const [one, two] = inHand as [Session<Data>, Session<Data>];
      assert.equal(one.data["key19"], 19);
      one.data["again"] = 1;
      two.data["nested"].deep.push(2);
      delete two.data["key5"];
      await sessions.commit(one);
      await sessions.commit(two);
      const { data } = await sessions.load(cookie);
      const { key5: _gone, ...kept } = Object.fromEntries(range(20).map((at) => [`key${at}`, at]));
      assert.deepEqual(data, { n: 0, first: 1, nested: { deep: [1, 2] }, again: 1, ...kept });
      assert.equal((await sessions.load(cookie)).takeFlash("flash7"), 7);
    });

    test("an object held since before the commit → still the session's", async () => {
      const all = watched();
      const cookie = await begin(all.sessions, { cart: [] });
      let cart: string[] = [];
      let mine: Session<Data> | null = null;
      await whileOneWrites(all, cookie, [
        (session) => {
          session.data["x"] = 1;
          return all.sessions.commit(session);
        },
        (session) => {
          mine = session;
          cart = session.data["cart"] as string[];
          session.data["y"] = 1;
          return all.sessions.commit(session);
        },
      ]);
      cart.push("tea");
      await all.sessions.commit(mine!);
      const { data } = await all.sessions.load(cookie);
      assert.deepEqual(data, { cart: ["tea"], first: 1, x: 1, y: 1 });
    });
  });

  describe("each request of a group gets its own outcome", () => {
    test("one is refused by onConflict, one by the schema, one throws in its update → the others are kept", async () => {
      const validate = (value: unknown) =>
        (value as Data)["bad"] ? { issues: [{ message: "bad" }] } : { value: { ...(value as Data) } };
      const all = watched({
        schema: { "~standard": { version: 1, vendor: "test", validate } } as never,
        onConflict: () => {
          throw new ConflictError("refused");
        },
      });
      const { sessions } = all;
      const cookie = await begin(sessions, { n: 0 });
      const set = (key: string, value: unknown) => (session: Session<Data>) => {
        session.data[key] = value;
        return sessions.commit(session);
      };
      const outcomes = await whileOneWrites(all, cookie, [
        set("a", 1),
        set("first", 2),
        (session) => sessions.update(session, (data) => void (data["b"] = 1)),
        (session) => sessions.update(session, (data) => void (data["bad"] = true)),
        (session) =>
          sessions.update(session, () => {
            throw new RangeError("sold out");
          }),
        set("c", 1),
      ]);
      const codes = outcomes.map((one) => (one.status === "rejected" ? (one.reason as Error).name : "kept"));
      assert.deepEqual(codes, ["kept", "ConflictError", "kept", "SchemaError", "RangeError", "kept"]);
      assert.deepEqual((await sessions.load(cookie)).data, { n: 0, first: 1, a: 1, b: 1, c: 1 });
    });

    test("together they are too large → as many as fit are kept, the others get a LimitError (R45)", async () => {
      const all = watched({ maxBytes: 4_096 });
      const { sessions } = all;
      const cookie = await begin(sessions, { n: 0 });
      const outcomes = await whileOneWrites(
        all,
        cookie,
        range(8).map((at) => (session) => {
          session.data[`key${at}`] = "x".repeat(1_200);
          return sessions.commit(session);
        }),
      );
      const errors = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason as Error] : []));
      assert.equal(errors.length, 5);
      assert.ok(errors.every((error) => error instanceof LimitError));
      assert.equal(Object.keys((await sessions.load(cookie)).data).length, 5);
    });

    test("the answer to a group's write is lost → each commits again, and nothing is applied twice (promise 7)", async () => {
      for (const landed of [true, false]) {
        let updates = 0;
        const gate = new Gate();
        const store = around(gate.over(held.store), async (operation, call) => {
          if (operation !== "update" || ++updates !== 2) return call();
          if (landed) await call();
          throw new StoreUnavailableError("The connection was lost.", { outcome: "unknown" });
        });
        const sessions = manager({ store, onConflict: () => assert.fail("no conflict with one's own") });
        const cookie = await begin(sessions, { n: 0 });
        const inHand: Session<Data>[] = [];
        const outcomes = await whileOneWrites(
          { sessions, gate, statements: [] },
          cookie,
          range(6).map((at) => (session) => {
            inHand.push(session);
            if (at % 2 === 0) return sessions.update(session, (data) => void (data["n"] += 1));
            session.data[`key${at}`] = at;
            return sessions.commit(session);
          }),
        );
        assert.ok(outcomes.every(({ status }) => status === "rejected"));
        await Promise.all(inHand.map((session) => sessions.commit(session)));
        const { data } = await sessions.load(cookie);
        assert.deepEqual(data, { n: landed ? 3 : 0, first: 1, key1: 1, key3: 3, key5: 5 });
      }
    });

    test("promise 3: a login, a logout and a destroy among them → holds for all others", async () => {
      const all = watched();
      const { sessions } = all;
      const cookie = await begin(sessions, { n: 0 });
      const outcomes = await whileOneWrites(all, cookie, [
        (session) => ((session.data["a"] = 1), sessions.commit(session)),
        (session) => (session.destroy(), sessions.commit(session)),
        (session) => ((session.data["b"] = 1), sessions.commit(session)),
        (session) => sessions.update(session, (data) => void (data["c"] = 1)).then(() => null),
      ]);
      assert.equal((await sessions.load(cookie)).isNew, true);
      assert.equal(await held.store.count(Date.now()), 0);
      const last = outcomes[3]!;
      if (last.status === "rejected") assert.ok(last.reason instanceof SessionEndedError);
    });

    test("a change of user among them → a login of its own, without the others' data (R17, R42)", async () => {
      const all = watched({ userOf: (data) => data["user"] as string | undefined });
      const { sessions } = all;
      const cookie = await begin(sessions, { user: "7", cart: 1 });
      const outcomes = await whileOneWrites(all, cookie, [
        (session) => ((session.data["a"] = 1), sessions.commit(session)),
        (session) => ((session.data["user"] = "8"), sessions.commit(session)),
        (session) => ((session.data["b"] = 1), sessions.commit(session)),
      ]);
      const [, login] = outcomes as PromiseFulfilledResult<string>[];
      const { user, data } = await sessions.load(cookieOf(login!.value));
      assert.deepEqual([user, data], ["8", { user: "8" }]);
      assert.equal((await sessions.load(cookie)).isNew, true);
    });

    test("the application logs in while its change waits → the login comes after it, with a new id", async () => {
      const all = watched();
      const { sessions } = all;
      const cookie = await begin(sessions, { n: 0 });
      const outcomes = await whileOneWrites(all, cookie, [
        (session) => ((session.data["a"] = 1), sessions.commit(session)),
        (session) => {
          session.data["b"] = 1;
          const commit = sessions.commit(session);
          setImmediate(() => session.login("7"));
          return commit;
        },
      ]);
      await Promise.resolve();
      const [, second] = outcomes as PromiseFulfilledResult<string | null>[];
      assert.ok(second!.value !== null);
      assert.equal((await sessions.load(cookieOf(second!.value))).user, "7");
    });

    test("rolling cookies → every request of a group sends one", async () => {
      const all = watched({ cookie: { rolling: true } });
      const { sessions } = all;
      const cookie = await begin(sessions, { n: 0 });
      const outcomes = await whileOneWrites(
        all,
        cookie,
        range(4).map((at) => (session) => ((session.data[`k${at}`] = 1), sessions.commit(session))),
      );
      for (const one of outcomes) assert.match((one as PromiseFulfilledResult<string>).value, /Max-Age/);
    });
  });

  if (name !== "memory") return;

  describe("promise 10: a hot session is bounded, and does not affect others", () => {
    test("12,000 changes wait for one session → SessionBusyError beyond the bound; other users are served", async () => {
      const all = watched();
      const { sessions } = all;
      const [hot, calm] = [await begin(sessions, { n: 0 }), await begin(sessions, { n: 0 })];
      const [session] = await loadAll(sessions, calm, 1);
      const some = await loadAll(sessions, hot, 2_000);
      // Each of these is one more request, without the cost of loading it.
      const more: Session<Data>[] = [];
      for (let round = 0; round < 5; round++) more.push(...(await loadAll(sessions, hot, 2_000)));
      const acts = [...some, ...more].map((one, at) => async () => {
        one.data[`key${at % 1_000}`] = 1;
        return sessions.commit(one);
      });
      all.gate.stop("update", "sent");
      const first = acts[0]!();
      await all.gate.reached;
      const waiting = Promise.allSettled(acts.slice(1).map((act) => act()));
      await new Promise((resolve) => setImmediate(resolve));
      session!.data["n"] = 1;
      assert.equal(await sessions.commit(session!), null, "another user");
      assert.equal((await sessions.load(calm)).data["n"], 1);
      all.gate.open();
      await first;
      const refused = (await waiting).flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
      assert.equal(refused.length, 11_999 - 4_096);
      for (const error of refused) assert.ok(error instanceof SessionBusyError, String(error));
      const [{ code, status, outcome, message }] = refused as [SessionBusyError];
      assert.deepEqual([code, status, outcome], ["ERR_STORED_SESSION_BUSY", 503, "none"]);
      assert.match(message, /Too many requests are changing session/);
    });
  });

  test("changes that wait for one session → hooks run in the async context of their own request", async () => {
    const requests = new AsyncLocalStorage<string>();
    const seen: (readonly [string, string | undefined])[] = [];
    const see = (by: unknown) => seen.push([String(by), requests.getStore()]);
    const sessions = manager({
      onConflict({ mine }) {
        see(mine);
        return mine;
      },
    });
    const cookie = await begin(sessions, { n: 0 });
    const as = (by: string, act: (session: Session<Data>) => Promise<unknown>) =>
      requests.run(by, async () => {
        await act(await sessions.load(cookie));
        assert.equal(requests.getStore(), by);
      });
    await Promise.all(
      range(20).flatMap((at) => [
        as(`update${at}`, (session) =>
          sessions.update(session, (data) => {
            see(`update${at}`);
            data["n"]++;
          }),
        ),
        as(`commit${at}`, (session) => {
          session.data["who"] = `commit${at}`;
          return sessions.commit(session);
        }),
      ]),
    );
    assert.ok(seen.length >= 20);
    for (const [by, context] of seen) assert.equal(context, by);
    assert.equal((await sessions.load(cookie)).data["n"], 20);
  });

  test.each(["regenerate", "login"] as const)(
    "%s of a session that 40 others change all the time → takes its turn among them, two tries at most",
    async (act) => {
      let replaces = 0;
      const slow = around(held.store, async (operation, call) => {
        if (operation === "replace") replaces++;
        await turns(3);
        return call();
      });
      const sessions = manager({ store: slow });
      for (const round of range(10)) {
        const cookie = await begin(sessions, { round });
        const writers = range(40).map(async (key) => {
          for (let n = 0; ; n++) {
            const session = await sessions.load(cookie);
            if (session.isNew) return;
            session.data[`key${key}`] = n;
            await sessions.commit(session);
          }
        });
        await turns(50);
        replaces = 0;
        const session = await sessions.load(cookie);
        if (act === "login") session.login("7");
        else session.regenerate();
        assert.notEqual(await sessions.commit(session), null);
        await Promise.all(writers);
        assert.ok(replaces <= 2, `${replaces} tries`);
      }
    },
  );
});
