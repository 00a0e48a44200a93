import assert from "node:assert/strict";
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { createSessionManager, generateKey, memoryStore } from "../index.ts";

async function loaded() {
  const sessions = createSessionManager<Record<string, unknown>>({
    store: memoryStore(),
    keys: generateKey(),
  });
  const session = await sessions.load(undefined);
  return { sessions, session, loose: session as unknown as Record<string, any> };
}

/** Code outside of strict mode, such as most CommonJS modules: an assignment that fails there is silent. */
const sloppy = (body: string) => new Function("session", body) as (session: unknown) => unknown;

for (const [habit, message] of Object.entries({
  "session.userId = 7": /`session\.userId` would not be stored: write `session\.data\.userId = …` instead/,
  "session['two words'] = 7": /write `session\.data\["two words"\] = …`/,
  "Object.assign(session, { cart: [] })": /session\.data\.cart/,
  "session.user = { id: 7 }": /session\.login\(userId\)/,
  "session.flash = session.flash || {}": /connect-flash/,
  "session.handle = 'x'": /session\.handle/,
  "session.login = () => {}": /session\.login/,
  "session.passport = {}": /session\(sessions, \{ passport \}\)/,
  "session.passport": /session\(sessions, \{ passport \}\)/,
  "session.csrfSecret": /csurf/,
  "session.csrfToken = 'x'": /csrf-sync/,
  "session.cookie.maxAge = 1": /idleTimeout/,
  "session.id": /session\.handle/,
  "session.save(() => {})": /The response waits/,
  "session.reload(() => {})": /sessions\.update/,
  "session.touch()": /touchEvery/,
  "session.destroy(() => {})": /session\.destroy takes no callback/,
  "session.regenerate(() => {})": /session\.regenerate takes no callback/,
  "session.reset(() => {})": /session\.reset takes no callback/,
  "session.login('42', () => {})": /session\.login takes no callback/,
})) {
  test(`a habit of another session library: ${habit} → a TypeError that says what to write, and nothing changed`, async () => {
    const { sessions, session } = await loaded();
    assert.throws(
      () => sloppy(habit)(session),
      (error: Error) => error instanceof TypeError && message.test(error.message),
    );
    assert.equal(await sessions.commit(session), null);
  });
}

test("a session: inspected, compared, awaited, probed and made JSON of → as any object, and no habit is reported", async () => {
  const { session, loose } = await loaded();
  assert.match(inspect(session), /^Session \{ handle: /);
  assert.match(inspect({ deep: [session] }, { showHidden: true, getters: true }), /Session \{ handle: /);
  assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(session))), ["handle", "isNew", "createdAt"]);
  assert.equal(await Promise.resolve(session), session);
  expect({ session }).toEqual({ session });
  expect(() => expect(session).toEqual({ other: true })).toThrow(/expected/);
  assert.ok(session instanceof Object);
  assert.equal(String(loose), "[object Object]");
  assert.equal(loose["userId"], undefined, "an unknown name is read as undefined");
  assert.equal(loose["$$typeof"], undefined);
  assert.equal("userId" in session, false);
  assert.deepEqual(Object.keys(session), []);
  for (const key in session) assert.fail(key);
  const mark = Symbol("of a tool");
  (loose as Record<symbol, unknown>)[mark] = 1;
  assert.equal((loose as Record<symbol, unknown>)[mark], 1);
});
