import fastify from "fastify";
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { test } from "vitest";
import { requireFresh, sessionOf, storedSession } from "../../src/adapters/fastify.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import {
  contractError,
  contractFresh,
  contractHeaders,
  type ContractSession,
} from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";

adapterOnEachDatabase("fastify", {
  async start(contract) {
    const app = fastify({ forceCloseConnections: true });
    app.setErrorHandler((error, _request, reply) => {
      const { status, body } = contractError(error);
      reply.code(status).type("text/plain").send(body);
    });
    app.addHook("onRequest", async (_request, reply) => void reply.headers(contractHeaders));
    await app.register(storedSession, { sessions: contract.sessions });
    const preHandler = requireFresh(contractFresh.within, contractFresh.options);
    app.all("/fresh/*", { preHandler }, async () => "passed");
    app.all("/*", async (request, reply) => {
      const answer = await contract.route(request.url, () => request.session as ContractSession);
      reply.code(answer.status).headers(answer.headers);
      if (answer.redirect !== undefined) return reply.redirect(answer.redirect);
      if (answer.chunks !== undefined) return reply.send(Readable.from(answer.chunks, { objectMode: false }));
      if (answer.file !== undefined) return reply.type("text").send(createReadStream(answer.file));
      if (answer.raw === true) {
        reply.hijack();
        reply.raw.writeHead(answer.status, reply.getHeaders() as never).end(answer.body);
        return undefined;
      }
      return answer.body ?? undefined;
    });
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    return { url, server: app.server, close: () => app.close() };
  },
  ways: ["file", "raw"],
});

function managed() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  return { watched, sessions };
}

test("Fastify: registered in a scope → serves it and the scopes inside, and no other", async () => {
  const { sessions, watched } = managed();
  const app = fastify();
  app.get("/outside", (request) => ({ session: "session" in request && request.session !== undefined }));
  await app.register(async (shop) => {
    await shop.register(storedSession, { sessions });
    await shop.register(async (inner) => {
      await inner.register(storedSession, { sessions }); // again: does nothing
      inner.get("/inside", (request) => {
        const { data } = sessionOf(sessions, request);
        assert.equal(data, request.session.data);
        data.n = (data.n ?? 0) + 1;
        return { n: data.n };
      });
    });
  });
  assert.deepEqual((await app.inject("/outside")).json(), { session: false });
  const inside = await app.inject("/inside");
  assert.deepEqual(inside.json(), { n: 1 });
  assert.equal(inside.headers["vary"], "Cookie");
  assert.equal([inside.headers["set-cookie"]].flat().length, 1);
  assert.deepEqual(watched.calls, ["insert"]);
  await app.close();
});

test("Fastify: two managers → each under its own property", async () => {
  const { sessions } = managed();
  const admins = createSessionManager<{ level: number }>({
    store: memoryStore(),
    keys: generateKey(),
    cookie: { name: "__Host-admin" },
  });
  const app = fastify();
  await app.register(storedSession, { sessions });
  await app.register(storedSession, { sessions: admins, property: "admin" });
  app.get("/", (request) => {
    sessionOf(sessions, request).data.n = 1;
    sessionOf(admins, request).data.level = 2;
    return "both";
  });
  assert.equal([(await app.inject("/")).headers["set-cookie"]].flat().length, 2);
  await app.close();
  const clashing = fastify();
  await clashing.register(storedSession, { sessions });
  await assert.rejects(async () => await clashing.register(storedSession, { sessions: admins }), {
    code: "FST_ERR_DEC_ALREADY_PRESENT",
  });
});

test("Fastify: a hijacked reply → committed when it begins to write (promise 4)", async () => {
  const { sessions, watched } = managed();
  const app = fastify();
  await app.register(storedSession, { sessions });
  app.get("/", (request, reply) => {
    sessionOf(sessions, request).data.n = 1;
    reply.hijack();
    reply.raw.writeHead(200, { "content-type": "text/event-stream" });
    reply.raw.end("data: 1\n\n");
  });
  const answer = await app.inject("/");
  assert.equal(answer.body, "data: 1\n\n");
  assert.equal([answer.headers["set-cookie"]].flat().length, 1);
  watched.down("writes");
  const down = await app.inject("/");
  assert.deepEqual([down.statusCode, down.body], [503, "Service unavailable\n"]);
  await app.close();
});

test("Fastify: a stream is not sent because the commit failed → destroyed", async () => {
  const { sessions, watched } = managed();
  watched.down("writes");
  const app = fastify();
  await app.register(storedSession, { sessions });
  const stream = Readable.from(["never"]);
  app.get("/", (request, reply) => {
    sessionOf(sessions, request).data.n = 1;
    return reply.send(stream);
  });
  const answer = await app.inject("/");
  assert.equal(answer.statusCode, 503);
  assert.equal(answer.json<{ code: string }>().code, "ERR_STORED_SESSION_STORE_UNAVAILABLE");
  assert.equal(stream.destroyed, true);
  await app.close();
});

test("Fastify: registered without a manager → an error that says so", async () => {
  const app = fastify();
  await assert.rejects(async () => {
    await app.register(storedSession, {} as never);
  }, TypeError);
});
