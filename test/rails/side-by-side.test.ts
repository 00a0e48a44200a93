import { channel } from "node:diagnostics_channel";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  ConflictError,
  createSessionManager,
  SessionEndedError,
  StoreTimeoutError,
  ValueError,
  type SessionManager,
  type SessionManagerOptions,
} from "../../src/index.ts";
import { railsFlash, railsFormat } from "../../src/rails/index.ts";
import { privateId } from "../../src/rails/session-id.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { around, cookieOf, counted, Scheduler, seeded } from "../session/doubles.ts";
import { Gem, railsKeys, valueOf } from "./gem.ts";
import { createTable, databases, type RailsTable } from "./tables.ts";

type Data = Record<string, unknown>;
type Sessions = SessionManager<Data>;

const format = railsFormat({
  ...railsKeys,
  userOf: (data) => (data["user_id"] === undefined ? undefined : String(data["user_id"])),
});
const START = Date.UTC(2026, 10, 23);
const DAY = 86_400_000;

describe.each(databases.map((database) => [database.name, database] as const))("%s", (_name, database) => {
  let held: RailsTable;
  let now = START;
  let gem: Gem;
  beforeAll(async () => {
    held = await createTable(database);
    gem = new Gem(held, database.kind, () => now);
  });
  afterAll(() => held.drop());
  beforeEach(() => (now = START));
  afterEach(() => held.ask(`DELETE FROM ${held.table}`));

  const manager = (
    store: SessionStore = held.store,
    options: Partial<SessionManagerOptions<Data>> = {},
  ): Sessions =>
    createSessionManager<Data>({
      store,
      format,
      clock: () => now,
      cookie: { name: "_my_app_session", persist: false },
      ...options,
    });
  async function begin(sessions: Sessions, data: Data = { kept: 1 }): Promise<string> {
    const session = await sessions.load(null);
    Object.assign(session.data, data);
    return cookieOf(await sessions.commit(session));
  }
  /** What was told on the conflict channel during the work. */
  async function conflicts(work: () => Promise<unknown>): Promise<string[]> {
    const told: string[] = [];
    const listen = (event: unknown): void => void told.push((event as { outcome: string }).outcome);
    channel("stored-session.conflict").subscribe(listen);
    await work().finally(() => channel("stored-session.conflict").unsubscribe(listen));
    return told;
  }

  test("a login on one side → logged in on the other, with the app's own cookie", async () => {
    const sessions = manager();
    const id = "4f2a0c9be1d87365a1b2c3d4e5f60718";
    await gem.write(id, { user_id: 42, flash: { discard: [], flashes: { notice: "Signed in." } } });
    const session = await sessions.load(`other=1; _my_app_session=${id}`);
    expect(session.user).toBe("42");
    expect(session.isNew).toBe(false);
    session.data["cart"] = ["tea"];
    expect(await sessions.commit(session)).toBeNull();
    expect(await gem.load(id)).toEqual({
      user_id: 42,
      flash: { discard: [], flashes: { notice: "Signed in." } },
      cart: ["tea"],
    });

    const fresh = await sessions.load(null);
    fresh.login("7");
    fresh.data["user_id"] = 7;
    const setCookie = await sessions.commit(fresh);
    expect(setCookie).toMatch(/^_my_app_session=[0-9a-f]{32}; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    expect(await gem.load(valueOf(cookieOf(setCookie)))).toEqual({ user_id: 7 });
    expect((await sessions.load(cookieOf(setCookie))).user).toBe("7");
  });

  test("promise 1: garbage cookies, and requests that only read → no row, no statement (R3)", async () => {
    const { store, total, counts } = counted(held.store);
    const sessions = manager(store);
    const id = "4f2a0c9be1d87365a1b2c3d4e5f60718";
    const garbage = [
      null,
      "",
      "_my_app_session=",
      "_my_app_session=made-with-create",
      `_my_app_session=${id.toUpperCase()}`,
      `_my_app_session=${id}0`,
      `_my_app_session=${privateId(id)}`,
      `_my_app_session="${id}"`,
      `my_app_session=${id}`,
      "_my_app_session=%00' OR 1=1 --",
    ];
    for (const header of garbage) {
      const session = await sessions.load(header);
      expect(session.isNew).toBe(true);
      void session.data;
      expect(await sessions.commit(session)).toBeNull();
    }
    expect(total()).toBe(0);
    // well-formed, and nobody's: one read, and nothing adopted
    const session = await sessions.load(`_my_app_session=${id}`);
    session.data["a"] = 1;
    const cookie = cookieOf(await sessions.commit(session));
    expect(valueOf(cookie)).not.toBe(id);
    expect([...counts]).toEqual([
      ["read", 1],
      ["insert", 1],
    ]);
    expect(await gem.has(id)).toBe(false);
  });

  test("a session that is only read → no write, and the bytes that Node did not touch stay", async () => {
    const { store, counts } = counted(held.store);
    const sessions = manager(store);
    const cookie = await begin(sessions, { a: 1 });
    const session = await sessions.load(cookie);
    expect(session.data["a"]).toBe(1);
    await sessions.commit(session);
    expect(counts.get("update")).toBeUndefined();
  });

  test("promise 2: Rails writes between load and save → detected, and both changes are kept", async () => {
    const sessions = manager();
    const cookie = await begin(sessions, { kept: 1, counter: 1 });
    const session = await sessions.load(cookie);
    session.data["ours"] = true;
    await gem.write(valueOf(cookie), { ...(await gem.load(valueOf(cookie))), theirs: true, counter: 2 });
    expect(await conflicts(() => sessions.commit(session))).toEqual(["merged"]);
    expect(await gem.load(valueOf(cookie))).toEqual({ kept: 1, counter: 2, theirs: true, ours: true });
  });

  test("promise 2: both sides changed one key → onConflict is called, and may refuse", async () => {
    const asked: unknown[] = [];
    const sessions = manager(held.store, {
      onConflict(conflict) {
        asked.push(conflict);
        throw new ConflictError("the cart changed in Rails");
      },
    });
    const cookie = await begin(sessions, { cart: ["tea"] });
    const session = await sessions.load(cookie);
    session.data["cart"] = ["tea", "milk"];
    await gem.write(valueOf(cookie), { cart: ["tea", "sugar"] });
    await expect(sessions.commit(session)).rejects.toThrow(ConflictError);
    expect(asked).toEqual([{ key: "cart", base: ["tea"], mine: ["tea", "milk"], theirs: ["tea", "sugar"] }]);
    expect(await gem.load(valueOf(cookie))).toEqual({ cart: ["tea", "sugar"] });
  });

  test("promise 2: an empty session, NULL in the table → compared like any other", async () => {
    const sessions = manager();
    const id = "00000000000000000000000000000001";
    await gem.write(id, {});
    const session = await sessions.load(`_my_app_session=${id}`);
    expect(session.isNew).toBe(false);
    expect(session.data).toEqual({});
    session.data["ours"] = 1;
    await gem.write(id, { theirs: 1 });
    expect(await conflicts(() => sessions.commit(session))).toEqual(["merged"]);
    expect(await gem.load(id)).toEqual({ theirs: 1, ours: 1 });
    const again = await sessions.load(`_my_app_session=${id}`);
    again.data = {};
    await sessions.commit(again);
    const [row] = await held.ask(`SELECT data FROM ${held.table} WHERE sid = ?`, [privateId(id)]);
    expect(row?.["data"]).toBeNull();
  });

  test("promise 2: atomic updates while Rails writes all the time → counted exactly", async () => {
    const sessions = manager();
    const cookie = await begin(sessions, { count: 0 });
    const id = valueOf(cookie);
    let theirs = 0;
    const counting = Promise.all(
      Array.from({ length: 16 }, async () => {
        const session = await sessions.load(cookie);
        await sessions.update(session, (data) => {
          data["count"] = (data["count"] as number) + 1;
        });
      }),
    );
    // Rails writes only between our statements: its own lost update is not ours to mend
    await counting;
    for (; theirs < 3; theirs++) await gem.write(id, { ...(await gem.load(id)), theirs });
    expect(await gem.load(id)).toEqual({ count: 16, theirs: 2 });
  });

  test(
    "promises 2 and 3: two writers in seeded orders, one of them the gem → as the model says",
    { timeout: 60_000 },
    async () => {
      const orders = new Set<string>();
      let [merged, overwritten] = [0, 0];
      for (let seed = 1; seed <= 120; seed++) {
        const scheduler = new Scheduler(seed);
        const plain = manager();
        const cookie = await begin(plain);
        const id = valueOf(cookie);
        const ours = manager(scheduler.over(held.store, "ours"));
        const logsOut = seed % 4 === 0;
        let theirsStood = 0;
        // The gem's two statements pass the same gates as ours.
        const gate = scheduler.over(
          { ...around(held.store, (_, call) => call()), count: async () => 0 } as SessionStore,
          "gem",
        );
        const told = await conflicts(() =>
          scheduler.run([
            async () => {
              const session = await ours.load(cookie);
              session.data["ours"] = seed;
              await ours.commit(session);
            },
            async () => {
              await gate.count(now);
              const data = await gem.load(id);
              await gate.count(now);
              if (logsOut) await gem.delete(id);
              else await gem.write(id, { ...data, theirs: seed });
              theirsStood = scheduler.trace.length;
            },
          ]),
        );
        orders.add(scheduler.trace.join(" "));
        if (logsOut) {
          expect(await gem.has(id), `seed ${seed}: a deleted row is back`).toBe(false);
          continue;
        }
        const data = await gem.load(id);
        expect(data["theirs"], `seed ${seed}`).toBe(seed);
        if (data["ours"] === undefined) {
          // Only the gem's own lost update: it read before our write and wrote after it. Ours was never refused.
          overwritten++;
          const saved = scheduler.trace.lastIndexOf("ours update");
          expect(saved, `seed ${seed}: ours was sent after theirs was there`).toBeLessThan(theirsStood);
          expect(told).toEqual([]);
        } else {
          expect(data, `seed ${seed}`).toEqual({ kept: 1, theirs: seed, ours: seed });
          merged += told.length;
        }
      }
      expect(orders.size).toBeGreaterThan(20);
      expect(merged).toBeGreaterThan(5);
      expect(overwritten).toBeGreaterThan(0);
    },
  );

  test("promise 2: 32 parallel requests change different keys → all survive (R39)", async () => {
    const cookie = await begin(manager());
    const managers = [manager(), manager(held.another())];
    await Promise.all(
      Array.from({ length: 32 }, async (_, i) => {
        const sessions = managers[i % 2]!;
        const session = await sessions.load(cookie);
        session.data[`key${i}`] = i;
        await sessions.commit(session);
      }),
    );
    expect(Object.keys(await gem.load(valueOf(cookie)))).toHaveLength(33);
  });

  /** A save against something that ends the session, in many seeded orders. */
  async function race(
    ender: (sessions: Sessions, cookie: string) => Promise<string | null>,
    check: (o: { cookie: string; endCookie: string | null; saved: boolean; seed: number }) => Promise<void>,
    beforeCommit?: () => void,
  ): Promise<void> {
    const orders = new Set<string>();
    const options = { touchEvery: 0, cookie: { name: "_my_app_session", rolling: true } };
    for (let seed = 1; seed <= 100; seed++) {
      now = START;
      const scheduler = new Scheduler(seed);
      const saving = manager(scheduler.over(held.store, "save"), options);
      const ending = manager(scheduler.over(held.store, "end"), options);
      const cookie = await begin(manager());
      let saveCookie: string | null = null;
      let endCookie: string | null = null;
      const results = await scheduler.run([
        async () => {
          const session = await saving.load(cookie);
          if (session.isNew) return;
          if (seed % 3 === 0) session.data["late"] = seed;
          else if (seed % 3 === 1) session.flash("late", seed);
          else void session.data;
          beforeCommit?.();
          saveCookie = await saving.commit(session);
        },
        async () => {
          endCookie = await ender(ending, cookie);
        },
      ]);
      expect(
        results.filter(({ status }) => status === "rejected"),
        `seed ${seed}`,
      ).toEqual([]);
      await scheduler.run([saving, ending].map((sessions) => async () => void (await sessions.count())));
      orders.add(scheduler.trace.join(" "));
      if (saveCookie !== null) expect(cookieOf(saveCookie)).toBe(cookie);
      await check({ cookie, endCookie, saved: saveCookie !== null, seed });
    }
    expect(orders.size).toBeGreaterThan(10);
  }
  async function isDead(cookie: string, seed: number): Promise<void> {
    expect(await gem.has(valueOf(cookie)), `seed ${seed}: the row is there`).toBe(false);
    expect((await manager().load(cookie)).isNew).toBe(true);
  }

  test("promise 3, R38, R41: save against destroy → nothing comes back", { timeout: 60_000 }, async () => {
    await race(
      async (sessions, cookie) => {
        const session = await sessions.load(cookie);
        session.destroy();
        return sessions.commit(session);
      },
      async ({ cookie, endCookie, seed }) => {
        await isDead(cookie, seed);
        expect(endCookie, `seed ${seed}`).toMatch(/Max-Age=0/);
      },
    );
  });

  test("promise 3: save against a logout in Rails → nothing comes back", { timeout: 60_000 }, async () => {
    await race(
      async (sessions, cookie) => {
        await sessions.count();
        await gem.delete(valueOf(cookie));
        return null;
      },
      async ({ cookie, seed }) => isDead(cookie, seed),
    );
  });

  test(
    "promise 3, R38, R40, R41: save against regenerate → the old id does not come back",
    { timeout: 60_000 },
    async () => {
      await race(
        async (sessions, cookie) => {
          const session = await sessions.load(cookie);
          session.regenerate();
          return sessions.commit(session);
        },
        async ({ cookie, endCookie, saved, seed }) => {
          await isDead(cookie, seed);
          const session = await manager().load(cookieOf(endCookie));
          expect(session.data["kept"]).toBe(1);
          if (saved && seed % 3 === 0) expect(session.data["late"], `seed ${seed}`).toBe(seed);
          if (saved && seed % 3 === 1) expect(session.takeFlash("late"), `seed ${seed}`).toBe(seed);
        },
      );
    },
  );

  test(
    "promise 3, R17, R38, R41: save against login → the old id does not come back",
    { timeout: 60_000 },
    async () => {
      await race(
        async (sessions, cookie) => {
          const session = await sessions.load(cookie);
          session.login("7");
          session.data["user_id"] = 7;
          return sessions.commit(session);
        },
        async ({ cookie, endCookie, saved, seed }) => {
          await isDead(cookie, seed);
          const session = await manager().load(cookieOf(endCookie));
          expect(session.user, `seed ${seed}`).toBe("7");
          if (saved && seed % 3 === 0) expect(session.data["late"], `seed ${seed}`).toBe(seed);
        },
      );
    },
  );

  test("promise 3, R38: save against expire → nothing comes back", { timeout: 60_000 }, async () => {
    await race(
      async (sessions) => {
        now = START + 30 * DAY;
        await sessions.expire();
        return null;
      },
      async ({ cookie, seed }) => {
        now = START + 30 * DAY;
        await manager().expire();
        await isDead(cookie, seed);
      },
      () => (now = START + 30 * DAY),
    );
  });

  test("R40: two parallel regenerations → one wins, and the other gets no cookie", async () => {
    const random = seeded(5);
    for (let round = 0; round < 40; round++) {
      const scheduler = new Scheduler(Math.floor(random() * 1e9));
      const cookie = await begin(manager());
      const cookies: (string | null)[] = [];
      await scheduler.run(
        ["a", "b"].map((who) => async () => {
          const sessions = manager(scheduler.over(held.store, who));
          const session = await sessions.load(cookie);
          if (session.isNew) return;
          session.regenerate();
          cookies.push(await sessions.commit(session));
        }),
      );
      expect(cookies.filter((each) => each !== null)).toHaveLength(1);
    }
  });

  test("promise 3: an atomic update of a session that Rails ended → refused", async () => {
    const sessions = manager();
    const cookie = await begin(sessions);
    const session = await sessions.load(cookie);
    await gem.delete(valueOf(cookie));
    await expect(sessions.update(session, (data) => void (data["a"] = 1))).rejects.toThrow(SessionEndedError);
    expect(await gem.has(valueOf(cookie))).toBe(false);
  });

  test("promise 7: the answer to a write is lost, and the commit is repeated → recognized as done", async () => {
    let lose = true;
    const losing = around(held.store, async (operation, call) => {
      const answer = await call();
      if (lose && (operation === "insert" || operation === "update" || operation === "replace")) {
        throw new StoreTimeoutError("the answer was lost", { outcome: "unknown" });
      }
      return answer;
    });
    const sessions = manager(losing);
    const session = await sessions.load(null);
    session.data["a"] = 1;
    await expect(sessions.commit(session)).rejects.toThrow(StoreTimeoutError);
    lose = false;
    const cookie = cookieOf(await sessions.commit(session));
    expect(await gem.load(valueOf(cookie))).toEqual({ a: 1 });
    expect(await held.store.count(0)).toBe(1);

    const again = await sessions.load(cookie);
    again.data["b"] = 2;
    again.regenerate();
    lose = true;
    await expect(sessions.commit(again)).rejects.toThrow(StoreTimeoutError);
    lose = false;
    expect(await gem.load(valueOf(cookieOf(await sessions.commit(again))))).toEqual({ a: 1, b: 2 });
    expect(await held.store.count(0)).toBe(1);
  });

  test("session.flash and takeFlash → Rails' flash", async () => {
    const sessions = manager();
    const id = "4f2a0c9be1d87365a1b2c3d4e5f60718";
    const cookie = `_my_app_session=${id}`;
    await gem.write(id, { user_id: 1, flash: { discard: [], flashes: { notice: "Saved.", alert: "Low" } } });
    const first = await sessions.load(cookie);
    expect(first.takeFlash("notice")).toBe("Saved.");
    await sessions.commit(first);
    expect((await gem.load(id))["flash"]).toEqual({ discard: [], flashes: { alert: "Low" } });

    const second = await sessions.load(cookie);
    second.flash("notice", "From Node");
    await sessions.commit(second);
    second.data["later"] = true;
    await sessions.commit(second);
    expect(await gem.load(id)).toEqual({
      user_id: 1,
      flash: { discard: [], flashes: { alert: "Low", notice: "From Node" } },
      later: true,
    });
    const third = await sessions.load(cookie);
    third.takeFlash("notice");
    third.takeFlash("alert");
    await sessions.commit(third);
    expect(await gem.load(id)).toEqual({ user_id: 1, later: true });

    // what both sides flashed at once is kept
    const fourth = await sessions.load(cookie);
    fourth.flash("ours", 1);
    await gem.write(id, { user_id: 1, flash: { discard: [], flashes: { theirs: 1 } } });
    await sessions.commit(fourth);
    expect((await gem.load(id))["flash"]).toEqual({ discard: [], flashes: { theirs: 1, ours: 1 } });

    const fifth = await sessions.load(cookie);
    expect(railsFlash(fifth.data).get("ours")).toBe(1);
    railsFlash(fifth.data).notice = "Swept";
    await sessions.commit(fifth);
    const swept = { user_id: 1, flash: { discard: [], flashes: { notice: "Swept" } } };
    expect(await gem.load(id)).toEqual(swept);
    // committing again, as adapters do after the application's own commit, changes nothing
    await sessions.commit(fifth);
    expect(await gem.load(id)).toEqual(swept);
    railsFlash(fifth.data).alert = "More";
    await sessions.commit(fifth);
    expect((await gem.load(id))["flash"]).toEqual({
      discard: [],
      flashes: { notice: "Swept", alert: "More" },
    });
    expect(fifth.takeFlash("alert")).toBe("More");
    await sessions.commit(fifth);
    expect(await gem.load(id)).toEqual(swept);
    expect((await sessions.load(cookie)).takeFlash("notice")).toBe("Swept");
  });

  test("a login that is not in the data → refused, not forgotten (R17)", async () => {
    const sessions = manager();
    const session = await sessions.load(null);
    session.login("42");
    await expect(sessions.commit(session)).rejects.toThrow(ValueError);
    await expect(sessions.commit(session)).rejects.toThrow(/userOf/);
    session.data["user_id"] = 42;
    const cookie = cookieOf(await sessions.commit(session));
    const loggedIn = await sessions.load(cookie);
    expect(loggedIn.user).toBe("42");
    delete loggedIn.data["user_id"];
    await sessions.commit(loggedIn);
    expect((await sessions.load(cookie)).user).toBeUndefined();
  });

  test("the user in the data changes without session.login → a new id, and nothing of another user's (R17, R42)", async () => {
    const sessions = manager();
    const visitor = await sessions.load(null);
    visitor.data["cart"] = "tea";
    const planted = cookieOf(await sessions.commit(visitor));
    const login = await sessions.load(planted);
    login.data["user_id"] = 7;
    const seven = cookieOf(await sessions.commit(login));
    expect((await sessions.load(planted)).isNew).toBe(true);
    expect((await sessions.load(seven)).data).toEqual({ cart: "tea", user_id: 7 });
    const change = await sessions.load(seven);
    change.data["user_id"] = 8;
    const eight = cookieOf(await sessions.commit(change));
    expect((await sessions.load(seven)).isNew).toBe(true);
    expect((await sessions.load(eight)).data).toEqual({ user_id: 8 });
  });

  test("key rotation: rows under a previous key → open, and reseal moves them to the new key (promise 9)", async () => {
    const cookie = await begin(manager());
    await gem.write("00000000000000000000000000000002", {});
    const turned = railsFormat({ ...railsKeys, primaryKey: [railsKeys.primaryKey, "key two"] });
    const sessions = manager(held.store, { format: turned });
    const before = (await held.store.scan(null, 9)).map(({ updatedAt }) => updatedAt);
    expect(await sessions.reseal({ batchSize: 1 })).toMatchObject({ scanned: 2, resealed: 1, current: 1 });
    expect((await held.store.scan(null, 9)).map(({ updatedAt }) => updatedAt)).toEqual(before);
    const only = manager(held.store, { format: railsFormat({ ...railsKeys, primaryKey: "key two" }) });
    expect((await only.load(cookie)).data).toEqual({ kept: 1 });
    expect((await manager().load(cookie)).isNew).toBe(true);
  });
});
