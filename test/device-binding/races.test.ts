/** Requests that overtake each other: new ids, logins and registrations between two steps of the browser. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
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
});
