import assert from "node:assert/strict";
import { describe, test } from "vitest";
import { generateKey, migrate, type SessionManager } from "../../src/index.ts";
import { databases } from "../servers/databases.ts";
import { cookieOf, manage, visit, type Basket } from "./sessions.ts";

const users = 64;
const rotations = 20;

interface Browser {
  cookie: string;
  hits: number;
}

/** One request: half of them change the session, as a browser that takes every Set-Cookie. */
async function request(sessions: SessionManager<Basket>, browser: Browser): Promise<void> {
  const session = await sessions.load(browser.cookie);
  assert.equal(session.isNew, false, "logged out");
  assert.equal(session.data.items!.length, 1 + browser.hits);
  if (Math.random() < 0.5) {
    session.data.items!.push("more");
    browser.hits++;
  }
  const cookie = await sessions.commit(session);
  if (cookie !== null) browser.cookie = cookieOf(cookie);
}

for (const database of databases) {
  describe(database.name, () => {
    test("R27 promise 9: keys are rotated repeatedly under load while rows are resealed → nobody is logged out", async () => {
      await using created = await database.createStore();
      const { store } = created;
      await migrate(store);
      let ring = [generateKey()];
      let sessions = manage(store, ring);
      const browsers: Browser[] = await Promise.all(
        Array.from({ length: users }, async (_, user) => ({
          cookie: await visit(sessions, `${user}`),
          hits: 0,
        })),
      );
      for (let turn = 0; turn < rotations; turn++) {
        // The ring has at most 8 keys, so from the eighth turn on each new key takes the place of the oldest.
        ring = [generateKey(), ...ring].slice(0, 8);
        sessions = manage(store, ring);
        const current = sessions;
        const [result] = await Promise.all([
          current.reseal({ batchSize: 16, maxPerSecond: Infinity }),
          ...browsers.map((browser) => request(current, browser).then(() => request(current, browser))),
        ]);
        assert.equal(result.refused, 0);
      }
      const { live, keys } = await sessions.stats();
      assert.equal(live, users);
      assert.equal(keys[0]!.live, users, "everything is under the newest key");
      const alone = manage(store, ring[0]!);
      for (const browser of browsers) await request(alone, browser);
      assert.equal((await alone.forUser("7").list()).length, 1);
    });
  });
}
