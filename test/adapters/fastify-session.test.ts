import fastify, { type FastifyRequest } from "fastify";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { generateKey, memoryStore } from "../../src/index.ts";
import { contractError, type ContractSession } from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { DropInFace } from "./drop-in-face.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";

// Without their types, which claim request.session for themselves.
const require = createRequire(import.meta.url);
const fastifyCookie = require("@fastify/cookie") as any;
const fastifySession = require("@fastify/session") as any;

const options = {
  secret: "a secret of at least thirty-two characters",
  cookie: { secure: false },
  saveUninitialized: false,
};
const sessionOf = (request: FastifyRequest) => request.session as any;

adapterOnEachDatabase("@fastify/session", {
  differs: ["cookies", "late", "errors", "ids", "leaving", "headers", "elevation", "devices"],
  async start(contract) {
    const app = fastify({ forceCloseConnections: true });
    app.setErrorHandler((error, _request, reply) => {
      const { status, body } = contractError(error);
      reply.code(status).type("text/plain").removeHeader("location").send(body);
    });
    await app.register(fastifyCookie);
    const store = new StoredSessionStore({
      store: contract.store,
      keys: contract.keys,
      storeTimeout: "1 min",
    });
    await app.register(fastifySession, { ...options, store, rolling: false });
    app.all("/*", async (request, reply) => {
      const face = new DropInFace({
        session: () => sessionOf(request),
        regenerate: () => sessionOf(request).regenerate(),
        destroy: () => sessionOf(request).destroy(),
      });
      const answer = await contract.route(request.url, () => face as ContractSession);
      reply.code(answer.status).headers(answer.headers);
      if (answer.redirect !== undefined) return reply.redirect(answer.redirect);
      if (answer.chunks !== undefined) return reply.send(Readable.from(answer.chunks, { objectMode: false }));
      return reply.send(answer.body ?? undefined);
    });
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    return { url, server: app.server, close: () => app.close() };
  },
});

/** How many of 100 parallel changes survive, and whether a log-out under 100 requests in flight does. */
async function race(store: unknown): Promise<{ kept: number; alive: boolean }> {
  let gate = Promise.withResolvers<void>();
  let waiting = 0;
  const app = fastify();
  await app.register(fastifyCookie);
  await app.register(fastifySession, { ...options, store });
  app.get("/set", async (request) => {
    const { key, held } = request.query as { key: string; held?: string };
    if (held !== undefined) {
      waiting++;
      await gate.promise;
    }
    sessionOf(request)[key] = "kept";
    return "set";
  });
  app.get("/all", async (request) => ({ ...sessionOf(request) }));
  app.get("/logout", async (request) => {
    await sessionOf(request).destroy();
    return "out";
  });
  const [cookie] = [(await app.inject("/set?key=user")).headers["set-cookie"]].flat();
  const get = (url: string) => app.inject({ url, headers: { cookie: cookie!.split(";")[0]! } });
  const flight = async (prefix: string) => {
    waiting = 0;
    gate = Promise.withResolvers();
    const flights = Array.from({ length: 100 }, (_, n) =>
      get(`/set?held&key=${prefix}${n}`).then((answer) => answer),
    );
    while (waiting < 100) await new Promise((resolve) => setImmediate(resolve));
    return flights;
  };
  const flights = await flight("a");
  gate.resolve();
  await Promise.all(flights);
  const kept = Object.keys((await get("/all")).json<object>()).filter((key) => key.startsWith("a")).length;
  const late = await flight("b");
  await get("/logout");
  gate.resolve();
  await Promise.all(late);
  const alive = "user" in (await get("/all")).json<object>();
  await app.close();
  return { kept, alive };
}

test("promises 2 and 3: 100 parallel changes → none is lost; a logout during 100 requests → the session stays ended", async () => {
  // A plain store copies; the one that @fastify/session brings hands every request the same object.
  const rows = new Map<string, string>();
  const plain = await race({
    get: (id: string, done: (error: null, session: unknown) => void) =>
      done(null, rows.has(id) ? JSON.parse(rows.get(id)!) : null),
    set(id: string, session: unknown, done: () => void) {
      rows.set(id, JSON.stringify(session));
      done();
    },
    destroy(id: string, done: () => void) {
      rows.delete(id);
      done();
    },
  });
  const stored = await race(new StoredSessionStore({ store: memoryStore(), keys: generateKey() }));
  console.log(
    `@fastify/session, 100 parallel changes: a plain store kept ${plain.kept}, StoredSessionStore ${stored.kept}`,
  );
  console.log(
    `@fastify/session, alive after log-out: a plain store ${plain.alive}, StoredSessionStore ${stored.alive}`,
  );
  assert.deepEqual(stored, { kept: 100, alive: false });
  assert.deepEqual(plain, { kept: 1, alive: true }, "the race is real");
});

test("rolling, its default → saves on every request, and writes nothing that did not change", async () => {
  const watched = new WatchedStore(memoryStore());
  const app = fastify();
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    ...options,
    cookie: { secure: false, maxAge: 600_000 },
    store: new StoredSessionStore({ store: watched.store, keys: generateKey() }),
  });
  app.get("/", async (request) => {
    sessionOf(request).user ??= "42";
    return sessionOf(request).user as string;
  });
  const [cookie] = [(await app.inject("/")).headers["set-cookie"]].flat();
  for (let n = 0; n < 20; n++) {
    const answer = await app.inject({ url: "/", headers: { cookie: cookie!.split(";")[0]! } });
    assert.equal(answer.body, "42");
  }
  assert.deepEqual(
    watched.calls.filter((call) => call !== "read"),
    ["insert"],
  );
  await app.close();
});

test("promise 3: reload after a logout elsewhere → the session does not come back", async () => {
  const app = fastify();
  const gate = Promise.withResolvers<void>();
  const waiting = Promise.withResolvers<void>();
  const store = new StoredSessionStore({ store: memoryStore(), keys: generateKey() });
  await app.register(fastifyCookie);
  await app.register(fastifySession, { ...options, store });
  app.get("/set", async (request) => {
    sessionOf(request).user = 1;
    return "set";
  });
  app.get("/reload", async (request) => {
    void sessionOf(request).user;
    waiting.resolve();
    await gate.promise;
    await sessionOf(request).reload();
    sessionOf(request).late = true;
    return "reloaded";
  });
  app.get("/logout", async (request) => {
    await sessionOf(request).destroy();
    return "out";
  });
  const [cookie] = [(await app.inject("/set")).headers["set-cookie"]].flat();
  const get = (url: string) => app.inject({ url, headers: { cookie: cookie!.split(";")[0]! } });
  const reloading = get("/reload").then((answer) => answer.statusCode);
  await waiting.promise;
  await get("/logout");
  gate.resolve();
  assert.equal(await reloading, 200);
  assert.equal(await store.length(), 0);
  await app.close();
});
