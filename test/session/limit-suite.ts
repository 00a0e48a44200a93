/** `maxSessions`, over one store that is empty for each test. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import { StoreError, TooManySessionsError, type Session, type SessionManager } from "../../src/index.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { cookieOf, counted, Gate, olderKey, testKeys, type Fate } from "./doubles.ts";
import type { Making, TestStore } from "./stores.ts";

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;
type Options = Partial<SessionManagerOptions<Data>>;

const oldest = { count: 3, onLimit: "endOldest" } as const;
const refuse = { count: 3, onLimit: "refuse" } as const;

export function limitSuite(
  create: () => Promise<TestStore>,
  { createSessionManager }: Pick<Making, "createSessionManager">,
): void {
  let held: TestStore;
  let now: number;
  beforeEach(async () => {
    held = await create();
    now = 1_700_000_000_000;
  });
  afterEach(async () => held.drop());

  const manager = (options: Options = {}, store: SessionStore = held.store): Sessions =>
    createSessionManager<Data>({
      store,
      keys: testKeys,
      clock: () => now,
      storeTimeout: "1 min",
      maxSessions: oldest,
      ...options,
    });

  /** Requests a page with this cookie, and returns the cookie after it. */
  async function request(
    sessions: Sessions,
    cookie: string | null,
    act: (session: Session<Data>) => unknown,
  ): Promise<string> {
    const session = await sessions.load(cookie);
    await act(session);
    const set = await sessions.commit(session);
    return set === null ? cookie! : cookieOf(set);
  }

  /** Each login a millisecond after the one before it. */
  async function login(sessions: Sessions, user = "42", cookie: string | null = null): Promise<string> {
    now++;
    return await request(sessions, cookie, (session) => session.login(user));
  }

  const userOf = async (sessions: Sessions, cookie: string): Promise<string | undefined> =>
    (await sessions.load(cookie)).user;

  const count = async (sessions: Sessions, user = "42"): Promise<number> =>
    (await sessions.forUser(user).list()).length;

  test("promise 3, maxSessions: 64 parallel logins of one user, limit 3 → exactly 3 are live, and 61 cookies are dead", async () => {
    const managers = [manager(), manager(), manager(), manager()];
    const cookies = await Promise.all(
      Array.from({ length: 64 }, (_, nth) => request(managers[nth % 4]!, null, (s) => s.login("42"))),
    );
    assert.equal(await count(managers[0]!), 3);
    const users = await Promise.all(cookies.map((cookie) => userOf(managers[0]!, cookie)));
    assert.equal(users.filter((user) => user === "42").length, 3);
  });

  test("maxSessions: 64 parallel logins, refuse → exactly 3 succeed, and the others are refused", async () => {
    const managers = [manager({ maxSessions: refuse }), manager({ maxSessions: refuse })];
    const results = await Promise.allSettled(
      Array.from({ length: 64 }, (_, nth) => request(managers[nth % 2]!, null, (s) => s.login("42"))),
    );
    const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    assert.equal(failures.length, 61);
    assert.ok(failures.every((error) => error instanceof TooManySessionsError));
    assert.equal(await count(managers[0]!), 3);
  });

  test("maxSessions: parallel logins of several users from anonymous sessions → each keeps as many as allowed", async () => {
    const sessions = manager();
    const users = ["ann", "ben", "cem", "dee"];
    const carts = await Promise.all(
      Array.from({ length: 32 }, () => request(sessions, null, (s) => (s.data["cart"] = 1))),
    );
    const cookies = await Promise.all(
      carts.map((cart, nth) => request(sessions, cart, (s) => s.login(users[nth % 4]!))),
    );
    for (const user of users) assert.equal(await count(sessions, user), 3);
    assert.equal(await sessions.count(), 12, "anonymous sessions became those of users");
    const [live] = (await Promise.all(cookies.map((cookie) => sessions.load(cookie)))).filter((s) => s.user);
    assert.equal(live!.data["cart"], 1);
  });

  test("maxSessions: a fourth login → the oldest by creation ends, however lately it was used", async () => {
    const sessions = manager();
    const cookies = [await login(sessions), await login(sessions), await login(sessions)];
    now += 60_000;
    await request(sessions, cookies[0]!, (session) => (session.data["used"] = now));
    cookies.push(await login(sessions));
    const users = await Promise.all(cookies.map((cookie) => userOf(sessions, cookie)));
    assert.deepEqual(users, [undefined, "42", "42", "42"]);
  });

  test("promise 3: a save of an evicted session is in flight → it is not saved, and sets no cookie", async () => {
    const sessions = manager();
    const cookie = await login(sessions);
    const late = await sessions.load(cookie);
    late.data["late"] = true;
    for (let nth = 0; nth < 3; nth++) await login(sessions);
    assert.equal(await sessions.commit(late), null);
    const gone = await sessions.load(cookie);
    assert.deepEqual([gone.isNew, gone.user, gone.data], [true, undefined, {}]);
    assert.equal(await count(sessions), 3);
  });

  test("maxSessions: regenerate, elevate and another login in a session at the limit → none ends, none is refused", async () => {
    for (const maxSessions of [oldest, refuse]) {
      const sessions = manager({ maxSessions });
      const user = maxSessions.onLimit;
      const cookies = [await login(sessions, user), await login(sessions, user), await login(sessions, user)];
      cookies[0] = await request(sessions, cookies[0]!, (session) => session.regenerate());
      cookies[1] = await request(sessions, cookies[1]!, (session) => session.elevate({ level: "aal2" }));
      cookies[2] = await login(sessions, user, cookies[2]);
      for (const cookie of cookies) assert.equal(await userOf(sessions, cookie), user);
      assert.equal(await count(sessions, user), 3);
    }
  });

  test("maxSessions: sessions that have expired or were revoked → they do not count", async () => {
    const sessions = manager({ maxSessions: refuse, idleTimeout: "1 h", absoluteTimeout: "8 h" });
    await login(sessions);
    now += 3_600_000;
    const cookies = [await login(sessions), await login(sessions), await login(sessions)];
    await assert.rejects(login(sessions), TooManySessionsError);
    await sessions.forUser("42").revoke((await sessions.load(cookies[1]!)).handle);
    await login(sessions);
    await assert.rejects(login(sessions), TooManySessionsError);
    await request(sessions, cookies[0]!, (session) => session.destroy());
    await login(sessions);
  });

  test("maxSessions: the limit was made smaller → the next login ends as many as are too many", async () => {
    const many = manager({ maxSessions: { count: 8, onLimit: "endOldest" } });
    const cookies: string[] = [];
    for (let nth = 0; nth < 8; nth++) cookies.push(await login(many));
    const few = manager({ maxSessions: { count: 2, onLimit: "endOldest" } });
    cookies.push(await login(few));
    const users = await Promise.all(cookies.map((cookie) => userOf(few, cookie)));
    assert.deepEqual(
      users.flatMap((user, nth) => (user === undefined ? [] : [nth])),
      [7, 8],
    );
  });

  test("maxSessions: refused → the visitor stays as before, nothing of the request is kept, and the next save works", async () => {
    const sessions = manager({ maxSessions: refuse });
    for (let nth = 0; nth < 3; nth++) await login(sessions);
    const cookie = await request(sessions, null, (session) => (session.data["cart"] = ["tea"]));
    for (const before of [null, cookie]) {
      const session = await sessions.load(before);
      session.login("42");
      session.data["name"] = "Ann";
      const error = await sessions.commit(session).catch((reason: unknown) => reason);
      assert.ok(error instanceof TooManySessionsError);
      assert.deepEqual(
        [error.code, error.status, error.expose],
        ["ERR_STORED_SESSION_TOO_MANY_SESSIONS", 409, true],
      );
      assert.deepEqual([session.user, session.data], [undefined, before === null ? {} : { cart: ["tea"] }]);
      session.flash("error", "Too many sessions.");
      const after = await sessions.commit(session);
      const again = await sessions.load(after === null ? before : cookieOf(after));
      assert.deepEqual([again.user, again.takeFlash("error")], [undefined, "Too many sessions."]);
      assert.equal(again.data["name"], undefined);
    }
    assert.equal(await count(sessions), 3);
  });

  test("maxSessions: another user was logged in, and the login is refused → that user stays logged in, alone", async () => {
    const sessions = manager({ maxSessions: refuse });
    for (let nth = 0; nth < 3; nth++) await login(sessions);
    const cookie = await request(sessions, null, (session) => {
      session.login("ann");
      session.data["of"] = "ann";
    });
    const session = await sessions.load(cookie);
    session.login("42");
    session.data["of"] = "42";
    await assert.rejects(sessions.commit(session), TooManySessionsError);
    assert.deepEqual([session.user, session.data], ["ann", { of: "ann" }]);
    session.data["later"] = true;
    assert.equal(await sessions.commit(session), null);
    const again = await sessions.load(cookie);
    assert.deepEqual([again.user, again.data], ["ann", { of: "ann", later: true }]);
  });

  test("maxSessions: refused in sessions.update → the session stays as before", async () => {
    const sessions = manager({ maxSessions: refuse, userOf: (data) => data["uid"] as string });
    const enter = () => request(sessions, null, (session) => (session.data["uid"] = "42"));
    for (let nth = 0; nth < 3; nth++) await enter();
    const cookie = await request(sessions, null, (session) => (session.data["cart"] = 1));
    const session = await sessions.load(cookie);
    const become = (data: Data): void => void (data["uid"] = "42");
    await assert.rejects(sessions.update(session, become), TooManySessionsError);
    await sessions.update(session, (data) => void (data["cart"] = 2));
    await assert.rejects(enter(), TooManySessionsError);
    session.data["uid"] = "42";
    await assert.rejects(sessions.commit(session), TooManySessionsError);
    assert.equal(await sessions.commit(session), null);
    const again = await sessions.load(cookie);
    assert.deepEqual([again.user, again.data], [undefined, { cart: 2 }]);
  });

  for (const fate of ["lost", "failed"] satisfies Fate[]) {
    for (const maxSessions of [oldest, refuse]) {
      test(`promise 7, maxSessions: the answer to a login is ${fate}, ${maxSessions.onLimit} → the retry logs in, and one session ends at most`, async () => {
        const gate = new Gate();
        const sessions = manager({ maxSessions }, gate.over(held.store));
        const others = [await login(sessions), await login(sessions)];
        if (maxSessions === oldest) others.unshift(await login(sessions));
        const cart = await request(sessions, null, (session) => (session.data["cart"] = 1));
        now++;
        const session = await sessions.load(cart);
        session.login("42");
        gate.stop("login", fate);
        gate.open();
        const error = await sessions.commit(session).catch((reason: unknown) => reason);
        assert.ok(error instanceof StoreError && error.outcome === "unknown");
        const cookie = cookieOf(await sessions.commit(session));
        assert.deepEqual(
          [await userOf(sessions, cookie), (await sessions.load(cookie)).data],
          ["42", { cart: 1 }],
        );
        assert.equal(await count(sessions), 3);
        const users = await Promise.all(others.map((other) => userOf(sessions, other)));
        assert.equal(users.filter((user) => user === "42").length, 2);
      });
    }
  }

  test("maxSessions: the keys are rotated while users log in → sessions under all keys count", async () => {
    const rings = [olderKey, `${olderKey},${testKeys}`, `${testKeys},${olderKey}`, testKeys];
    const managers = rings.map((keys) => manager({ keys }));
    for (const [nth, first] of managers.slice(0, 3).entries()) {
      const pair = [first, managers[nth + 1]!];
      const user = `user ${nth}`;
      if (nth === 0) pair.reverse(); // the process with one key does not know those under the new one
      await Promise.all(Array.from({ length: 12 }, () => request(pair[0]!, null, (s) => s.login(user))));
      assert.equal(await count(pair[0]!, user), 3);
    }
    const [, before, after] = managers;
    await Promise.all(
      Array.from({ length: 32 }, (_, nth) => request(nth % 2 ? before! : after!, null, (s) => s.login("7"))),
    );
    assert.equal(await count(after!, "7"), 3);
  });

  test("maxSessions: another application in the same table → its sessions do not count, and do not end", async () => {
    const [shop, office] = [manager({ app: "shop" }), manager({ app: "office" })];
    for (let nth = 0; nth < 4; nth++) {
      await login(shop);
      await login(office);
    }
    assert.deepEqual([await count(shop), await count(office)], [3, 3]);
  });

  test("maxSessions: rows sealed to the cookie → the same", async () => {
    const sessions = manager({ sealTo: "cookie" });
    const cookies: string[] = [];
    for (let nth = 0; nth < 5; nth++) cookies.push(await login(sessions));
    const users = await Promise.all(cookies.map((cookie) => userOf(sessions, cookie)));
    assert.deepEqual(users, [undefined, undefined, "42", "42", "42"]);
  });

  test("maxSessions: requests that are no logins, and a manager without the option → no further statement", async () => {
    const watched = counted(held.store);
    const limited = manager({}, watched.store);
    const cookie = await login(limited);
    assert.deepEqual([...watched.counts], [["login", 1]]);
    watched.counts.clear();
    await request(limited, null, (session) => (session.data["cart"] = 1));
    await request(limited, cookie, (session) => void session.user);
    await request(limited, cookie, (session) => (session.data["saved"] = 1));
    const next = await request(limited, cookie, (session) => session.regenerate());
    await request(limited, next, (session) => session.reset());
    assert.deepEqual([...watched.counts].toSorted(), [
      ["insert", 1],
      ["read", 4],
      ["replace", 2],
      ["update", 1],
    ]);
    watched.counts.clear();
    const plain = createSessionManager<Data>({ store: watched.store, keys: testKeys, clock: () => now });
    await login(plain);
    assert.deepEqual([...watched.counts], [["insert", 1]]);
  });
}
