import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { afterEach, beforeEach, test } from "vitest";
import type { AuditEvent } from "../../src/audit/events.ts";
import { generateKey } from "../../src/index.ts";
import { challengeIn, SoftwareDevice } from "../../src/testing/software-device.ts";
import { eachStore, type TestStore } from "../session/stores.ts";
import { Browser, deviceCookie, minute, sessionCookie, world as worldOver } from "./world.ts";

eachStore((_name, create) => {
  let held: TestStore;
  beforeEach(async () => void (held = await create()));
  afterEach(async () => held.drop());

  const world = (options?: Parameters<typeof worldOver>[0]) => worldOver(options, held.store);

  test("device binding: login → offered, bound, used, refreshed, and a stolen cookie opens nothing (R60)", async () => {
    const { browser, time, refusals, events, sessions } = world();
    const owner = browser();
    await owner.bind();
    assert.deepEqual(events, ["offered", "bound"]);
    assert.equal((await owner.load()).deviceBound, true);
    time.now += 11_000;
    const thief = owner.thief(sessionCookie);
    assert.equal(await thief.user(), undefined);
    assert.equal(await owner.user(), "42");
    assert.deepEqual(refusals, ["device_cookie_missing"]);

    time.now += 12 * minute;
    assert.equal(await owner.user(), undefined, "the device cookie has expired");
    assert.equal((await owner.refresh()).status, 200);
    assert.equal(await owner.user(), "42");
    assert.deepEqual(events, ["offered", "bound", "refreshed"]);
    assert.deepEqual(refusals, ["device_cookie_missing", "device_cookie_expired"]);
    const [info] = await sessions.forUser("42").list();
    assert.equal(info!.deviceBound, true);
    assert.equal(info!.client, null);
  });

  test("device binding: the instructions for the browser → session, cookie and scope", async () => {
    const { browser } = world();
    const owner = browser();
    const answer = await owner.register(owner.device.registration(await owner.login()));
    assert.equal(answer.status, 200);
    const { session_identifier, ...rest } = JSON.parse(answer.body);
    assert.match(session_identifier, /^[\w-]{22}$/);
    assert.deepEqual(rest, {
      refresh_url: "/.well-known/stored-session",
      scope: { include_site: false, scope_specification: [] },
      credentials: [
        { type: "cookie", name: deviceCookie, attributes: "Path=/; HttpOnly; Secure; SameSite=Lax" },
      ],
    });
    assert.match(
      answer.headers["set-cookie"]!,
      /^__Host-session-device=[\w-]{40}; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    );
    assert.equal(answer.headers["cache-control"], "no-store");
  });

  test("device binding: requests under way while the device was bound → still served", async () => {
    const { browser, time } = world();
    const owner = browser();
    await owner.login();
    const before = owner.thief();
    await owner.register(owner.device.registration(await owner.login()));
    const underWay = owner.thief(sessionCookie);
    time.now += 9_999;
    assert.equal(await underWay.user(), "42");
    time.now += 1;
    assert.equal(await underWay.user(), undefined);
    assert.equal(await before.user(), undefined);
  });

  test("device binding: the clock is set back after the registration → a stolen cookie opens nothing (R20, R60)", async () => {
    const { browser, time } = world();
    const owner = browser();
    await owner.login();
    time.now += 120 * minute;
    const headers = await owner.request((session) => session.elevate({ level: "aal2" }));
    const challenge = challengeIn(headers.get("secure-session-registration"));
    await owner.register(owner.device.registration(challenge));
    time.now -= 9_999;
    assert.equal(await owner.thief(sessionCookie).user(), "42", "as are requests that were under way");
    time.now -= 60 * minute;
    assert.equal(await owner.thief(sessionCookie).user(), undefined);
    assert.equal(await owner.user(), "42");
  });

  test("device binding: a login that is not bound, and an anonymous session → as without the option, statement by statement", async () => {
    const calls = async (deviceBinding: { mode: "offer" } | undefined) => {
      const { browser, time, watched } = world({ deviceBinding } as never);
      const visitor = browser();
      await visitor.request((session) => void (session.data["cart"] = 1));
      await visitor.request((session) => session.login("42"));
      time.now += 60 * minute;
      await visitor.request((session) => void (session.data["cart"] = 2));
      await visitor.request((session) => session.user);
      await visitor.request((session) => session.regenerate());
      assert.deepEqual((await visitor.load()).data, { cart: 2 });
      await visitor.request((session) => session.destroy());
      return watched.calls;
    };
    assert.deepEqual(await calls({ mode: "offer" }), await calls(undefined));
  });

  test("device binding: a bound session → no statement more than an unbound one", async () => {
    const { browser, time, watched } = world();
    const visit = async (owner: Browser) => {
      time.now += 11_000;
      watched.calls.length = 0;
      await owner.request((session) => session.user);
      await owner.request((session) => void (session.data["n"] = time.now));
      return [...watched.calls];
    };
    const unbound = browser();
    await unbound.login();
    const bound = browser();
    await bound.bind();
    const expected = await visit(unbound);
    assert.deepEqual(await visit(bound), expected);
    assert.deepEqual(expected, ["read", "read", "update"]);
  });

  test("device binding: a stolen cookie → the row, its times and the owner's cookie stay as they are", async () => {
    const { browser, time, watched } = world();
    const owner = browser();
    await owner.bind();
    time.now += 5 * minute;
    watched.calls.length = 0;
    const thief = owner.thief(sessionCookie);
    const headers = await thief.request((session) => {
      assert.deepEqual(session.data, {});
      assert.equal(session.isNew, true);
    });
    assert.deepEqual([...headers], []);
    await thief.request((session) => session.destroy());
    assert.equal(thief.jar.has(sessionCookie), false, "a logout clears the cookie of the browser that asks");
    assert.deepEqual(watched.calls, ["read", "read"]);
    assert.equal(await owner.user(), "42");
  });

  test("device binding: an expired device cookie → the response deletes it, so that the browser refreshes", async () => {
    const { browser, time } = world();
    const owner = browser();
    await owner.bind();
    time.now += 12 * minute;
    await owner.request((session) => session.user);
    assert.equal(owner.jar.has(deviceCookie), false);
    assert.equal(owner.jar.has(sessionCookie), true);
    assert.equal((await owner.refresh()).status, 200);
    assert.equal(await owner.user(), "42");
  });

  test("device binding: regenerate and elevate → bound as before, with the same device cookie", async () => {
    const { browser, time, sessions, events } = world();
    const owner = browser();
    await owner.bind();
    time.now += minute;
    const old = owner.thief();
    await owner.request((session) => session.regenerate());
    await owner.request((session) => session.elevate({ level: "aal2" }));
    assert.deepEqual(events, ["offered", "bound"], "nothing is offered again");
    const session = await owner.load();
    assert.deepEqual([session.user, session.level, session.deviceBound], ["42", "aal2", true]);
    assert.equal(await old.user(), undefined);
    assert.deepEqual(
      (await sessions.forUser("42").list()).map(({ deviceBound }) => deviceBound),
      [true],
    );
    time.now += 10 * minute;
    assert.equal((await owner.refresh()).status, 200);
    assert.equal(await owner.user(), "42");
  });

  test("device binding: elevate of an unbound session → offered again", async () => {
    const { browser, events } = world();
    const owner = browser();
    await owner.login();
    const headers = await owner.request((session) => session.elevate({ level: "aal2" }));
    assert.match(
      headers.get("secure-session-registration")!,
      /^\(ES256 RS256\);path="\/\.well-known\/stored-session";challenge="[\w-]{40}"$/,
    );
    const regenerated = await owner.request((session) => session.regenerate());
    assert.equal(regenerated.size, 0, "a thief could cause a mere change of id");
    assert.deepEqual(events, ["offered", "offered"]);
  });

  test("device binding: another login → unbound, offered again, and the old binding ends", async () => {
    const { browser, time, sessions } = world();
    const owner = browser();
    await owner.bind();
    const former = owner.id;
    time.now += minute;
    await owner.login("43");
    assert.equal((await owner.load()).deviceBound, false);
    const ended = await owner.ask();
    assert.deepEqual(JSON.parse(ended.body), { session_identifier: former, continue: false });
    await owner.bind("43");
    assert.notEqual(owner.id, former);
    assert.deepEqual(
      (await sessions.forUser("43").list()).map(({ deviceBound }) => deviceBound),
      [true],
    );
  });

  test("device binding: logout → both cookies cleared, and the browser is told to end the binding", async () => {
    const { browser } = world();
    const owner = browser();
    await owner.bind();
    await owner.request((session) => session.destroy());
    assert.deepEqual([...owner.jar], []);
    const answer = await owner.ask();
    assert.deepEqual(
      [answer.status, JSON.parse(answer.body)],
      [200, { session_identifier: owner.id, continue: false }],
    );
  });

  test("device binding: a revoked or expired session → the browser signs once more, and ends the binding", async () => {
    for (const end of ["revoke", "expire"] as const) {
      const { browser, time, sessions } = world();
      const owner = browser();
      await owner.bind();
      if (end === "revoke") await sessions.forUser("42").revokeAll();
      else time.now += 31 * 86_400_000;
      const answer = await owner.refresh();
      assert.deepEqual(JSON.parse(answer.body), { session_identifier: owner.id, continue: false }, end);
      assert.equal(await owner.user(), undefined);
    }
  });

  test("device binding: the id changes while the browser refreshes → it signs again, with the new cookie", async () => {
    const { browser } = world();
    const owner = browser();
    await owner.bind();
    const late = owner.thief();
    late.id = owner.id;
    await owner.request((session) => session.regenerate());
    assert.equal((await late.ask()).status, 403, "not the end of the binding");
    assert.equal((await owner.refresh()).status, 200);
  });

  test("device binding: asleep for a day, then several tabs refresh at once → one wins, the others sign again", async () => {
    const { browser, time, refusals } = world();
    const owner = browser();
    await owner.bind();
    time.now += 86_400_000;
    const challenges = await Promise.all(Array.from({ length: 4 }, () => owner.challenge()));
    const answers = await Promise.all(
      challenges.map((challenge) => owner.prove(owner.device.proof(challenge))),
    );
    const statuses = answers.map(({ status }) => status).toSorted();
    assert.deepEqual(statuses, [200, 403, 403, 403]);
    assert.deepEqual([...new Set(refusals)], ["device_challenge_used"]);
    assert.equal((await owner.refresh()).status, 200);
    assert.equal(await owner.user(), "42");
  });

  test("device binding: a server restarts, with a newer key in front → nobody is logged out (promise 9)", async () => {
    const { browser, manage, keys, time } = world();
    const owner = browser();
    await owner.bind();
    const challenge = await owner.challenge();
    time.now += minute;
    owner.sessions = manage({ keys: [generateKey(), keys] });
    assert.equal(await owner.user(), "42");
    assert.equal((await owner.prove(owner.device.proof(challenge))).status, 200, "a challenge of before");
    assert.equal(await owner.user(), "42");
    await owner.request((session) => void (session.data["n"] = 1));
    time.now += 12 * minute;
    await owner.refresh();
    assert.equal(await owner.user(), "42");
  });

  test("device binding: servers whose clocks differ by a minute → cookies and challenges count on each", async () => {
    for (const skew of [-minute + 1, minute - 1]) {
      const { browser, manage, time } = world();
      const other = manage({ clock: () => time.now + skew });
      const owner = browser();
      const registration = owner.device.registration(await owner.login());
      owner.sessions = other;
      const registered = await owner.register(registration);
      assert.equal(registered.status, 200, `registered, ${skew}`);
      owner.id = JSON.parse(registered.body).session_identifier as string;
      owner.sessions = manage();
      time.now += 10 * minute - 1_000;
      assert.equal(await owner.user(), "42", `in its last second, ${skew}`);
      const challenge = await owner.challenge();
      owner.sessions = other;
      assert.equal((await owner.prove(owner.device.proof(challenge))).status, 200, `refreshed, ${skew}`);
      owner.sessions = manage();
      assert.equal(await owner.user(), "42", `refreshed elsewhere, ${skew}`);
    }
  });

  test("device binding: mode require, no browser binds the login → ended after the grace period, and the hook says why (R62)", async () => {
    const seen: unknown[] = [];
    const { browser, time, sessions, refusals, events } = world({
      deviceBinding: {
        mode: "require",
        gracePeriod: "2 min",
        async onUnbound({ session, user, handle, loggedInAt }) {
          seen.push([user, handle, loggedInAt.getTime()]);
          session.flash("notice", "Use a browser that can bind your login to this device.");
        },
      },
    });
    const owner = browser();
    const began = time.now;
    await owner.login();
    const { handle } = await owner.load();
    time.now += 2 * minute - 1;
    assert.equal(await owner.user(), "42");
    time.now += 1;
    const parallel = owner.thief();
    const notices: unknown[] = [];
    await owner.request((session) => notices.push(session.user, session.takeFlash("notice")));
    await parallel.request((session) => notices.push(session.user, session.takeFlash("notice")));
    assert.deepEqual(notices, [
      undefined,
      "Use a browser that can bind your login to this device.",
      undefined,
      undefined,
    ]);
    assert.deepEqual(seen, [["42", handle, began]]);
    assert.deepEqual(refusals, ["device_required"]);
    assert.deepEqual(events, ["offered", "ended"]);
    assert.deepEqual(await sessions.forUser("42").list(), []);
  });

  test("device binding: mode require, bound in time → as in mode offer; anonymous visitors are not asked", async () => {
    const { browser, time } = world({ deviceBinding: { mode: "require" } });
    const owner = browser();
    await owner.bind();
    time.now += 5 * minute;
    assert.equal(await owner.user(), "42");
    const visitor = browser();
    await visitor.request((session) => void (session.data["cart"] = 1));
    time.now += 5 * minute;
    assert.deepEqual((await visitor.load()).data, { cart: 1 });
  });

  test("device binding: the option is turned off → bound sessions are served, and stay bound for when it is back", async () => {
    const { browser, manage, time } = world();
    const owner = browser();
    await owner.bind();
    time.now += 5 * minute;
    const thief = owner.thief(sessionCookie);
    thief.sessions = manage({ deviceBinding: undefined } as never);
    await thief.request((session) => void (session.data["n"] = 1));
    assert.equal((await thief.load()).deviceBound, true);
    thief.sessions = owner.sessions;
    assert.equal(await thief.user(), undefined);
    assert.deepEqual((await owner.load()).data, { n: 1 });
  });

  test("device binding: saves of the application while the device is refreshed → both are kept (promise 2)", async () => {
    const { browser, watched, time } = world();
    const owner = browser();
    await owner.bind();
    time.now += minute;
    const session = await owner.load();
    session.data["n"] = 1;
    assert.equal((await owner.refresh()).status, 200);
    await owner.sessions.commit(session);
    assert.deepEqual((await owner.load()).data, { n: 1 });
    const challenge = await owner.challenge();
    const holding = watched.holdWrites();
    const saving = owner.request((later) => void (later.data["m"] = 2));
    await holding.arrived;
    const refreshing = owner.prove(owner.device.proof(challenge)); // over a row that the save changes
    await new Promise((resolve) => setImmediate(resolve));
    holding.release();
    await saving;
    assert.equal((await refreshing).status, 200);
    assert.deepEqual((await owner.load()).data, { n: 1, m: 2 });
    assert.equal((await owner.prove(owner.device.proof(challenge))).status, 403, "the proof counted once");
  });

  test("device binding: sealed to the cookie, and without address and user agent → bound, and lists show it", async () => {
    for (const options of [{ sealTo: "cookie" }, { client: false }] as const) {
      const { browser, time, sessions } = world(options);
      const owner = browser();
      await owner.bind();
      time.now += minute;
      await owner.request((session) => void (session.data["n"] = 1));
      await owner.request((session) => session.regenerate());
      assert.equal(await owner.user(), "42");
      assert.equal(await owner.thief(sessionCookie).user(), undefined);
      const [info] = await sessions.forUser("42").list();
      assert.deepEqual([info!.deviceBound, info!.client], [true, null]);
    }
  });

  for (const mode of ["strict", "lax"] as const) {
    test(`device binding: the audit trail in ${mode} mode → one event for each binding, and the reasons of refusals with their counts`, async () => {
      const { browser, time, sessions } = world({ audit: { mode } });
      const owner = browser();
      const registration = owner.device.registration(await owner.login());
      const answers = await Promise.all(Array.from({ length: 4 }, () => owner.register(registration)));
      assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 409, 409, 409]);
      owner.id = JSON.parse(answers.find(({ status }) => status === 200)!.body).session_identifier as string;
      const rsa = new Browser(sessions, new SoftwareDevice("RS256"));
      await rsa.bind("43");
      time.now += 11_000;
      for (let n = 0; n < 3; n++) await owner.thief(sessionCookie).user();
      await owner.prove(new SoftwareDevice().proof(await owner.challenge()));
      await owner.prove("x");
      await owner.refresh();
      await owner.request((session) => session.regenerate());
      await owner.request((session) => session.destroy());
      await sessions.audit.checkpoint(); // writes the counts of refusals

      const events: AuditEvent[] = [];
      do {
        events.length = 0;
        // Not those of another test, under other keys.
        for await (const event of sessions.audit.list()) if (event.unreadable === null) events.push(event);
        // In lax mode, events are written in order, some time after their change.
      } while (!events.some(({ type }) => type === "logout"));
      const of = (type: string) => events.filter((event) => event.type === type);
      assert.deepEqual(
        of("session.bound").map(({ user, details }) => [user, details]),
        [
          ["42", { thumbprint: thumbprintOf(owner.device), binding: owner.id }],
          ["43", { thumbprint: thumbprintOf(rsa.device), binding: rsa.id }],
        ],
      );
      assert.deepEqual(Object.fromEntries(of("refusal").map(({ reason, count }) => [reason, count])), {
        device_already_bound: 3,
        device_cookie_missing: 3,
        device_proof_signature: 1,
        device_proof_malformed: 1,
      });
      const [bound] = of("session.bound");
      const [rotated] = of("session.rotated");
      assert.equal(rotated!.previous, bound!.session, "the binding goes on under the new id");
      assert.equal(of("logout")[0]!.session, rotated!.session, "and ends with the session");
    });
  }

  test("device binding: an RSA key → bound and refreshed", async () => {
    const { sessions, time } = world();
    const owner = new Browser(sessions, new SoftwareDevice("RS256"));
    await owner.bind();
    time.now += 11 * minute;
    assert.equal((await owner.refresh()).status, 200);
    assert.equal(await owner.user(), "42");
  });
});

/** RFC 7638 */
function thumbprintOf({ jwk: { crv, e, kty, n, x, y } }: SoftwareDevice): string {
  const members = kty === "EC" ? { crv, kty, x, y } : { e, kty, n };
  return createHash("sha256").update(JSON.stringify(members)).digest("base64url");
}
