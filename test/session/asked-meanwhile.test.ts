/** What the application asks for while a commit waits, where doing it as a step of its own would do too much (decisions/0019). */
import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { createSessionManager, memoryStore, StoreUnavailableError, type Session } from "../../src/index.ts";
import { mergeContent } from "../../src/session/merge.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { around, cookieOf, testKeys } from "./doubles.ts";

type Data = Record<string, any>;

/** A stored session, seen by a manager whose writes pass through `wrap`. */
async function stored(
  wrap: (operation: string, call: () => Promise<unknown>) => Promise<unknown>,
  options = {},
) {
  const store = memoryStore();
  const plain = createSessionManager<Data>({ store, keys: testKeys, ...options });
  const session = await plain.load(null);
  session.data["a"] = 1;
  const cookie = cookieOf(await plain.commit(session));
  const sessions = createSessionManager<Data>({ store: around(store, wrap), keys: testKeys, ...options });
  return { plain, sessions, cookie, session: await sessions.load(cookie) };
}

describe.each(["answered", "lost"])("promise 3, R44: a new id behind a login that was %s", (fate) => {
  test("it is no second login → a session that was revoked meanwhile stays ended", async () => {
    let session!: Session<Data>;
    let replaced = 0;
    const held = await stored(async (operation, call) => {
      if (operation !== "replace") return call();
      if (++replaced === 2) assert.equal(await held.plain.forUser("7").revokeAll(), 1);
      const answer = await call();
      if (replaced === 1 && fate === "answered") session.regenerate();
      if (replaced === 1 && fate === "lost") throw new StoreUnavailableError("Lost.", { outcome: "unknown" });
      return answer;
    });
    ({ session } = held);
    session.login("7");
    let setCookie = await held.sessions.commit(session).catch((error: unknown) => {
      assert.equal((error as StoreUnavailableError).outcome, "unknown");
      return null;
    });
    if (fate === "lost") {
      session.regenerate();
      setCookie = await held.sessions.commit(session);
    }
    assert.equal(replaced, 2);
    assert.equal(setCookie, null);
    assert.deepEqual(await held.plain.forUser("7").list(), []);
  });
});

test.each(["schema", "userOf"])(
  "R43: %s requests a new id each time → a TypeError, and the session that was to end has ended",
  async (hook) => {
    let session: Session<Data> | null = null;
    const ask = () => session?.regenerate();
    const options =
      hook === "userOf"
        ? { userOf: () => void ask() }
        : {
            schema: {
              "~standard": { version: 1, vendor: "test", validate: (value: unknown) => (ask(), { value }) },
            },
          };
    const held = await stored((_operation, call) => call(), options);
    ({ session } = held);
    session!.data["a"] = 2;
    await expect(held.sessions.commit(session!)).rejects.toThrow(
      /Do not call these methods in hooks such as `schema` and `userOf`/,
    );
    session = null;
    assert.equal((await held.plain.load(held.cookie)).isNew, true);
  },
);

test("R43: onConflict throws after a login was requested meanwhile → the old id is not valid", async () => {
  let session!: Session<Data>;
  let asked = false;
  const onConflict = () => {
    throw new RangeError("No.");
  };
  const held = await stored(
    async (operation, call) => {
      const answer = await call();
      if (operation === "update" && !asked) {
        asked = true;
        session.login("9");
      }
      return answer;
    },
    { onConflict },
  );
  ({ session } = held);
  session.data["a"] = 2;
  const other = await held.plain.load(held.cookie);
  other.data["a"] = 3;
  await held.plain.commit(other);
  await assert.rejects(held.sessions.commit(session), RangeError);
  assert.equal((await held.plain.load(held.cookie)).isNew, true);
});

test.each([2, 1])(
  "promise 7: a lost save with a rolling cookie is found again → the cookie is sent (a = %i)",
  async (a) => {
    const clock = fakeClock();
    let lose = true;
    const held = await stored(
      async (operation, call) => {
        const answer = await call();
        if (operation === "update" && lose) {
          lose = false;
          throw new StoreUnavailableError("Lost.", { outcome: "unknown" });
        }
        return answer;
      },
      { clock: clock.now, idleTimeout: "1 h", cookie: { rolling: true } },
    );
    clock.advance(50 * 60_000);
    const session = await held.sessions.load(held.cookie);
    session.data["a"] = a;
    await assert.rejects(held.sessions.commit(session), { outcome: "unknown" });
    assert.match((await held.sessions.commit(session)) ?? "", /Max-Age=3600/);
  },
);

test("a merge changes nothing in the flash → it stays the same object", () => {
  const codec = { same: (x: unknown, y: unknown) => x === y };
  const content = (flash: Data) => ({ data: {}, user: undefined, flash });
  const mine = content({ notice: "hi" });
  assert.equal(
    mergeContent(codec, content({ notice: "hi" }), mine, content({ notice: "hi" })).flash,
    mine.flash,
  );
  const theirs = content({ notice: "hi", alert: "no" });
  assert.deepEqual(mergeContent(codec, content({ notice: "hi" }), mine, theirs).flash, theirs.flash);
});
