import express from "express";
import fastify from "fastify";
import Koa from "koa";
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { afterEach, test } from "vitest";
import { session as expressSession } from "../../src/adapters/express.ts";
import { storedSession } from "../../src/adapters/fastify.ts";
import { session as koaSession } from "../../src/adapters/koa.ts";
import { withSession } from "../../src/adapters/node/node-response.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { running } from "./server.ts";

/** What one framework's own error handling does after a failed commit. All: see the adapter contract. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Sessions whose store is down for writes. */
function failing() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  watched.down("writes");
  return sessions;
}

test("node:http: the commit fails → the default response keeps security headers, whatever trailers the handler set", async () => {
  const listener = withSession(failing(), (_request, response: ServerResponse, session) => {
    session.login("42");
    response.setHeader("Trailer", "x-checksum");
    response.setHeader("X-User", "42");
    response.addTrailers({ "x-checksum": "secret" });
    response.write("never");
    response.end();
  });
  const server = createServer((request, response) => {
    response.setHeader("content-security-policy", "default-src 'self'");
    response.setHeader("set-cookie", ["before=1"]);
    listener(request, response);
  });
  const { url, close } = await running(server.listen(0, "127.0.0.1"));
  closing.push(close);
  const { status, headers } = await fetch(url);
  assert.equal(status, 503);
  assert.equal(headers.get("content-security-policy"), "default-src 'self'");
  assert.deepEqual(headers.getSetCookie(), ["before=1"]);
  assert.deepEqual([headers.get("trailer"), headers.get("x-user")], [null, null]);
});

test("node:http: a handler that throws after it promised trailers → the default answer arrives", async () => {
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey() });
  const listener = withSession(sessions, (_request, response: ServerResponse) => {
    response.setHeader("Trailer", "x-checksum");
    response.setHeader("Vercel-CDN-Cache-Control", "max-age=600");
    throw new Error("boom");
  });
  const { url, close } = await running(createServer(listener as never).listen(0, "127.0.0.1"));
  closing.push(close);
  const answer = await fetch(url);
  assert.deepEqual([answer.status, await answer.text()], [500, "Internal server error\n"]);
  assert.equal(answer.headers.get("vercel-cdn-cache-control"), "no-store");
});

test("HTTP/2: the commit fails → a response without headers or trailers of the handler", async () => {
  const server = http2.createServer(
    withSession(failing(), (_request, response: http2.Http2ServerResponse, session) => {
      session.login("42");
      response.setHeader("x-user", "42");
      response.addTrailers({ "x-checksum": "secret" });
      response.end("never");
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  closing.push(() => {
    client.destroy();
    server.close();
  });
  const stream = client.request({ ":path": "/" });
  const trailers: unknown[] = [];
  stream.on("trailers", (fields) => trailers.push(fields));
  const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
  let body = "";
  for await (const chunk of stream.setEncoding("utf8")) body += chunk;
  assert.deepEqual([headers[":status"], headers["x-user"], body], [503, undefined, "Service unavailable\n"]);
  assert.deepEqual(trailers, []);
});

test("Express: its own error page after a handler that promised trailers → 503, and the process lives", async () => {
  const app = express();
  app.set("env", "test");
  app.use(expressSession(failing()));
  app.get("/", (request, response) => {
    request.session.login("42");
    response.set("Trailer", "x-checksum");
    Readable.from(["never"]).pipe(response);
  });
  const { url, close } = await running(app.listen(0, "127.0.0.1"));
  closing.push(close);
  const answer = await fetch(url);
  assert.equal(answer.status, 503);
  assert.match(await answer.text(), /StoreUnavailableError/);
});

test("Express: the commit fails → cookies that other middleware appended to an earlier list are taken back", async () => {
  const app = express();
  app.set("env", "test");
  app.use((_request, response, next) => {
    response.setHeader("Set-Cookie", ["before=1"]);
    next();
  });
  app.use(expressSession(failing()));
  app.get("/", (request, response) => {
    request.session.login("42");
    response.append("Set-Cookie", "remember=secret");
    response.set("Constructor", "secret");
    response.removeHeader("X-Powered-By");
    response.send("never");
  });
  const { url, close } = await running(app.listen(0, "127.0.0.1"));
  closing.push(close);
  const { headers } = await fetch(url);
  assert.deepEqual(headers.getSetCookie(), ["before=1"]);
  assert.equal(headers.get("x-powered-by"), "Express");
  assert.equal(headers.get("constructor"), null);
});

test("Koa: the commit fails → its own error handling keeps headers from before the session middleware", async () => {
  for (const raw of [false, true]) {
    const app = new Koa();
    app.silent = true;
    app.use(async (ctx, next) => {
      ctx.set("Access-Control-Allow-Origin", "https://shop.example");
      await next();
    });
    app.use(koaSession(failing()));
    app.use((ctx) => {
      ctx.session.login("42");
      ctx.set("X-User", "42");
      if (raw) ctx.respond = false;
      if (raw) ctx.res.end("never");
      else ctx.body = "never";
    });
    const { url, close } = await running(app.listen(0, "127.0.0.1"));
    closing.push(close);
    const { status, headers } = await fetch(url);
    assert.equal(status, 503);
    assert.equal(headers.get("access-control-allow-origin"), "https://shop.example");
    assert.equal(headers.get("x-user"), null);
  }
});

test("Koa: error middleware that sets only a status → the handler's body is not sent (promise 4)", async () => {
  const source = Readable.from(["secret"]);
  for (const body of ["secret", { secret: true }, source]) {
    const app = new Koa();
    app.use(async (ctx, next) => {
      try {
        await next();
      } catch {
        ctx.status = 502;
      }
    });
    app.use(koaSession(failing()));
    app.use((ctx) => {
      ctx.session.login("42");
      ctx.body = body;
    });
    const { url, close } = await running(app.listen(0, "127.0.0.1"));
    closing.push(close);
    const answer = await fetch(url);
    assert.deepEqual([answer.status, await answer.text()], [502, "Bad Gateway"]);
  }
  assert.equal(source.destroyed, true);
});

test("Fastify: an error handler that sets no status → the error's status, and no trailers of the handler", async () => {
  const app = fastify();
  app.setErrorHandler((_error, _request, reply) => reply.send("sorry"));
  app.addHook("onRequest", async (_request, reply) => void reply.header("x-request-id", "1"));
  await app.register(storedSession, { sessions: failing() });
  let trailers = 0;
  app.get("/", (request, reply) => {
    request.session.login("42");
    reply.code(201).header("x-user", "42").header("set-cookie", "remember=secret");
    reply.trailer("x-checksum", (_reply, _payload, done) => {
      trailers++;
      done(null, "secret");
    });
    return reply.send("never");
  });
  const { statusCode, headers, body } = await app.inject("/");
  assert.deepEqual([statusCode, body], [503, "sorry"]);
  assert.deepEqual(
    [headers["x-request-id"], headers["x-user"], headers["set-cookie"]],
    ["1", undefined, undefined],
  );
  assert.deepEqual([headers["trailer"], trailers], [undefined, 0]);
  await app.close();
});

test("Fastify: a hijacked reply that promised trailers → 503 with earlier headers, the connection stays", async () => {
  const app = fastify();
  app.addHook("onRequest", async (_request, reply) => void reply.header("x-request-id", "1"));
  await app.register(storedSession, { sessions: failing() });
  app.get("/", (request, reply) => {
    request.session.login("42");
    reply.hijack();
    reply.raw.writeHead(200, { Trailer: "x-checksum", "X-User": "42" });
    reply.raw.end("never");
  });
  const answer = await fetch(await app.listen({ port: 0, host: "127.0.0.1" }));
  assert.deepEqual([answer.status, await answer.text()], [503, "Service unavailable\n"]);
  assert.deepEqual([answer.headers.get("x-request-id"), answer.headers.get("x-user")], ["1", null]);
  await app.close();
});
