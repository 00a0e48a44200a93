import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import { createSessionManager, type Session as AnySession, type SessionManager } from "../../src/index.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import { readToken } from "../../src/session/token.ts";
import { cookieOf, Scheduler, testRing } from "./doubles.ts";
import type { Making, TestStore } from "./stores.ts";

type Data = Record<string, unknown>;
type Sessions = SessionManager<Data>;
type Session = AnySession<Data>;

/** What became of a save that raced something that ends its session. */
interface RaceOutcome {
  /** The cookie of before. */
  readonly cookie: string;
  /** What the other one set. */
  readonly endCookie: string | null;
  readonly saved: boolean;
  readonly seed: number;
}

const unbound = { createSessionManager, isBound: false, user: undefined };

/** Races of sessions over one store, which is empty for each test. */
export function raceSuite(
  name: string,
  create: () => Promise<TestStore>,
  // two-processes.test.ts has 2,000 on SQLite
  interleavings: number = name === "memory" ? 2_000 : 200,
  further: Pick<SessionManagerOptions<Data>, "audit" | "storeTimeout"> = {},
  making: Making = unbound,
  firstSeed = 1,
): void {
  // Enough for the slowest driver.
  const timeout = Math.max(120_000, interleavings * 600);
  let held: TestStore;
  let now: number;

  beforeEach(async () => {
    held = await create();
    now = 1_700_000_000_000;
  });
  afterEach(async () => held.drop());

  // As patient as the tests, so that on a slow machine nobody gives up.
  const manager = (store = held.store, options: Partial<SessionManagerOptions<Data>> = {}): Sessions =>
    making.createSessionManager<Data>({
      store,
      keys: testRing,
      clock: () => now,
      storeTimeout: "1 min",
      ...further,
      ...options,
    });

  async function begin(sessions: Sessions, data: Data = { kept: 1 }, user = making.user): Promise<string> {
    const session = await sessions.load(null);
    Object.assign(session.data, data);
    if (user !== undefined) session.login(user);
    return cookieOf(await sessions.commit(session));
  }

  test(
    "promise 2, R39: 64 parallel requests change different keys → all are kept",
    async () => {
      const sessions = manager();
      for (let round = 0; round < 5; round++) {
        const cookie = await begin(sessions);
        await Promise.all(
          Array.from({ length: 64 }, async (_, i) => {
            const session = await sessions.load(cookie);
            session.data[`key${i}`] = { from: i, at: new Date(now) };
            await sessions.commit(session);
          }),
        );
        const after = await sessions.load(cookie);
        assert.equal(Object.keys(after.data).length, 65);
        for (let i = 0; i < 64; i++) assert.deepEqual(after.data[`key${i}`], { from: i, at: new Date(now) });
      }
    },
    timeout,
  );

  test(
    "promise 2, R39: 64 changes in seeded schedules over four managers → all are kept",
    async () => {
      const rounds = name === "memory" ? 20 : 3;
      for (let seed = 1; seed <= rounds; seed++) {
        const scheduler = new Scheduler(seed);
        const cookie = await begin(manager());
        const managers = Array.from({ length: 4 }, (_, i) => manager(scheduler.over(held.store, `m${i}`)));
        const results = await scheduler.run(
          Array.from({ length: 64 }, (_, i) => async () => {
            const sessions = managers[i % 4]!;
            const session = await sessions.load(cookie);
            session.data[`key${i}`] = i;
            await sessions.commit(session);
          }),
        );
        const failed = results.filter((result) => result.status === "rejected");
        assert.deepEqual(failed, [], `seed ${seed}`);
        assert.equal(Object.keys((await manager().load(cookie)).data).length, 65, `seed ${seed}`);
      }
    },
    timeout,
  );

  test(
    "promise 2: 64 parallel atomic updates → count to 64",
    async () => {
      const sessions = manager();
      const cookie = await begin(sessions, { count: 0 });
      await Promise.all(
        Array.from({ length: 64 }, async () => {
          const session = await sessions.load(cookie);
          await sessions.update(session, (data) => {
            data["count"] = (data["count"] as number) + 1;
          });
        }),
      );
      assert.equal((await sessions.load(cookie)).data["count"], 64);
    },
    timeout,
  );

  /** Runs a save against something that ends the session, in many seeded orders. */
  async function race(
    user: string | undefined,
    ender: (sessions: Sessions, cookie: string) => Promise<string | null>,
    check: (outcome: RaceOutcome) => Promise<void>,
    beforeCommit?: () => void,
  ): Promise<void> {
    const plain = manager();
    const orders = new Set<string>();
    for (let seed = firstSeed; seed < firstSeed + interleavings; seed++) {
      now = 1_700_000_000_000;
      const scheduler = new Scheduler(seed);
      const saving = manager(scheduler.over(held.store, "save"), {
        cookie: { rolling: true },
        touchEvery: 0,
      });
      const ending = manager(scheduler.over(held.store, "end"), { cookie: { rolling: true }, touchEvery: 0 });
      const cookie = await begin(plain, { kept: 1 }, user);
      let saveCookie: string | null = null;
      let endCookie: string | null = null;
      const flavour = seed % 3;
      const results = await scheduler.run([
        async () => {
          const session = await saving.load(cookie);
          if (session.isNew) return; // it ended before this request began
          if (flavour === 0) session.data["late"] = seed;
          else if (flavour === 1) session.flash("late", seed);
          else void session.data; // unchanged: a touch, and the rolling cookie
          beforeCommit?.();
          saveCookie = await saving.commit(session);
        },
        async () => {
          endCookie = await ender(ending, cookie);
        },
      ]);
      assert.deepEqual(
        results.filter((result) => result.status === "rejected"),
        [],
        `seed ${seed}`,
      );
      await settle(scheduler, saving, ending);
      orders.add(scheduler.trace.join(" "));
      if (saveCookie !== null) {
        // whoever sets a cookie had its write applied before the end, and it names the session of before
        assert.equal(cookieOf(saveCookie), cookie, `seed ${seed}`);
      }
      await check({ cookie, endCookie, saved: saveCookie !== null, seed });
    }
    // the schedules really differ
    assert.ok(orders.size > 10, `only ${orders.size} different orders`);
  }

  /** A request that acts on the session and commits it. */
  const request =
    (act: (session: Session) => void) =>
    async (sessions: Sessions, cookie: string): Promise<string | null> => {
      const session = await sessions.load(cookie);
      act(session);
      return sessions.commit(session);
    };

  /** Two requests that do the same to one session, in many seeded orders; then checks what each of them did. */
  async function twice<Done>(
    act: (session: Session, commit: () => Promise<string | null>) => Promise<Done>,
    check: (outcome: { cookie: string; done: readonly Done[]; seed: number }) => Promise<void>,
  ): Promise<void> {
    for (let seed = firstSeed; seed < firstSeed + Math.min(interleavings, 300); seed++) {
      const scheduler = new Scheduler(seed);
      const cookie = await begin(manager());
      const done: Done[] = [];
      await scheduler.run(
        ["a", "b"].map((who) => async () => {
          const sessions = manager(scheduler.over(held.store, who));
          const session = await sessions.load(cookie);
          done.push(await act(session, () => sessions.commit(session)));
        }),
      );
      await check({ cookie, done, seed });
    }
  }

  async function settle(scheduler: Scheduler, ...managers: Sessions[]): Promise<void> {
    await scheduler.run(managers.map((sessions) => async () => void (await sessions.count())));
  }

  async function isDead(cookie: string, seed: number): Promise<void> {
    const session = await manager().load(cookie);
    const [row] = await held.store.read([readToken(testRing, cookie.slice(cookie.indexOf("=") + 1))!.id]);
    assert.equal(row, null, `seed ${seed}: the row is there`);
    assert.deepEqual(session.data, {}, `seed ${seed}`);
    assert.equal(session.isNew, true, `seed ${seed}`);
  }

  /** The session under its new id, with the confirmed save in it. The old id is dead. */
  async function successor({ cookie, endCookie, saved, seed }: RaceOutcome): Promise<Session> {
    await isDead(cookie, seed);
    const session = await manager().load(cookieOf(endCookie));
    if (saved && seed % 3 === 0)
      assert.equal(session.data["late"], seed, `seed ${seed}: a confirmed save is kept`);
    return session;
  }

  test(
    "promise 3, R38, R41: save against destroy → the session stays ended",
    { timeout: timeout },
    async () => {
      await race(
        undefined,
        request((session) => session.destroy()),
        async ({ cookie, endCookie, seed }) => {
          await isDead(cookie, seed);
          assert.match(endCookie ?? "nothing", /Max-Age=0/, `seed ${seed}: the log-out clears the cookie`);
        },
      );
    },
  );

  test(
    "promise 3, R38, R44: save against revokeAll → the session stays ended",
    { timeout: timeout },
    async () => {
      await race(
        "42",
        async (sessions) => {
          assert.ok((await sessions.forUser("42").revokeAll()) >= 1);
          return null;
        },
        async ({ cookie, seed }) => isDead(cookie, seed),
      );
    },
  );

  test(
    "promise 3, R38, R40, R41: save against regenerate → the data and confirmed saves are kept",
    { timeout: timeout },
    async () => {
      await race(
        undefined,
        request((session) => session.regenerate()),
        async ({ cookie, endCookie, saved, seed }) => {
          const session = await successor({ cookie, endCookie, saved, seed });
          assert.equal(session.data["kept"], 1, `seed ${seed}: the data is kept`);
        },
      );
    },
  );

  test(
    "promise 3, R17, R38, R41: save against login → the user is logged in, and a confirmed save is kept",
    { timeout: timeout },
    async () => {
      await race(
        undefined,
        request((session) => session.login("42")),
        async ({ cookie, endCookie, saved, seed }) => {
          const session = await successor({ cookie, endCookie, saved, seed });
          assert.equal(session.user, "42", `seed ${seed}`);
        },
      );
    },
  );

  test(
    "promise 3, R38, R41, R42: save against reset → nothing is carried over",
    { timeout: timeout },
    async () => {
      await race(
        undefined,
        request((session) => {
          void session.data;
          session.reset();
        }),
        async ({ cookie, endCookie, seed }) => {
          await isDead(cookie, seed);
          if (endCookie === null) return; // the session had not been loaded, or had ended
          assert.deepEqual((await manager().load(cookieOf(endCookie))).data, {}, `seed ${seed}`);
        },
      );
    },
  );

  test("promise 3, R38: save against expire → the session stays ended", { timeout: timeout }, async () => {
    await race(
      undefined,
      async (sessions) => {
        now = 1_700_000_000_000 + 30 * 86_400_000;
        await sessions.expire();
        return null;
      },
      async ({ cookie, seed }) => {
        now = 1_700_000_000_000 + 30 * 86_400_000;
        await manager().expire();
        await isDead(cookie, seed);
      },
      () => (now = 1_700_000_000_000 + 30 * 86_400_000),
    );
  });

  test(
    "promise 3, R41: two requests end one session → only one clears the cookie",
    async () => {
      await twice(
        (session, commit) => (session.destroy(), commit()),
        async ({ done, seed }) => {
          assert.equal(done.filter((cookie) => cookie !== null).length, 1, `seed ${seed}`);
        },
      );
    },
    timeout,
  );

  test(
    "promise 3: two parallel logins from one session → both log in, and the old id has ended",
    async () => {
      await twice(
        (session, commit) => (session.login("42"), commit()),
        async ({ cookie, done, seed }) => {
          await isDead(cookie, seed);
          for (const each of done) {
            assert.equal((await manager().load(cookieOf(each))).user, "42", `seed ${seed}`);
          }
        },
      );
    },
    timeout,
  );

  test(
    "R40: two parallel regenerations → one wins, and the other gets no cookie",
    async () => {
      await twice(
        (session, commit) => {
          void session.data;
          session.regenerate();
          return commit();
        },
        async ({ done, seed }) => {
          const set = done.filter((cookie) => cookie !== null);
          assert.equal(set.length, 1, `seed ${seed}`);
          assert.equal((await manager().load(cookieOf(set[0]!))).data["kept"], 1);
        },
      );
    },
    timeout,
  );
}
