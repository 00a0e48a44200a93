/** Device-bound sessions over managers that share a database and nothing else, as those of several processes do. */
import assert from "node:assert/strict";
import { afterAll, beforeAll, describe, test } from "vitest";
import { answerDevice, type DeviceAnswer } from "../../src/device-binding/endpoint.ts";
import { generateKey, type SessionManager } from "../../src/index.ts";
import { recordsOf } from "../../src/manager.ts";
import { databases, type CreatedStore } from "../servers/databases.ts";
import { deviceCookie, minute, sessionCookie, world, Browser } from "./world.ts";

type Sessions = SessionManager<Record<string, unknown>>;

for (const database of databases) {
  describe(database.name, () => {
    let created: CreatedStore;
    beforeAll(async () => {
      created = await database.createStore();
      await created.store.migrate();
    });
    afterAll(async () => created.drop());

    /** A browser in front of four processes. */
    function processes() {
      const { manage, time, keys, refusals, events } = world({}, created.store);
      const four: Sessions[] = Array.from({ length: 4 }, () => manage({ store: created.another() }));
      return { manage, time, keys, refusals, events, four };
    }

    /** One request of the browser to each process at once. */
    const toEach = (four: Sessions[], browser: Browser, headers: Record<string, string>) =>
      Promise.all(four.map((sessions) => post(sessions, { cookie: browser.cookie, ...headers })));

    const post = (sessions: Sessions, headers: Record<string, string>): Promise<DeviceAnswer> =>
      answerDevice(recordsOf(sessions as never), { method: "POST", header: (name) => headers[name] });

    const statuses = (answers: readonly DeviceAnswer[]) => answers.map(({ status }) => status).toSorted();

    test("device binding: one proof sent to four processes at once → counts once (R61)", async () => {
      const { four, time } = processes();
      for (let round = 0; round < 5; round++) {
        const owner = new Browser(four[0]!);
        const registration = owner.device.registration(await owner.login());
        const registered = await toEach(four, owner, { "secure-session-response": registration });
        assert.deepEqual(statuses(registered), [200, 409, 409, 409]);
        const answer = registered.find(({ status }) => status === 200)!;
        owner.keep(answer.headers["set-cookie"]!);
        owner.id = (JSON.parse(answer.body) as { session_identifier: string }).session_identifier;
        time.now += 20 * minute;
        const proof = owner.device.proof(await owner.challenge());
        const about = { "sec-secure-session-id": owner.id, "secure-session-response": proof };
        const refreshed = await toEach(four, owner, about);
        assert.deepEqual(statuses(refreshed), [200, 403, 403, 403]);
        owner.keep(refreshed.find(({ status }) => status === 200)!.headers["set-cookie"]!);
        for (const sessions of four) {
          owner.sessions = sessions;
          assert.equal(await owner.user(), "42", "the cookie counts in each");
          assert.equal((await owner.prove(proof)).status, 403, "and the proof in none");
          assert.equal(await owner.thief(sessionCookie).user(), undefined);
        }
      }
    });

    test("device binding: several tabs refresh in several processes while others save → all saves are kept, all tabs go on (promise 2)", async () => {
      const { four, time } = processes();
      const owner = new Browser(four[0]!);
      await owner.bind();
      time.now += 20 * minute;
      assert.equal((await owner.refresh()).status, 200);
      const tabs = four.map((sessions) => Object.assign(owner.thief(), { sessions, id: owner.id }));
      const refreshing = tabs.map(async (tab) => {
        let answer = await tab.ask();
        while (answer.status === 403) {
          const challenge = /^"([\w-]+)"/.exec(answer.headers["secure-session-challenge"]!)![1]!;
          answer = await tab.prove(owner.device.proof(challenge));
        }
        return answer.status;
      });
      const saving = four.flatMap((sessions, nth) =>
        [0, 1, 2].map(async (n) => {
          const tab = Object.assign(owner.thief(), { sessions });
          await tab.request((session) => void (session.data[`key${nth}-${n}`] = n));
        }),
      );
      assert.deepEqual(await Promise.all(refreshing), [200, 200, 200, 200]);
      await Promise.all(saving);
      assert.equal(Object.keys((await owner.load()).data).length, 12);
      for (const tab of tabs) assert.equal(await tab.user(), "42");
    });

    test("device binding: another process revokes, logs out or changes the id while a browser refreshes → never restored (promise 3, R38)", async () => {
      for (const end of ["revoke", "destroy", "regenerate", "login"] as const) {
        for (let round = 0; round < 4; round++) {
          const { four, time } = processes();
          const owner = new Browser(four[0]!);
          await owner.bind();
          time.now += minute;
          const proof = owner.device.proof(await owner.challenge());
          const other = Object.assign(owner.thief(), { sessions: four[1]! });
          const old = owner.thief();
          const ending =
            end === "revoke"
              ? four[1]!.forUser("42").revokeAll()
              : other.request((session) => (end === "login" ? session.login("42") : session[end]()));
          const [answer] = await Promise.all([owner.prove(proof), ending]);
          assert.ok([200, 403].includes(answer.status), `${end}: ${answer.status}`);
          for (const sessions of four) {
            old.jar.set(deviceCookie, owner.jar.get(deviceCookie)!);
            old.sessions = sessions;
            assert.equal(await old.user(), undefined, end);
          }
          const isLive = end === "regenerate" || end === "login";
          const list = await four[2]!.forUser("42").list();
          assert.deepEqual(
            list.map(({ deviceBound }) => deviceBound),
            isLive ? [end === "regenerate"] : [],
          );
        }
      }
    });

    test("device binding: keys are rotated process by process, then the old one is retired → the browser refreshes, nobody is logged out (promise 9)", async () => {
      const { manage, time, keys } = processes();
      const newer = generateKey();
      const at = (ring: string[]) => manage({ keys: ring, store: created.another() });
      const [older, both, ahead] = [at([keys]), at([keys, newer]), at([newer, keys])];
      const owner = new Browser(older);
      await owner.bind();
      for (const sessions of [both, ahead, both, ahead]) {
        time.now += 11 * minute;
        owner.sessions = sessions;
        assert.equal((await owner.refresh()).status, 200);
        await owner.request((session) => void (session.data["n"] = time.now));
        for (const other of [both, ahead]) {
          owner.sessions = other;
          assert.equal(await owner.user(), "42");
        }
      }
      owner.sessions = ahead;
      await owner.request((session) => session.data);
      time.now += 11 * minute;
      owner.sessions = at([newer]);
      assert.equal((await owner.refresh()).status, 200);
      assert.equal(await owner.user(), "42");
      assert.equal(await owner.thief(sessionCookie).user(), undefined);
    });
  });
}
