/** Requests that overtake each other: new ids, logins and registrations between two steps of the browser. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import type { SessionStore } from "../../src/store/contract.ts";
import { challengeIn } from "../../src/testing/software-device.ts";
import { eachStore, type TestStore } from "../session/stores.ts";
import { minute, world as worldOver } from "./world.ts";

eachStore((_name, create) => {
  let held: TestStore;
  beforeEach(async () => void (held = await create()));
  afterEach(async () => held.drop());

  const world = (options?: Parameters<typeof worldOver>[0]) => worldOver(options, held.store);

  for (const change of ["regenerate", "elevate"] as const) {
    test(`device binding: ${change} between the challenge and its proof → the browser signs again, and the owner stays logged in`, async () => {
      const { browser, time, refusals } = world();
      const owner = browser();
      await owner.bind();
      time.now += 9 * minute;
      const late = Object.assign(owner.thief(), { id: owner.id });
      const challenge = await late.challenge();
      await owner.request((session) =>
        change === "regenerate" ? session.regenerate() : session.elevate({ level: "aal2" }),
      );
      // The browser sent the proof with the old cookie, and has the new one when it signs again.
      let answer = await late.prove(owner.device.proof(challenge));
      for (let signed = 0; answer.status === 403 && signed < 3; signed++) {
        const next = challengeIn(answer.headers["secure-session-challenge"]);
        answer = await owner.prove(owner.device.proof(next));
      }
      assert.equal(answer.status, 200);
      assert.equal("continue" in JSON.parse(answer.body), false, "the binding goes on");
      time.now += 3 * minute;
      assert.equal(await owner.user(), "42");
      assert.deepEqual([...new Set(refusals)], ["device_challenge_invalid"]);
    });
  }

  test("device binding: regenerate while the proof is written → the browser signs again, and the owner stays logged in", async () => {
    const { browser, time, watched, manage } = world();
    const owner = browser();
    await owner.bind();
    time.now += 9 * minute;
    const late = Object.assign(owner.thief(), { id: owner.id });
    const challenge = await late.challenge();
    const holding = watched.holdWrites();
    const proving = late.prove(owner.device.proof(challenge));
    await holding.arrived;
    owner.sessions = manage({ store: held.store }); // another process, whose writes are not held
    await owner.request((session) => session.regenerate());
    holding.release();
    const answer = await proving;
    assert.equal(answer.status, 403);
    const next = challengeIn(answer.headers["secure-session-challenge"]);
    assert.equal((await owner.prove(owner.device.proof(next))).status, 403, "signs no binding");
    assert.equal((await owner.refresh()).status, 200);
    time.now += 3 * minute;
    assert.equal(await owner.user(), "42");
  });

  test("device binding: a proof of a session that has ended → one more challenge, and then the end of the binding", async () => {
    const { browser, sessions, refusals } = world();
    const owner = browser();
    await owner.bind();
    const challenge = await owner.challenge();
    await sessions.forUser("42").revokeAll();
    const again = await owner.prove(owner.device.proof(challenge));
    assert.equal(again.status, 403);
    const ended = await owner.prove(
      owner.device.proof(challengeIn(again.headers["secure-session-challenge"])),
    );
    assert.deepEqual(
      [ended.status, JSON.parse(ended.body)],
      [200, { session_identifier: owner.id, continue: false }],
    );
    assert.deepEqual(refusals, ["device_session_unknown"]);
  });

  for (const when of ["has loaded the session", "writes"] as const) {
    test(`device binding: a registration while another login of the same user ${when} → that login is not bound, and is offered`, async () => {
      const { browser, watched, manage, sessions, events } = world();
      const owner = browser();
      const registration = owner.device.registration(await owner.login());
      const other = Object.assign(owner.thief(), { sessions: manage({ store: held.store }) });
      const register = async () => assert.equal((await other.register(registration)).status, 200);
      const holding = watched.hold(["replace"]);
      const loggingIn = owner.request(async (session) => {
        session.login("42");
        session.data["n"] = 1;
        if (when === "has loaded the session") await register();
      });
      await holding.arrived;
      if (when === "writes") await register();
      holding.release();
      const headers = await loggingIn;
      const session = await owner.load();
      assert.deepEqual([session.user, session.deviceBound, session.data], ["42", false, { n: 1 }]);
      assert.deepEqual(
        (await sessions.forUser("42").list()).map(({ deviceBound }) => deviceBound),
        [false],
      );
      const challenge = challengeIn(headers.get("secure-session-registration"));
      assert.equal((await owner.register(owner.device.registration(challenge))).status, 200);
      assert.deepEqual(events, ["offered", "bound", "offered", "bound"]);
    });
  }

  test("device binding: a registration while another request elevates → the binding is kept", async () => {
    const { browser, sessions, time } = world();
    const owner = browser();
    const registration = owner.device.registration(await owner.login());
    await owner.request(async (session) => {
      session.elevate({ level: "aal2" });
      assert.equal((await owner.thief().register(registration)).status, 200);
    });
    assert.equal((await owner.load()).deviceBound, true);
    time.now += minute;
    assert.equal(await owner.user(), undefined, "the device cookie went to the other request");
    assert.deepEqual(
      (await sessions.forUser("42").list()).map(({ deviceBound }) => deviceBound),
      [true],
    );
  });

  test("device binding: mode require, the id changes before the registration arrives → bound all the same, and nothing is offered again (R62)", async () => {
    const { browser, time, events } = world({ deviceBinding: { mode: "require" } });
    const owner = browser();
    const registration = owner.device.registration(await owner.login());
    const headers = await owner.request((session) => session.regenerate());
    assert.equal(headers.size, 0, "a thief who changes the id gets no challenge");
    assert.equal((await owner.register(registration)).status, 200);
    assert.equal((await owner.register(registration)).status, 409, "bound once");
    time.now += minute;
    assert.equal(await owner.user(), "42");
    assert.deepEqual(events, ["offered", "bound"]);
  });

  test("device binding: a challenge of another user, or of an earlier login → binds nothing (R61)", async () => {
    const { browser, time, refusals } = world();
    const [owner, other] = [browser(), browser()];
    const challenge = await owner.login("42");
    await other.login("43");
    assert.equal((await other.register(other.device.registration(challenge))).status, 400);
    time.now += 1;
    await owner.login("42");
    assert.equal((await owner.register(owner.device.registration(challenge))).status, 400);
    assert.deepEqual(refusals, ["device_challenge_invalid", "device_challenge_invalid"]);
  });

  test("device binding: the answer to a registration or refresh is lost → a new login, or another refresh", async () => {
    const { browser, time, refusals } = world();
    const owner = browser();
    const registration = owner.device.registration(await owner.login());
    assert.equal((await owner.thief().register(registration)).status, 200);
    time.now += 9_999;
    assert.equal(await owner.user(), "42");
    time.now += 1;
    assert.equal(await owner.user(), undefined);
    assert.deepEqual(refusals, ["device_cookie_missing"]);
    await owner.bind();
    const late = Object.assign(owner.thief(), { id: owner.id });
    assert.equal((await late.prove(owner.device.proof(await owner.challenge()))).status, 200);
    time.now += 12 * minute;
    assert.equal((await owner.refresh()).status, 200);
    assert.equal(await owner.user(), "42");
  });

  test("device binding: a registration with the cookie of before the id changed → refused, and the session stays unbound", async () => {
    const { browser } = world();
    const owner = browser();
    const registration = owner.device.registration(await owner.login());
    const late = owner.thief();
    await owner.request((session) => session.regenerate());
    const answer = await late.register(registration);
    assert.deepEqual([answer.status, JSON.parse(answer.body)], [401, { error: "device_session_unknown" }]);
    assert.deepEqual([await owner.user(), (await owner.load()).deviceBound], ["42", false]);
  });

  for (const audit of [undefined, "strict", "lax"] as const) {
    const options = {
      deviceBinding: { mode: "require" },
      ...(audit && { audit: { mode: audit } }),
    } as const;
    const name = audit === undefined ? "no audit trail" : `an audit trail in ${audit} mode`;

    test(`device binding: mode require, the registration arrives while the login is ended, ${name} → the bound session stays (R62)`, async () => {
      const transactions = new HeldTransactions(held.store);
      const { browser, time, watched, manage, events } = worldOver(options, transactions.store);
      const owner = browser();
      const registration = owner.device.registration(await owner.login());
      time.now += minute;
      const before = owner.thief();
      const holding = audit === "strict" ? transactions.hold() : watched.holdWrites();
      const ending = before.load();
      await holding.arrived;
      owner.sessions = manage({ store: held.store }); // another process, whose writes are not held
      assert.equal((await owner.register(registration)).status, 200);
      holding.release();
      assert.equal((await ending).user, "42", "served, as every request under way");
      assert.equal(await owner.user(), "42");
      time.now += minute;
      assert.equal(await owner.user(), "42");
      assert.deepEqual(events, ["offered", "bound"]);
    });

    test(`device binding: mode require, a save while the login is ended, ${name} → the login ends, once (R62)`, async () => {
      const transactions = new HeldTransactions(held.store);
      const { browser, time, watched, manage, sessions, events, refusals } = worldOver(
        options,
        transactions.store,
      );
      const owner = browser();
      await owner.login();
      const other = Object.assign(owner.thief(), { sessions: manage({ store: held.store }) });
      const saving = await other.load();
      saving.data["n"] = 1;
      time.now += minute;
      const holding = audit === "strict" ? transactions.hold() : watched.holdWrites();
      const ending = owner.load();
      await holding.arrived;
      await other.sessions.commit(saving);
      holding.release();
      assert.equal((await ending).user, undefined);
      assert.equal(await other.user(), undefined);
      assert.deepEqual(await sessions.forUser("42").list(), []);
      assert.deepEqual([events, refusals], [["offered", "ended"], ["device_required"]]);
    });
  }

  test("device binding: mode require, the database fails after the login was ended → it stays ended", async () => {
    const { browser, time, watched, refusals } = world({ deviceBinding: { mode: "require" } });
    const owner = browser();
    const registration = owner.device.registration(await owner.login());
    time.now += minute;
    const holding = watched.hold(["delete"]);
    const ending = owner.thief().load();
    await holding.arrived;
    watched.down("writes");
    holding.release();
    assert.equal((await ending).user, undefined);
    watched.up();
    assert.equal((await owner.register(registration)).status, 401, "no session any more");
    const session = await owner.load();
    assert.deepEqual([session.user, session.isNew], [undefined, true]);
    assert.deepEqual(refusals, ["device_required", "device_session_unknown"]);
  });
});

/** A store whose transactions with the audit trail can be made to wait. */
class HeldTransactions {
  readonly store: SessionStore;
  #held: { arrived: () => void; released: Promise<void> } | null = null;

  constructor(below: SessionStore) {
    const audit = new Proxy(below.audit!, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        return async (...args: unknown[]) => {
          if (name === "commit") this.#held?.arrived();
          if (name === "commit") await this.#held?.released;
          return method.apply(target, args);
        };
      },
    });
    this.store = new Proxy(below, {
      get(target, name) {
        if (name === "audit") return audit;
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  }

  hold(): { arrived: Promise<void>; release: () => void } {
    const arrived = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    this.#held = { arrived: arrived.resolve, released: released.promise };
    return { arrived: arrived.promise, release: released.resolve };
  }
}
