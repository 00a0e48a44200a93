/** Step-up authentication: R58. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "vitest";
import { createSessionManager, generateKey } from "../../src/index.ts";
import { recordsOf } from "../../src/manager.ts";
import { railsFormat } from "../../src/rails/format.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { cookieOf, testRing } from "./doubles.ts";
import { requestOn, type Act, type Data, type Sessions } from "./requests.ts";
import { eachStoreAndBinding, onSqlite, type Making, type TestStore } from "./stores.ts";

const minute = 60_000;

eachStoreAndBinding(suite, onSqlite);

function suite(_name: string, create: () => Promise<TestStore>, making: Making): void {
  let held: TestStore;
  let now: number;
  let sessions: Sessions;
  beforeEach(async () => {
    held = await create();
    now = 1_700_000_000_000;
    sessions = manager();
  });
  afterEach(async () => held.drop());

  function manager(options: Partial<Parameters<typeof createSessionManager<Data>>[0]> = {}): Sessions {
    const all = { store: held.store, keys: testRing, clock: () => now, ...options };
    return making.createSessionManager<Data>(all);
  }

  const request = (cookie: string | null, act: Act, by = sessions) => requestOn(by, cookie, act);

  const login = async (user = "42"): Promise<string> => cookieOf(await request(null, (s) => s.login(user)));

  test("R58: a login → fresh until the time is over, without a level", async () => {
    const anonymous = await sessions.load(null);
    assert.equal(anonymous.isFresh("1 day"), false);
    assert.equal(anonymous.authenticatedAt, undefined);
    const cookie = cookieOf(
      await request(null, (session) => {
        session.login("42");
        assert.equal(session.isFresh("5 min"), true, "before it is saved");
      }),
    );
    now += 5 * minute;
    const later = await sessions.load(cookie);
    assert.equal(later.isFresh("5 min"), true);
    assert.equal(later.level, undefined);
    assert.equal(later.isFresh("5 min", { level: "aal2" }), false);
    now += 1;
    assert.equal((await sessions.load(cookie)).isFresh("5 min"), false);
    assert.equal((await sessions.load(cookie)).isFresh(6 * minute), true);
  });

  test("R58: elevate → fresh with its level, under a new id; the old id is dead (session fixation), both limits stay", async () => {
    const before = await login();
    const { handle, createdAt } = await sessions.load(before);
    await request(before, (session) => (session.data["cart"] = 1));
    now += 20 * minute;
    const cookie = cookieOf(
      await request(before, (session) => {
        session.elevate({ level: "aal2", method: "passkey" });
        assert.equal(session.level, "aal2");
        assert.equal(session.isFresh("1 s"), true);
      }),
    );
    const session = await sessions.load(cookie);
    assert.notEqual(session.handle, handle);
    assert.equal((await sessions.load(before)).isNew, true);
    assert.deepEqual([session.user, session.data], ["42", { cart: 1 }]);
    assert.deepEqual(session.createdAt, createdAt);
    assert.deepEqual(session.authenticatedAt, new Date(now));
    assert.equal(session.isFresh("5 min", { level: ["aal3", "aal2"] }), true);
    now += 6 * minute;
    const later = await sessions.load(cookie);
    assert.equal(later.isFresh("5 min", { level: "aal2" }), false);
    assert.equal(later.level, "aal2");
    await request(cookie, (saved) => (saved.data["cart"] = 2));
    await sessions.update(await sessions.load(cookie), (data) => void (data["cart"] = 3));
    const saved = await sessions.load(cookie);
    assert.deepEqual([saved.level, saved.data["cart"]], ["aal2", 3], "kept by saves and updates");
  });

  test("R58: a login with a level → the level; the next login and the next elevation replace it", async () => {
    let cookie = cookieOf(await request(null, (session) => session.login("42", { level: "aal2" })));
    assert.equal((await sessions.load(cookie)).level, "aal2");
    now += minute;
    cookie = cookieOf(await request(cookie, (session) => session.elevate({ method: "password" })));
    assert.equal((await sessions.load(cookie)).level, undefined, "a password alone is not aal2");
    cookie = cookieOf(await request(cookie, (session) => session.elevate({ level: "aal3" })));
    cookie = cookieOf(await request(cookie, (session) => session.login("42")));
    assert.equal((await sessions.load(cookie)).level, undefined);
    cookie = cookieOf(await request(cookie, (session) => session.regenerate()));
    assert.equal((await sessions.load(cookie)).isFresh("1 s"), true, "a new id changes nothing");
    now += minute;
    cookie = cookieOf(await request(cookie, (session) => session.regenerate()));
    assert.equal((await sessions.load(cookie)).isFresh("1 s"), false);
  });

  describe("R58: another user never gets the level", () => {
    for (const [name, act] of [
      ["login", (session) => session.login("43")],
      ["elevate, then login", (session) => (session.elevate({ level: "aal3" }), session.login("43"))],
      ["reset, then login", (session) => (session.reset(), session.login("43"))],
    ] as [string, Act][]) {
      test(`R58: ${name} → no level`, async () => {
        let cookie = await login();
        cookie = cookieOf(await request(cookie, (session) => session.elevate({ level: "aal2" })));
        cookie = cookieOf(await request(cookie, act));
        const { user, level } = await sessions.load(cookie);
        assert.deepEqual([user, level], ["43", undefined]);
      });
    }

    test("R58: reset, logout → anonymous and not fresh", async () => {
      let cookie = await login();
      cookie = cookieOf(await request(cookie, (session) => session.elevate({ level: "aal2" })));
      cookie = cookieOf(await request(cookie, (session) => (session.reset(), (session.data["x"] = 1))));
      const session = await sessions.load(cookie);
      assert.deepEqual([session.user, session.level, session.isFresh("1 h")], [undefined, undefined, false]);
    });

    test("R58: `userOf` finds another user, at commit and in update → no level; nobody → none", async () => {
      const by = manager({ userOf: (data) => data["who"] });
      const elevated = async (): Promise<string> => {
        const cookie = cookieOf(await request(null, (session) => (session.data["who"] = "42"), by));
        return cookieOf(await request(cookie, (session) => session.elevate({ level: "aal2" }), by));
      };
      let cookie = await elevated();
      assert.equal((await by.load(cookie)).level, "aal2");
      cookie = cookieOf(await request(cookie, (session) => (session.data["who"] = "43"), by));
      assert.deepEqual([(await by.load(cookie)).user, (await by.load(cookie)).level], ["43", undefined]);

      const updating = await by.load(await elevated());
      await by.update(updating, (data) => ({ ...data, who: "44" }));
      cookie = cookieOf(await by.commit(updating));
      assert.deepEqual([(await by.load(cookie)).user, (await by.load(cookie)).level], ["44", undefined]);
      assert.equal(updating.level, undefined);

      const both = await by.load(await elevated());
      both.elevate({ level: "aal3" });
      both.data["who"] = "45";
      cookie = cookieOf(await by.commit(both));
      assert.deepEqual([(await by.load(cookie)).user, (await by.load(cookie)).level], ["45", undefined]);

      cookie = cookieOf(
        await request(
          await elevated(),
          (session) => (delete session.data["who"], (session.data["x"] = 1)),
          by,
        ),
      );
      assert.deepEqual([(await by.load(cookie)).user, (await by.load(cookie)).level], [undefined, undefined]);
    });
  });

  describe("R58: parallel requests", () => {
    test("R58: a save before the elevation is written → merged, elevated", async () => {
      const cookie = await login();
      const elevating = await sessions.load(cookie);
      elevating.elevate({ level: "aal2" });
      elevating.data["mine"] = 1;
      await request(cookie, (session) => (session.data["theirs"] = 2));
      const session = await sessions.load(cookieOf(await sessions.commit(elevating)));
      assert.deepEqual([session.level, session.data], ["aal2", { mine: 1, theirs: 2 }]);
    });

    test("R58: a save after the elevation → lost, no cookie, and the elevated session stays (promise 3)", async () => {
      const cookie = await login();
      const saving = await sessions.load(cookie);
      saving.data["late"] = 1;
      const elevated = cookieOf(await request(cookie, (session) => session.elevate({ level: "aal2" })));
      assert.equal(await sessions.commit(saving), null);
      const session = await sessions.load(elevated);
      assert.deepEqual([session.level, session.data], ["aal2", {}]);
    });

    test("R58: two elevations → one wins, the other neither sends a cookie nor leaves a row", async () => {
      const cookie = await login();
      const [a, b] = [await sessions.load(cookie), await sessions.load(cookie)];
      a.elevate({ level: "aal2" });
      b.elevate({ level: "aal3" });
      const cookies = await Promise.all([sessions.commit(a), sessions.commit(b)]);
      assert.equal(cookies.filter((one) => one !== null).length, 1);
      assert.equal((await sessions.forUser("42").list()).length, 1);
    });

    for (const how of ["revoked", "destroyed", "expired"] as const) {
      test(`R58, R38: the session is ${how} before the elevation is written → it stays ended`, async () => {
        const cookie = await login();
        const elevating = await sessions.load(cookie);
        elevating.elevate({ level: "aal2" });
        if (how === "revoked") await sessions.forUser("42").revokeAll();
        else if (how === "destroyed") await request(cookie, (session) => session.destroy());
        else now += 31 * 24 * 60 * minute;
        assert.equal(await sessions.commit(elevating), null);
        assert.equal((await sessions.forUser("42").list()).length, 0);
      });
    }

    test("R58: the same user logs in again after the elevated session ended → the level of the new login only", async () => {
      const cookie = cookieOf(await request(await login(), (session) => session.elevate({ level: "aal2" })));
      const again = await sessions.load(cookie);
      again.login("42");
      await sessions.forUser("42").revokeAll();
      const session = await sessions.load(cookieOf(await sessions.commit(again)));
      assert.deepEqual([session.user, session.level], ["42", undefined]);

      now += minute;
      const better = await sessions.load(cookieOf(await request(null, (one) => one.login("42"))));
      better.login("42", { level: "aal3" });
      await sessions.forUser("42").revokeAll();
      assert.equal((await sessions.load(cookieOf(await sessions.commit(better)))).level, "aal3");
    });
  });

  test("R58: elevate with a preset → re-authentication by login is still due at its absolute limit", async () => {
    const by = manager({ preset: "aal3" });
    let cookie = cookieOf(await request(null, (session) => session.login("42"), by));
    const start = now;
    for (let step = 0; step < 51; step++) {
      now += 14 * minute;
      cookie = cookieOf(await request(cookie, (session) => session.elevate({ level: "aal3" }), by));
    }
    now = start + 12 * 60 * minute - 1;
    assert.equal((await by.load(cookie)).isNew, false);
    now += 1;
    assert.equal((await by.load(cookie)).isNew, true, "12 hours after the login");
  });

  test("R58: with the audit trail → an elevation event with its level, in place of a change of id", async () => {
    const by = manager({ audit: true, keys: generateKey() });
    let cookie = cookieOf(await request(null, (session) => session.login("42"), by));
    const previous = (await by.load(cookie)).handle;
    const proof = { level: "aal2", method: "passkey", factors: ["passkey"] };
    cookie = cookieOf(await request(cookie, (session) => session.elevate(proof), by));
    await request(cookie, (session) => session.regenerate(), by);
    const events = [];
    for await (const event of by.audit.list()) if (event.user === "42") events.push(event);
    events.sort((a, b) => a.id.localeCompare(b.id, "en", { numeric: true }));
    assert.deepEqual(
      events.map(({ type }) => type).filter((type) => type !== "session.created" && type !== "session.bound"),
      ["login", "elevation", "session.rotated"],
    );
    const elevation = events.find(({ type }) => type === "elevation")!;
    const { level, method, factors } = elevation;
    assert.deepEqual({ level, method, factors, previous: elevation.previous }, { ...proof, previous });
  });

  test("R58: a clock that was ahead by more than five minutes → not fresh", async () => {
    const cookie = await login();
    now += 60 * minute;
    const elevated = cookieOf(await request(cookie, (session) => session.elevate({ level: "aal2" })));
    now -= 30 * minute;
    assert.equal((await sessions.load(elevated)).isFresh("5 min"), false);
  });

  test("R58: the level and its time are sealed → a row without them is format 1, and no column shows them", async () => {
    const cookie = await login();
    const { format } = recordsOf(sessions as never).settings;
    const [row] = await held.store.scan(null, 10);
    const form = making.isBound ? 0x93 : 0x92; // an array of two, as every release reads; a binding adds a third
    assert.equal(format.open(row!, null)[0], form);
    await request(cookie, (session) => session.elevate({ level: "visible-level" }));
    const [elevated] = await held.store.scan(null, 10);
    assert.deepEqual([...format.open(elevated!, null).subarray(0, 2)], [0x93, making.isBound ? 4 : 2]);
    assert.equal(Buffer.from(elevated!.data).includes("visible-level"), false);
  });
}

test("elevate: misuse → a TypeError that says what to do", async () => {
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey() });
  const session = await sessions.load(null);
  assert.throws(() => session.elevate({ level: "aal2" }), /anonymous.*session\.login/s);
  session.login("42");
  assert.throws(() => session.elevate({ level: "" }), TypeError);
  assert.throws(() => session.login("42", { level: "x".repeat(65) }), TypeError);
  assert.throws(() => session.elevate({ method: 7 as never }), TypeError);
  assert.throws(() => session.isFresh("soon" as never), /duration/);
  session.destroy();
  assert.throws(() => session.elevate({ level: "aal2" }), /anonymous/);
});

test("elevate: Rails mode → a TypeError; a login with a level works and keeps none", async () => {
  const format = railsFormat({
    primaryKey: "EGY8WhulUOXixybod7ZWwMIL68R9o5kC",
    keyDerivationSalt: "xEY0dt6TZcAMg52K7O84wYzkjvbA62Hz",
    hashDigestClass: "SHA256",
    userOf: (data) => data["user_id"] as string | undefined,
  });
  const sessions = createSessionManager<Data>({ store: memoryStore(), format });
  const session = await sessions.load(null);
  session.data["user_id"] = "42";
  session.login("42", { level: "aal2" });
  assert.equal(session.level, undefined);
  assert.throws(() => session.elevate({ level: "aal2" }), /Rails mode/);
  assert.throws(() => session.isFresh("5 min"), /Rails mode/);
});
