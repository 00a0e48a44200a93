import assert from "node:assert/strict";
import { describe, test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { userId as userOfCommand } from "../../src/cli/options.ts";
import { createSessionManager, memoryStore, type SessionManager } from "../../src/index.ts";
import { cookieOf, testKeys } from "./doubles.ts";

type Data = Record<string, any>;
type Options = Partial<Parameters<typeof createSessionManager<Data>>[0]>;

function manager(options: Options = {}): SessionManager<Data> {
  return createSessionManager<Data>({ store: memoryStore(), keys: testKeys, ...options });
}

async function commitWith(sessions: SessionManager<Data>, data: Data): Promise<string | null> {
  const session = await sessions.load(null);
  Object.assign(session.data, data);
  return sessions.commit(session);
}

const wrong: [string, unknown][] = [
  ["undefined", undefined],
  ["null", null],
  ["an empty string", ""],
  ["a lone surrogate", "\ud800"],
  ["NaN", NaN],
  ["a fraction", 1.5],
  ["an unsafe integer", 2 ** 53],
  ["true", true],
  ["an object", {}],
  ["an array of one id", ["42"]],
  ["a symbol", Symbol("42")],
  ["a function", () => "42"],
  ["a String object", Object("42")],
];

describe.each(wrong)("user ids: %s", (_name, id) => {
  const says = { name: "TypeError", message: /non-empty string, a safe integer or a bigint/ };
  const sessions = manager();

  test("login → TypeError that says what to pass", async () => {
    const session = await sessions.load(null);
    assert.throws(() => session.login(id as never), says);
    assert.equal(session.user, undefined);
  });

  test("forUser, with list, revoke and revokeAll → TypeError, never nobody's sessions (R36)", () => {
    assert.throws(() => sessions.forUser(id as never), says);
  });

  test("exportUser → TypeError (R36)", async () => {
    await assert.rejects(sessions.exportUser(id as never), says);
  });

  test("eraseUser → TypeError (R36)", async () => {
    await assert.rejects(sessions.eraseUser(id as never), says);
  });

  test("userOf → TypeError, unless it names nobody", async () => {
    const found = manager({ userOf: () => id as never });
    const commit = commitWith(found, { n: 1 });
    if (id === undefined || id === null) await commit;
    else await assert.rejects(commit, says);
  });

  test("userOf in sessions.update → TypeError, unless it names nobody", async () => {
    const found = manager({ userOf: (data) => (data["n"] === 2 ? id : undefined) as never });
    const session = await found.load(cookieOf(await commitWith(found, { n: 1 })));
    const update = found.update(session, (data) => void (data["n"] = 2));
    if (id === undefined || id === null) await update;
    else await assert.rejects(update, says);
  });

  test("userOf of a drop-in store → TypeError, unless it names nobody", async () => {
    const store = new StoredSessionStore({
      store: memoryStore(),
      keys: testKeys,
      userOf: () => id as never,
    });
    const saved = new Promise<void>((resolve, reject) => {
      const session = { cookie: { originalMaxAge: 60_000, maxAge: 60_000 }, n: 1 };
      store.set("an-id", session as never, (error) => (error ? reject(error as Error) : resolve()));
    });
    if (id === undefined || id === null) await saved;
    else await assert.rejects(saved, says);
    await store.close();
  });
});

test.each([42, 42n, "42"])("user ids: %o → the same user everywhere", async (id) => {
  const sessions = manager();
  const session = await sessions.load(null);
  session.login(id);
  await sessions.commit(session);
  assert.equal(session.user, "42");
  assert.equal((await sessions.forUser(id).list()).length, 1);
  assert.equal((await sessions.exportUser(id)).length, 1);
  assert.equal(await sessions.eraseUser(id), 1);
});

test.each(["", "\ud800"])("user ids: --user %j → a usage error of the command line", (text) => {
  assert.throws(() => userOfCommand(text), { code: "commander.invalidArgument" });
});

describe("hooks: an async one", () => {
  const isRefused = { name: "TypeError", message: /must be synchronous, but it returned a promise/ };

  test("userOf → TypeError, its failure is nobody's unhandled rejection", async () => {
    const sessions = manager({ userOf: (async () => Promise.reject(new Error("x"))) as never });
    await assert.rejects(commitWith(sessions, { n: 1 }), isRefused);
  });

  test.each(["native", "drop-in"])("onConflict of a %s session → TypeError", async (path) => {
    const store = memoryStore();
    const onConflict = async (): Promise<never> => Promise.reject(new Error("x"));
    if (path === "native") {
      const sessions = manager({ store, onConflict });
      const cookie = cookieOf(await commitWith(sessions, { n: 0 }));
      const [first, second] = await Promise.all([sessions.load(cookie), sessions.load(cookie)]);
      first.data["n"] = 1;
      second.data["n"] = 2;
      await sessions.commit(first);
      await assert.rejects(sessions.commit(second), isRefused);
      return;
    }
    const dropIn = new StoredSessionStore({ store, keys: testKeys, onConflict });
    const set = (session: unknown): Promise<void> =>
      new Promise((resolve, reject) => {
        dropIn.set("an-id", session as never, (error) => (error ? reject(error as Error) : resolve()));
      });
    const get = (): Promise<Data> =>
      new Promise((resolve, reject) => {
        dropIn.get("an-id", (error, session) => (error ? reject(error as Error) : resolve(session as Data)));
      });
    await set({ cookie: { originalMaxAge: 60_000, maxAge: 60_000 }, n: 0 });
    const [first, second] = [await get(), await get()];
    await set(Object.assign(first, { n: 1 }));
    await assert.rejects(set(Object.assign(second, { n: 2 })), isRefused);
  });
});

describe("values with a key named `then` are plain values", () => {
  const value = JSON.parse('{"then":"later","at":1}') as Data;

  test("promise 2: onConflict answers one → it is stored", async () => {
    const sessions = manager({ onConflict: () => value });
    const cookie = cookieOf(await commitWith(sessions, { n: 0 }));
    const [first, second] = await Promise.all([sessions.load(cookie), sessions.load(cookie)]);
    first.data["n"] = 1;
    second.data["n"] = 2;
    await sessions.commit(first);
    await sessions.commit(second);
    assert.deepEqual((await sessions.load(cookie)).data, { n: value });
  });

  test("promise 2: sessions.update returns one → it is stored", async () => {
    const sessions = manager();
    const session = await sessions.load(cookieOf(await commitWith(sessions, { n: 0 })));
    await sessions.update(session, () => value);
    assert.deepEqual(session.data, value);
  });
});
