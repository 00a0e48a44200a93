import Hapi from "@hapi/hapi";
import assert from "node:assert/strict";
import fastify from "fastify";
import { test } from "vitest";
import { session as expressSession } from "../../src/adapters/express.ts";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { StoredSessionKoaStore } from "../../src/adapters/drop-in/koa-session.ts";
import { storedSession } from "../../src/adapters/fastify.ts";
import { fetchSessions } from "../../src/adapters/fetch.ts";
import { storedSession as hapiSession } from "../../src/adapters/hapi.ts";
import { session as honoSession } from "../../src/adapters/hono.ts";
import { session as koaSession } from "../../src/adapters/koa.ts";
import { attachSession, withSession } from "../../src/adapters/node/node-response.ts";
import { createStoredSessionStorage } from "../../src/adapters/react-router.ts";
import { createSessionManager, generateKey, memoryStore, migrate } from "../../src/index.ts";

/** Each way to mount an adapter, given something that may be no manager. */
const mounts: Record<string, (given: never) => unknown> = {
  express: (given) => expressSession(given),
  koa: (given) => koaSession(given),
  hono: (given) => honoSession(given),
  fetch: (given) => fetchSessions(given),
  node: (given) => withSession(given, () => {}),
  "node, attached": (given) => attachSession(given, {} as never, {} as never),
  fastify: (given) => fastify().register(storedSession, { sessions: given }).ready(),
  hapi: (given) => Hapi.server().register({ plugin: hapiSession, options: { sessions: given } }),
  "react-router": (given) => createStoredSessionStorage({ sessions: given }),
};

// The habit of express-session is to give the middleware its options.
const options = { store: memoryStore(), keys: generateKey() };
const wrong = {
  nothing: undefined,
  null: null,
  "the options of a manager": options,
  "a store": options.store,
};

for (const [adapter, mount] of Object.entries(mounts)) {
  for (const [what, given] of Object.entries(wrong)) {
    test(`${adapter} adapter: mounted with ${what} → a TypeError at once that says what to pass`, async () => {
      await assert.rejects(
        async () => mount(given as never),
        (error: Error) =>
          error instanceof TypeError && /createSessionManager|`sessions` is missing/.test(error.message),
      );
    });
  }
}

test("createStoredSessionStorage: given nothing, or the manager itself → a TypeError that names `sessions`", () => {
  for (const given of [undefined, createSessionManager(options)]) {
    assert.throws(() => createStoredSessionStorage(given as never), /\{ sessions \}.*is missing/);
  }
});

test("drop-in stores: made without options → an error that names `store` and `keys`", () => {
  for (const Store of [StoredSessionStore, StoredSessionKoaStore]) {
    assert.throws(() => new Store(undefined as never), /`store` is missing[^]*`keys`/);
  }
});

test("fetchSessions: load of a node:http request → a TypeError that names the adapter for it", async () => {
  const { load } = fetchSessions(createSessionManager(options));
  for (const given of [{ headers: { cookie: "a=b" } }, { cookie: "a=b" }, 7]) {
    await assert.rejects(load(given as never), /^TypeError: fetchSessions requires .*stored-session\/node/);
  }
});

test("migrate: given nothing or the manager → a TypeError that asks for the store", async () => {
  for (const given of [undefined, null, createSessionManager(options)]) {
    await assert.rejects(migrate(given as never), /^TypeError: migrate requires a store/);
  }
});

test("forUser().revoke: given no text → a TypeError, instead of false as for a session that is not there", async () => {
  const devices = createSessionManager(options).forUser("42");
  for (const given of [undefined, null, 7, ["a"]]) {
    await assert.rejects(devices.revoke(given as never), /^TypeError: revoke requires the handle/);
  }
  assert.equal(await devices.revoke("none"), false);
});

test("forUser().revokeAll: given a session in place of { except } → a TypeError, and the session lives", async () => {
  const sessions = createSessionManager(options);
  const session = await sessions.load(null);
  session.login("42");
  await sessions.commit(session);
  const devices = sessions.forUser("42");
  for (const given of [session, { exept: session }, session.handle]) {
    await assert.rejects(
      devices.revokeAll(given as never),
      /^TypeError: revokeAll accepts only \{ except: session, by, reason \}/,
    );
  }
  assert.equal((await devices.list()).length, 1);
  assert.equal(await devices.revokeAll({ except: session }), 0);
  assert.equal(await devices.revokeAll(), 1);
});

test("sessions.load: given a request or its headers → a TypeError that says what to pass", async () => {
  const sessions = createSessionManager(options);
  for (const given of [{ headers: { cookie: "" } }, new Headers(), ["a=b"], 7]) {
    await assert.rejects(
      sessions.load(given as never),
      /^TypeError: sessions\.load takes the text of .*Cookie/,
    );
  }
});
