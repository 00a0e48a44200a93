/** Links: sessions that another system's event ends (R63). */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, test } from "vitest";
import {
  createSessionManager,
  generateKey,
  KeyRing,
  StoreUnavailableError,
  type Session,
  type SessionManager,
} from "../../src/index.ts";
import { recordsOf } from "../../src/manager.ts";
import { railsFormat } from "../../src/rails/format.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { around, cookieOf, testKeys } from "./doubles.ts";
import { eachStore, type TestStore } from "./stores.ts";

type Data = Record<string, any>;
type Sessions = SessionManager<Data>;
type Options = Partial<Parameters<typeof createSessionManager<Data>>[0]>;
type Act = (session: Session<Data>) => unknown;

eachStore((name, create) => {
  let held: TestStore;
  let now: number;
  /** A link of this test alone. */
  let idp: string;
  let sessions: Sessions;
  beforeEach(async () => {
    held = await create();
    now = 1_700_000_000_000;
    idp = `https://idp.example|${randomUUID()}`;
    sessions = manager();
  });
  afterEach(async () => held.drop());

  function manager(options: Options = {}, store: SessionStore = held.store): Sessions {
    return createSessionManager<Data>({ store, keys: testKeys, clock: () => now, ...options });
  }

  async function request(cookie: string | null, act: Act, by = sessions): Promise<string> {
    const session = await by.load(cookie);
    await act(session);
    const setCookie = await by.commit(session);
    return setCookie === null ? cookie! : cookieOf(setCookie);
  }

  const login = (user = "42", links: Record<string, string> = { idp }, by = sessions): Promise<string> =>
    request(null, (session) => session.login(user, { links }), by);

  const userOf = async (cookie: string, by = sessions): Promise<string | undefined> =>
    (await by.load(cookie)).user;

  /** Entries that are found, including those of rows that are gone. */
  const entries = async (by = KeyRing.from(testKeys), app = ""): Promise<number> => {
    const refs = by.linkRefs("idp", idp, app);
    return (await held.store.links!.find(refs, Infinity, 1_000)).length;
  };

  test("R63: revokeByLink → ends every session with the link, and no other", async () => {
    const [one, two] = [await login("1"), await login("2")];
    const other = await login("1", { idp: `${idp} other` });
    const otherName = await login("1", { idp2: idp });
    const plain = await request(null, (session) => session.login("1"));
    assert.equal(await sessions.revokeByLink({ idp }), 2);
    assert.deepEqual([await userOf(one), await userOf(two)], [undefined, undefined]);
    assert.deepEqual([await userOf(other), await userOf(otherName), await userOf(plain)], ["1", "1", "1"]);
    assert.equal(await sessions.revokeByLink({ idp }), 0);
    assert.equal(await entries(), 0, "promise 6: nothing of it is left");
  });

  test("R63: several links → each of them finds the session", async () => {
    const links = { idp, "idp-user": `${idp}|248289761001`, "other.one": "é ".repeat(256).trim() };
    for (const [one, value] of Object.entries(links)) {
      const cookie = await login("42", links);
      assert.equal(await sessions.revokeByLink({ [one]: value }), 1, one);
      assert.equal(await userOf(cookie), undefined);
    }
    const [first, second] = [await login("42", links), await login("42")];
    assert.equal(await sessions.revokeByLink({ "idp-user": links["idp-user"], idp }), 2);
    assert.deepEqual([await userOf(first), await userOf(second)], [undefined, undefined]);
  });

  test("R63 promise 3: a new id by regenerate, elevate and a save → the links stay", async () => {
    let cookie = await login();
    const first = cookie;
    cookie = await request(cookie, (session) => session.regenerate());
    cookie = await request(cookie, (session) => session.elevate({ level: "aal2" }));
    cookie = await request(cookie, (session) => void (session.data["cart"] = ["tea"]));
    assert.notEqual(cookie, first);
    assert.equal(await entries(), 1);
    assert.equal(await userOf(cookie), "42");
    assert.equal(await sessions.revokeByLink({ idp }), 1);
    assert.equal(await userOf(cookie), undefined);
  });

  test("R63: another login, a reset and a logout → the links are gone with the session", async () => {
    const acts: Record<string, Act> = {
      "the same user": (session) => session.login("42"),
      "another user": (session) => session.login("7"),
      reset: (session) => session.reset(),
      destroy: (session) => session.destroy(),
    };
    for (const [what, act] of Object.entries(acts)) {
      const cookie = await login();
      assert.equal(await entries(), 1);
      const next = await request(cookie, act);
      assert.equal(await entries(), 0, what);
      const stays = await userOf(next);
      assert.equal(await sessions.revokeByLink({ idp }), 0, what);
      assert.equal(await userOf(next), stays, what);
    }
  });

  test("R63: another login with links → those of the last login", async () => {
    const cookie = await login("42", { old: idp });
    const next = await request(cookie, (session) => session.login("42", { links: { idp } }));
    assert.equal(await sessions.revokeByLink({ old: idp }), 0);
    assert.equal(await sessions.revokeByLink({ idp }), 1);
    assert.equal(await userOf(next), undefined);
  });

  test("R63: loggedInUntil → later logins stay, and a new id is not a later login", async () => {
    let old = await login();
    now += 10_000;
    old = await request(old, (session) => session.regenerate());
    const later = await login();
    const loggedInUntil = new Date(now - 10_000);
    assert.equal(await sessions.revokeByLink({ idp }, { loggedInUntil: new Date(now - 10_001) }), 0);
    assert.equal(await sessions.revokeByLink({ idp }, { loggedInUntil }), 1);
    assert.deepEqual([await userOf(old), await userOf(later)], [undefined, "42"]);
    assert.equal(await sessions.revokeByLink({ idp }), 1);
  });

  test("R63 promise 3: a save, a new id or a change of level in flight → the session stays ended", async () => {
    const acts: Act[] = [
      (session) => void (session.data["late"] = 1),
      (session) => session.regenerate(),
      (session) => session.elevate({ level: "aal2" }),
    ];
    for (const act of acts) {
      const cookie = await login();
      const session = await sessions.load(cookie);
      await act(session);
      assert.equal(await sessions.revokeByLink({ idp }), 1);
      assert.equal(await sessions.commit(session), null, "it sets and clears no cookie");
      assert.equal(await userOf(cookie), undefined);
      assert.equal(await sessions.revokeByLink({ idp }), 0);
    }
  });

  test("R63 promise 3: sessions that keep getting new ids → all of them end", async () => {
    const cookies = await Promise.all(Array.from({ length: 4 }, () => login()));
    let isOver = false;
    const last = [...cookies];
    const storm = cookies.map(async (cookie, nth) => {
      for (let current = cookie; !isOver; await new Promise((resolve) => setImmediate(resolve))) {
        const session = await sessions.load(current);
        if (session.user === undefined) return;
        session.regenerate();
        const setCookie = await sessions.commit(session);
        if (setCookie !== null) last[nth] = current = cookieOf(setCookie);
      }
    });
    while (last.some((cookie, nth) => cookie === cookies[nth])) await new Promise((go) => setImmediate(go));
    assert.equal(await manager().revokeByLink({ idp }), 4);
    isOver = true;
    await Promise.all(storm);
    for (const [nth, cookie] of last.entries()) {
      assert.notEqual(cookie, cookies[nth], "it did get new ids");
      assert.equal(await userOf(cookie), undefined);
    }
    assert.equal(await entries(), 0);
  });

  test("R63: logins during a revocation → each is ended, or can be found", async () => {
    for (let round = 0; round < 5; round++) {
      const logins = Array.from({ length: 8 }, () => login());
      const first = await sessions.revokeByLink({ idp });
      const cookies = await Promise.all(logins);
      const users = await Promise.all(cookies.map((cookie) => userOf(cookie)));
      const alive = users.filter((user) => user !== undefined).length;
      assert.equal(first + alive, 8);
      assert.equal(await sessions.revokeByLink({ idp }), alive);
      for (const cookie of cookies) assert.equal(await userOf(cookie), undefined);
    }
  });

  test("R63: a login whose answer is lost → it is found by its link", async () => {
    for (const operation of ["insert", "replace"] as const) {
      let lose = true;
      const store = around(held.store, async (called, call) => {
        const answer = await call();
        if (called !== operation || !lose) return answer;
        lose = false;
        throw new StoreUnavailableError("The answer was lost.", { outcome: "unknown" });
      });
      const losing = manager({}, store);
      const before = operation === "replace" ? await request(null, (s) => void (s.data["a"] = 1)) : null;
      const session = await losing.load(before);
      session.login("42", { links: { idp } });
      await assert.rejects(losing.commit(session), StoreUnavailableError);
      const cookie = cookieOf(await losing.commit(session));
      assert.equal(await userOf(cookie), "42");
      assert.equal(await sessions.revokeByLink({ idp }), 1, operation);
      assert.equal(await userOf(cookie), undefined);
    }
  });

  test("R63: a store that fails half-way → says how many were ended, and a retry ends the rest", async () => {
    const cookies = await Promise.all(Array.from({ length: 3 }, () => login()));
    let deletes = 0;
    const store = around(held.store, async (called, call) => {
      if (called === "delete" && ++deletes === 2) throw new StoreUnavailableError("The store is down.");
      return call();
    });
    const failing = manager({}, Object.assign(store, { lanes: { ...store.lanes, write: 1, maxBatch: 1 } }));
    await assert.rejects(failing.revokeByLink({ idp }), { name: "StoreUnavailableError", changed: 2 });
    assert.equal(await failing.revokeByLink({ idp }), 1);
    for (const cookie of cookies) assert.equal(await userOf(cookie), undefined);
  });

  describe("key rotation", () => {
    const older = generateKey();
    const newer = generateKey();
    const ofBoth: Options = { keys: [newer, older] };

    test("promise 9: a session from before the rotation → found under both keys", async () => {
      const cookie = await login("42", { idp }, manager({ keys: older }));
      assert.equal(await manager(ofBoth).revokeByLink({ idp }), 1);
      assert.equal(await userOf(cookie, manager(ofBoth)), undefined);
    });

    test("promise 9: after reseal → found under the newest key alone", async () => {
      const cookie = await login("42", { idp }, manager({ keys: older }));
      assert.equal((await manager(ofBoth).reseal()).resealed, 1);
      const after = manager({ keys: newer });
      assert.equal(await after.revokeByLink({ idp }), 1);
      assert.equal(await userOf(cookie, manager(ofBoth)), undefined);
    });

    test.each([
      ["a save", (session: Session<Data>) => void (session.data["a"] = 1)],
      ["a new id", (session: Session<Data>) => session.regenerate()],
    ])("promise 9: after %s → found under the newest key alone", async (_what, act) => {
      for (const sealTo of ["keys", "cookie"] as const) {
        const before = await login("42", { idp }, manager({ keys: older, sealTo }));
        const cookie = await request(before, act, manager({ ...ofBoth, sealTo }));
        const after = manager({ keys: newer, sealTo });
        assert.equal(await userOf(cookie, after), "42");
        assert.equal(await after.revokeByLink({ idp }), 1);
        assert.equal(await userOf(cookie, after), undefined);
      }
    });

    test("promise 9: a session sealed to its cookie that is only read → found after its owner's request", async () => {
      const before = await login("42", { idp }, manager({ keys: older, sealTo: "cookie" }));
      // The tag of the cookie comes from the older key, so the request renews it.
      const cookie = await request(before, (s) => void s.data, manager({ ...ofBoth, sealTo: "cookie" }));
      assert.equal(await manager({ keys: newer, sealTo: "cookie" }).revokeByLink({ idp }), 1);
      assert.equal(await userOf(cookie, manager({ ...ofBoth, sealTo: "cookie" })), undefined);
    });
  });

  test("R63 promise 6: applications that share keys and table → their links are apart", async () => {
    const [shop, blog] = [manager({ app: "shop" }), manager({ app: "blog" })];
    const [inShop, inBlog] = [await login("42", { idp }, shop), await login("42", { idp }, blog)];
    assert.equal(await entries(), 0, "an application without a name has references of its own");
    assert.equal(await shop.revokeByLink({ idp }), 1);
    assert.deepEqual([await userOf(inShop, shop), await userOf(inBlog, blog)], [undefined, "42"]);
    assert.equal(await blog.revokeByLink({ idp }), 1);
  });

  test("R36: export → the links; erase → nothing of them is left", async () => {
    await login();
    const [exported] = await sessions.exportUser("42");
    assert.deepEqual(exported!.links, { idp });
    assert.equal(await sessions.eraseUser("42"), 1);
    assert.equal(await entries(), 0);
    const plain = await request(null, (session) => session.login("43"));
    assert.equal(Object.hasOwn((await sessions.exportUser("43"))[0]!, "links"), false);
    assert.equal(await userOf(plain), "43");
  });

  test("promise 5: an expired session → the expiry job removes its links", async () => {
    await login();
    now += 31 * 86_400_000;
    assert.equal(await entries(), 1);
    const living = await login("42", { idp: `${idp} later` });
    assert.equal(await sessions.expire(), 1);
    assert.equal(await entries(), 0);
    assert.equal(await sessions.revokeByLink({ idp: `${idp} later` }), 1);
    assert.equal(await userOf(living), undefined);
  });

  test("R63: revocations of a user and by handle → the expiry job removes what is left of the links", async () => {
    await login("1");
    const { handle } = await sessions.load(await login("2"));
    await sessions.forUser("1").revokeAll();
    await sessions.forUser("2").revoke(handle);
    assert.equal(await sessions.revokeByLink({ idp }), 0, "they do not count");
    await login("3");
    await sessions.forUser("3").revokeAll();
    await sessions.expire();
    assert.equal(await entries(), 0);
  });

  test("R63: with the audit trail → each session that ends is an event with actor and reason", async () => {
    const audited = manager({ audit: true });
    const handles = [];
    for (const user of ["1", "2"]) {
      const cookie = await login(user, { idp }, audited);
      handles.push((await audited.load(cookie)).handle);
    }
    const cookie = await request(null, (s) => s.login("3", { links: { idp } }), audited);
    const rotated = await request(cookie, (session) => session.elevate({ level: "aal2" }), audited);
    handles.push((await audited.load(rotated)).handle);
    const by = { by: "https://idp.example", reason: "back-channel logout" };
    assert.equal(await audited.revokeByLink({ idp }, by), 3);
    const events = [];
    const since = new Date(now);
    for await (const event of audited.audit.list({ types: ["session.revoked"], since })) {
      if (handles.includes(event.session!)) events.push(event);
    }
    assert.equal(events.length, 3);
    for (const event of events) {
      assert.deepEqual([event.actor, event.reason], [by.by, by.reason]);
      assert.ok(!JSON.stringify(event).includes(idp), "no event holds a link");
    }
    assert.deepEqual(new Set(events.map(({ user }) => user)), new Set(["1", "2", "3"]));
    assert.equal((await audited.audit.verify()).ok, true);
    await recordsOf(audited as never).recorder!.trail.close();
  }, 30_000);

  test("R63: logins under a limit of sessions → each with its links, and an evicted one is not found", async () => {
    for (const audit of [false, true]) {
      const limited = manager({ maxSessions: { count: 2, onLimit: "endOldest" }, audit });
      const cookies: string[] = [];
      for (let nth = 0; nth < 3; nth++) {
        now += 1_000;
        const anonymous = nth === 0 ? null : await request(null, (s) => void (s.data["n"] = nth), limited);
        cookies.push(await request(anonymous, (s) => s.login("42", { links: { idp } }), limited));
      }
      assert.deepEqual(await Promise.all(cookies.map((cookie) => userOf(cookie))), [undefined, "42", "42"]);
      assert.equal(await limited.revokeByLink({ idp }), 2);
      for (const cookie of cookies) assert.equal(await userOf(cookie), undefined);
      await recordsOf(limited as never).recorder?.trail.close();
    }
  });

  test("R63: links that are not valid → TypeError before anything changes", async () => {
    const cookie = await login();
    const session = await sessions.load(cookie);
    const wrong: unknown[] = [
      {},
      "iss|sid",
      null,
      [],
      { idp: "" },
      { idp: 7 },
      { idp: undefined },
      { idp: "x".repeat(513) },
      { idp: "\ud800" },
      { "": "x" },
      { "a b": "x" },
      { ["n".repeat(65)]: "x" },
      Object.fromEntries(Array.from({ length: 9 }, (_, nth) => [`n${nth}`, "x"])),
    ];
    for (const links of wrong) {
      if (links !== null)
        assert.throws(() => session.login("7", { links: links as never }), TypeError, JSON.stringify(links));
      await assert.rejects(sessions.revokeByLink(links as never), TypeError, JSON.stringify(links));
    }
    await assert.rejects(sessions.revokeByLink({ idp }, { loggedInUntil: new Date(NaN) }), TypeError);
    assert.equal(session.user, "42");
    assert.equal(await sessions.revokeByLink({ idp }), 1);
  });

  test.runIf(name === "memory")(
    "R63: Rails mode, and a store without links → refused, and nobody is logged in",
    async () => {
      const rails = manager({
        format: railsFormat({
          primaryKey: "EGY8WhulUOXixybod7ZWwMIL68R9o5kC",
          keyDerivationSalt: "xEY0dt6TZcAMg52K7O84wYzkjvbA62Hz",
          hashDigestClass: "SHA256",
        }),
        keys: undefined,
      });
      const { links: _, ...rest } = around(held.store, (_operation, call) => call());
      for (const by of [rails, manager({}, rest)]) {
        const session = await by.load(null);
        assert.throws(() => session.login("42", { links: { idp } }), /keeps no links/);
        assert.equal(session.user, undefined);
        await assert.rejects(by.revokeByLink({ idp }), TypeError);
      }
    },
  );
});
