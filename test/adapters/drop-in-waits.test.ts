/** How long a drop-in store's save may take, by a clock that the test moves. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test, vi } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { ConflictError, memoryStore } from "../../src/index.ts";
import { around, testKeys } from "../session/doubles.ts";

const storeTimeout = 1_000;
const cookie = { originalMaxAge: 86_400_000, expires: new Date(Date.now() + 86_400_000) };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

test("promise 10: the database stops responding → saves of one session do not queue behind each other", async () => {
  let silent = false;
  const store = new StoredSessionStore({
    store: around(memoryStore(), (operation, call) =>
      silent && operation === "read" ? new Promise(() => {}) : call(),
    ),
    keys: testKeys,
    storeTimeout,
  });
  await store.set("id", { cookie });
  const requests = await Promise.all(Array.from({ length: 24 }, () => store.get("id")));
  const winner = await store.get("id");
  winner.winner = true;
  await store.set("id", winner);
  silent = true;
  let failed = 0;
  for (const [index, session] of requests.entries()) {
    session[`key ${index}`] = true;
    store.set("id", session, () => failed++);
  }
  // One limit to wait for the turn, one for the answer.
  await vi.advanceTimersByTimeAsync(2 * storeTimeout + 50);
  await new Promise(setImmediate);
  assert.equal(failed, 24);
});

test("promise 10: a save that keeps conflicting → times out", async () => {
  let updates = 0;
  const store = new StoredSessionStore({
    store: around(memoryStore(), async (operation, call) => {
      if (operation !== "update") return call();
      updates++;
      await vi.advanceTimersByTimeAsync(0.4 * storeTimeout);
      return [false];
    }),
    keys: testKeys,
    storeTimeout,
  });
  await store.set("id", { cookie });
  const session = await store.get("id");
  session.more = true;
  await assert.rejects(store.set("id", session), ConflictError);
  assert.equal(updates, 1 + 3, "0.4, 0.8 and 1.2 of the limit");
  updates = 0;
  await assert.rejects(store.set("id", { cookie, begun: "anew" }), ConflictError);
  assert.equal(updates, 3);
});
