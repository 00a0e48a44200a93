import assert from "node:assert/strict";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { createServer } from "node:http";
import { connect } from "node:net";
import { afterEach, test } from "vitest";
import { storedSession } from "../../src/adapters/fastify.ts";
import { fetchSessions } from "../../src/adapters/fetch.ts";
import { session as honoSession } from "../../src/adapters/hono.ts";
import { session as koaSession } from "../../src/adapters/koa.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { running } from "./server.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const manager = () =>
  createSessionManager<Record<string, unknown>>({ store: memoryStore(), keys: generateKey() });
const pair = (setCookie: string | null | undefined) => setCookie!.split(";")[0]!;

test("load: a client given as a function → it is called once, at the first save, and never for a request that begins no session", async () => {
  const sessions = manager();
  let calls = 0;
  const client = () => ({ address: `10.0.0.${++calls}`, userAgent: "a browser" });
  const anonymous = await sessions.load(undefined, client);
  void anonymous.data;
  assert.equal(await sessions.commit(anonymous), null);
  assert.equal(calls, 0);

  const visitor = await sessions.load(undefined, client);
  visitor.data["tea"] = "green";
  const cookie = pair(await sessions.commit(visitor));
  assert.equal(calls, 1);

  const again = await sessions.load(cookie, client);
  again.data["tea"] = "black";
  await sessions.commit(again);
  assert.equal(calls, 1);
  const login = await sessions.load(cookie, client);
  login.login("42");
  await sessions.commit(login);
  assert.deepEqual((await sessions.forUser("42").list())[0]?.client, {
    address: "10.0.0.2",
    userAgent: "a browser",
  });
});

test("load: a client function that throws → the save fails with its error, and nothing is stored", async () => {
  const sessions = manager();
  const session = await sessions.load(undefined, () => {
    throw new Error("no client address while prerendering");
  });
  session.data["tea"] = "green";
  await assert.rejects(sessions.commit(session), /while prerendering/);
  assert.equal(await sessions.count(), 0);
});

test("client: false → a client function is never called", async () => {
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey(), client: false });
  const session = await sessions.load(undefined, () => assert.fail("called"));
  session.login("42");
  assert.notEqual(await sessions.commit(session), null);
});

test("fetch: the address is a function → it is called when a session is begun; the user agent is the request's", async () => {
  const managed = manager();
  const sessions = fetchSessions(managed);
  const request = new Request("http://localhost/", { headers: { "user-agent": "a browser" } });
  const refuse = () => assert.fail("called for nobody");
  await sessions.handle(request, () => new Response("page"), refuse);
  await sessions.commit(await sessions.load(request, refuse), new Response("page"));
  await sessions.handle(
    request,
    (session) => {
      session.login("42");
      return new Response("in");
    },
    () => ({ address: "10.0.0.9" }),
  );
  const [device] = await managed.forUser("42").list();
  assert.deepEqual(device?.client, { address: "10.0.0.9", userAgent: "a browser" });
});

test("Hono: address(c) → called when a session is begun", async () => {
  const sessions = manager();
  let calls = 0;
  const app = new Hono()
    .use(honoSession(sessions, { address: () => `10.0.0.${++calls}` }))
    .get("/", (c) => c.text("page"))
    .get("/login", (c) => {
      c.var.session.login("42");
      return c.text("in");
    });
  await app.request("/");
  assert.equal(calls, 0);
  await app.request("/login");
  assert.equal((await sessions.forUser("42").list())[0]?.client?.address, "10.0.0.1");
});

/** A client that leaves while its request is under way. */
async function leaving(url: string, arrived: Promise<unknown>): Promise<void> {
  const client = connect(Number(new URL(url).port), "127.0.0.1");
  client.write("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a browser\r\n\r\n");
  await arrived;
  client.destroy();
}

test("Fastify: a client that left before the session begins → its address is kept", async () => {
  const sessions = manager();
  const arrived = Promise.withResolvers<void>();
  const app = fastify();
  await app.register(storedSession, { sessions });
  app.get("/", async (request, reply) => {
    const left = new Promise((resolve) => reply.raw.once("close", resolve));
    arrived.resolve();
    await left;
    request.session.login("42");
    return "in";
  });
  closing.push(() => app.close());
  await leaving(await app.listen({ port: 0, host: "127.0.0.1" }), arrived.promise);
  while ((await sessions.count()) === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await sessions.forUser("42").list())[0]?.client?.address, "127.0.0.1");
});

test("Koa: a client that left before the session begins → its address is kept", async () => {
  const sessions = manager();
  const arrived = Promise.withResolvers<void>();
  const app = new Koa();
  app.use(koaSession(sessions));
  app.use(async (ctx) => {
    const left = new Promise((resolve) => ctx.res.once("close", resolve));
    arrived.resolve();
    await left;
    ctx.session.login("42");
    ctx.body = "in";
  });
  const { url, close } = await running(createServer(app.callback()).listen(0, "127.0.0.1"));
  closing.push(close);
  await leaving(url, arrived.promise);
  while ((await sessions.count()) === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await sessions.forUser("42").list())[0]?.client?.address, "127.0.0.1");
});
