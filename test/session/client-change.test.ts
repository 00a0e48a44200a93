/** `onClientChange`: a session that another client uses. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "vitest";
import { createSessionManager, generateKey, memoryStore, OptionsError } from "../../src/index.ts";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { commitForResponse } from "../../src/manager.ts";
import type { ClientInfo, OnClientChange, Session, SessionManager } from "../../src/index.ts";
import type { SessionManagerOptions } from "../../src/options.ts";
import { cookieOf, counted, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;

const home = { address: "203.0.113.9", userAgent: "Firefox/140" };
const train = { address: "198.51.100.7", userAgent: "Firefox/140" };
const minute = 60_000;

eachStore((_name, create) => {
  let held: TestStore;
  let now: number;
  let asked: [ClientInfo, ClientInfo][];
  beforeEach(async () => {
    held = await create();
    now = 1_700_000_000_000;
    asked = [];
  });
  afterEach(async () => held.drop());

  function manager(
    answer: OnClientChange,
    options: Partial<SessionManagerOptions<Data>> = {},
    store = held.store,
  ): Sessions {
    return createSessionManager<Data>({
      store,
      keys: testKeys,
      clock: () => now,
      onClientChange: (before, after, session) => {
        asked.push([before, after]);
        return answer(before, after, session);
      },
      ...options,
    });
  }

  async function request(
    sessions: Sessions,
    cookie: string | null,
    client: ClientInfo | undefined,
    act: (session: Session<Data>) => unknown = () => {},
  ): Promise<{ session: Session<Data>; set: string | null }> {
    const session = await sessions.load(cookie, client);
    await act(session);
    return { session, set: await commitForResponse(sessions as never, session as never) };
  }

  async function login(sessions: Sessions, user = "42"): Promise<string> {
    return cookieOf((await request(sessions, null, home, (session) => session.login(user))).set);
  }

  test("onClientChange: another address → asked with both clients and the session, once; the same client → not asked", async () => {
    const told: unknown[] = [];
    const sessions = manager((_before, _now, session) => void told.push(session));
    const cookie = await login(sessions);
    const { session } = await request(sessions, cookie, home);
    assert.deepEqual(asked, []);
    for (let nth = 0; nth < 3; nth++) await request(sessions, cookie, train);
    assert.deepEqual(asked, [[home, train]]);
    assert.deepEqual(told, [{ user: "42", handle: session.handle }]);
    await request(sessions, cookie, undefined);
    await request(sessions, null, train);
    assert.equal(asked.length, 1);
  });

  test("onClientChange: anonymous sessions → not asked", async () => {
    const sessions = manager(() => "end");
    const { set } = await request(sessions, null, home, (session) => (session.data["cart"] = 1));
    const { session } = await request(sessions, cookieOf(set), train);
    assert.deepEqual([asked, session.data], [[], { cart: 1 }]);
  });

  test("onClientChange: requests that only read, flipping between two clients → no statement besides the read, and one touch when it is due", async () => {
    const watched = counted(held.store);
    const sessions = manager(() => "allow", { idleTimeout: "20 h", touchEvery: "1 h" }, watched.store);
    const cookie = await login(sessions);
    watched.counts.clear();
    for (let nth = 0; nth < 10; nth++) await request(sessions, cookie, nth % 2 ? home : train, (s) => s.user);
    assert.deepEqual([...watched.counts], [["read", 10]]);
    assert.equal(asked.length, 1);
    now += 61 * minute;
    await request(sessions, cookie, train, (session) => session.user);
    assert.deepEqual(
      [...watched.counts].toSorted(),
      [
        ["read", 11],
        ["update", 1],
      ],
      "in place of the touch",
    );
    const [info] = await sessions.forUser("42").list();
    assert.deepEqual(info!.client, train, "the new client is recorded");
    await request(sessions, cookie, train);
    assert.equal(asked.length, 2, "the answer counts for 15 minutes");
  });

  test("onClientChange: allowed, and the request saves → the new client is recorded with it", async () => {
    const sessions = manager(() => "allow");
    const cookie = await login(sessions);
    await request(sessions, cookie, train, (session) => (session.data["page"] = 1));
    const [info] = await sessions.forUser("42").list();
    assert.deepEqual(info!.client, train);
    const other = manager(() => "end");
    assert.equal((await request(other, cookie, train)).session.user, "42");
  });

  test("R58, onClientChange: elevate → not fresh and without a level, also in other processes, until the user proves it again", async () => {
    const sessions = manager(() => "elevate");
    const { set } = await request(sessions, null, home, (session) => session.login("42", { level: "aal2" }));
    const cookie = cookieOf(set);
    const { session } = await request(sessions, cookie, train);
    const elsewhere = manager(() => "allow");
    for (const one of [session, (await request(elsewhere, cookie, train)).session]) {
      assert.deepEqual(
        [
          one.user,
          one.level,
          one.authenticatedAt,
          one.isFresh("30 days"),
          one.isFresh("30 days", { level: "aal2" }),
        ],
        ["42", undefined, undefined, false, false],
      );
    }
    assert.equal(asked.length, 1, "the new client is recorded with it");
    const proved = await request(sessions, cookie, train, (one) => one.elevate({ level: "aal2" }));
    const after = await request(sessions, cookieOf(proved.set), train);
    assert.deepEqual([after.session.level, after.session.isFresh("5 min")], ["aal2", true]);
    assert.equal((await request(sessions, cookie, home)).session.user, undefined, "the id before");
  });

  test("R58, onClientChange: elevate, and the request is not committed → the next one is not fresh either", async () => {
    const sessions = manager(() => "elevate");
    const cookie = await login(sessions);
    assert.equal((await sessions.load(cookie, train)).isFresh("1 h"), false);
    assert.equal((await sessions.load(cookie, train)).isFresh("1 h"), false);
    assert.equal((await sessions.load(cookie, home)).isFresh("1 h"), true);
    assert.equal(asked.length, 1);
  });

  test("promise 3, onClientChange: end → the request goes on anonymous, the cookie is cleared, and a save in flight is lost", async () => {
    const sessions = manager(async () => "end" as const);
    const cookie = await login(sessions);
    const late = await sessions.load(cookie, home);
    late.data["late"] = 1;
    const { session, set } = await request(sessions, cookie, train);
    assert.deepEqual([session.user, session.isNew, session.data], [undefined, true, {}]);
    assert.match(set!, /Max-Age=0|Expires=Thu, 01 Jan 1970/);
    assert.equal(await sessions.commit(late), null);
    assert.equal(await sessions.count(), 0);
  });

  test("onClientChange: end, and the request logs in → the new session's cookie is sent", async () => {
    const sessions = manager(() => "end");
    const cookie = await login(sessions);
    const { set } = await request(sessions, cookie, train, (session) => session.login("42"));
    assert.equal((await request(sessions, cookieOf(set), train)).session.user, "42");
    assert.equal(await sessions.count(), 1);
  });

  test("onClientChange: parallel requests of the new client → asked once, and all get the answer", async () => {
    const gate = Promise.withResolvers<void>();
    const sessions = manager(() => gate.promise.then(() => "end" as const));
    const cookie = await login(sessions);
    const loads = Array.from({ length: 8 }, () => sessions.load(cookie, train));
    gate.resolve();
    const users = (await Promise.all(loads)).map(({ user }) => user);
    assert.deepEqual([asked.length, users], [1, Array(8).fill(undefined)]);
  });

  test("onClientChange: it throws, rejects, hangs or returns something else → the session goes on, and the next request asks again", async () => {
    const failing: OnClientChange[] = [
      () => {
        throw new Error("no database of places");
      },
      () => Promise.reject(new Error("no database of places")),
      () => new Promise(() => {}),
      () => "End" as "end",
    ];
    for (const answer of failing) {
      asked = [];
      const sessions = manager(answer, { storeTimeout: 300 });
      const cookie = await login(sessions);
      for (let nth = 0; nth < 2; nth++)
        assert.equal((await request(sessions, cookie, train)).session.user, "42");
      assert.equal(asked.length, 2);
    }
  });

  test("R48, onClientChange: the trail → one event for each change with both clients; a flood stays bounded, and is counted", async () => {
    const answers = ["allow", "end"] as const;
    const sessions = manager((_, { userAgent }) => answers[userAgent === "curl" ? 1 : 0], { audit: true });
    const cookie = await login(sessions);
    for (let nth = 0; nth < 20; nth++) await request(sessions, cookie, nth % 2 ? home : train);
    const changes = async () => {
      const events = [];
      for await (const event of sessions.audit.list({ types: ["client.changed"] })) events.push(event);
      return events;
    };
    const [event, ...more] = await changes();
    assert.equal(more.length, 0);
    assert.partialDeepStrictEqual(event, {
      ...train,
      user: "42",
      outcome: "success",
      reason: "allow",
      count: 1,
    });
    assert.deepEqual(event!.details, home);
    for (let nth = 0; nth < 50; nth++) await request(sessions, cookie, { ...home, userAgent: `bot ${nth}` });
    assert.equal((await changes()).length, 10);
    now += 16 * minute;
    await request(sessions, cookie, { ...home, userAgent: "curl" });
    const last = (await changes()).at(-1)!;
    assert.partialDeepStrictEqual(last, { reason: "end", outcome: "denied", count: 42 });
    const events = [];
    for await (const one of sessions.audit.list({ types: ["session.revoked"] })) events.push(one.reason);
    assert.deepEqual(events, ["client changed"]);
    assert.equal((await sessions.audit.verify()).ok, true);
    await sessions.audit.checkpoint();
  });
});

describe("onClientChange: options", () => {
  test("onClientChange: no function, without clients, a store of another middleware → refused at start", () => {
    const base = { store: memoryStore(), keys: generateKey() };
    const allow = () => "allow" as const;
    for (const options of [{ onClientChange: "end" }, { onClientChange: allow, client: false }])
      assert.throws(() => createSessionManager({ ...base, ...options } as never), OptionsError);
    assert.throws(() => new StoredSessionStore({ ...base, onClientChange: allow } as never), OptionsError);
  });
});
