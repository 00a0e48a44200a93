import { serve } from "@hono/node-server";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import assert from "node:assert/strict";
import { createServer, type Server, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { afterEach, test } from "vitest";
import { session as expressSession } from "../../src/adapters/express.ts";
import { storedSession } from "../../src/adapters/fastify.ts";
import { fetchSessions } from "../../src/adapters/fetch.ts";
import { session as honoSession } from "../../src/adapters/hono.ts";
import { session as koaSession } from "../../src/adapters/koa.ts";
import { withSession } from "../../src/adapters/node/node-response.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { running } from "./server.ts";

/** A session is saved only for an answer that can leave, so that its cookie leaves too. */

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function managed() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  return { watched, sessions };
}

async function urlOf(server: Server): Promise<string> {
  const { url, close } = await running(server);
  closing.push(close);
  return url;
}

/** Asks, and sees that the answer is an error, and that either nothing was saved or the cookie left. */
async function assertRefused(url: string, watched: WatchedStore): Promise<void> {
  watched.calls.length = 0;
  const answer = await fetch(url);
  await answer.text();
  assert.equal(answer.status, 500);
  assert.deepEqual([watched.calls, answer.headers.getSetCookie()], [[], []]);
}

test("Hono: Response.error(), a status no response has, a body that was read → error handling, nothing saved (promise 4)", async () => {
  const { sessions, watched } = managed();
  const answers: Record<string, () => Response | Promise<Response>> = {
    "/error": () => Response.error(),
    "/status": () => new Response("x", { status: 99 }),
    "/high-status": () => new Response(null, { status: 1000 }),
    "/read": async () => {
      const response = new Response("read");
      await response.text();
      return response;
    },
    "/locked": () => {
      const response = new Response("locked");
      response.body!.getReader();
      return response;
    },
  };
  const app = new Hono().use(honoSession(sessions)).get("*", async (c) => {
    c.var.session.login("42");
    return answers[c.req.path]!();
  });
  app.onError((error, c) => c.text(error.message));
  const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
  const url = await urlOf(server);
  for (const path of Object.keys(answers)) await assertRefused(url + path, watched);
});

test("fetch: a body that was read or is being read → TypeError, nothing saved", async () => {
  const { sessions: manager, watched } = managed();
  const sessions = fetchSessions(manager);
  const read = new Response("read");
  await read.text();
  const locked = new Response("locked");
  locked.body!.getReader();
  for (const response of [read, locked]) {
    const untouched = await sessions.load(null);
    assert.equal(await sessions.commit(untouched, response), response, "there is nothing to save");
    const session = await sessions.load(null);
    session.data.n = 1;
    await assert.rejects(sessions.commit(session, response), { name: "TypeError" });
  }
  assert.deepEqual(watched.calls, []);
});

/** Heads that Node refuses to send. */
const refused: Record<string, (response: ServerResponse) => void> = {
  "/status": (response) => {
    response.statusCode = 1000;
    response.end("never");
  },
  "/head-status": (response) => void response.writeHead(99).end("never"),
  "/message": (response) => {
    response.statusMessage = "two\nlines";
    response.end("never");
  },
  "/header": (response) => void response.writeHead(200, { "x-bad": "two\nlines" }).end("never"),
  "/name": (response) => void response.writeHead(200, { "bad name": "x" }).end("never"),
  "/odd": (response) => void response.writeHead(200, ["x-odd"] as never).end("never"),
  "/trailer": (response) => {
    response.setHeader("Trailer", "x-checksum");
    response.setHeader("Content-Length", 5);
    response.end("never");
  },
  "/trailer-without-body": (response) => {
    response.setHeader("Trailer", "x-checksum");
    response.statusCode = 204;
    response.end();
  },
};

test("node:http: a head that Node refuses → onError answers, nothing saved (promise 4)", async () => {
  const { sessions, watched } = managed();
  const url = await urlOf(
    createServer(
      withSession(sessions, (request, response: ServerResponse, session) => {
        session.login("42");
        refused[request.url!]!(response);
      }),
    ).listen(0, "127.0.0.1"),
  );
  for (const path of Object.keys(refused)) await assertRefused(url + path, watched);
});

test("Express: a head that Node refuses → the error handler answers, nothing saved (promise 4)", async () => {
  const { sessions, watched } = managed();
  const app = express();
  app.set("env", "test");
  app.use(expressSession(sessions));
  app.get("/send", (request, response) => {
    request.session.login("42");
    response.set("Trailer", "x-checksum").send("never");
  });
  for (const [path, refuse] of Object.entries(refused)) {
    app.get(path, (request, response) => {
      request.session.login("42");
      refuse(response);
    });
  }
  const url = await urlOf(app.listen(0, "127.0.0.1"));
  for (const path of ["/send", ...Object.keys(refused)]) await assertRefused(url + path, watched);
});

test("Koa: a head that Node refuses → error handling, nothing saved (promise 4)", async () => {
  const { sessions, watched } = managed();
  const app = new Koa();
  app.silent = true;
  app.use(koaSession(sessions));
  app.use((ctx) => {
    ctx.session.login("42");
    if (ctx.path === "/trailer") ctx.set("Trailer", "x-checksum");
    ctx.body = "never";
    if (ctx.path === "/message") ctx.message = "two\nlines";
  });
  const url = await urlOf(app.listen(0, "127.0.0.1"));
  for (const path of ["/trailer", "/message"]) await assertRefused(url + path, watched);
});

test("Fastify: a head or payload that cannot be sent → error handling, nothing saved (promise 4)", async () => {
  const { sessions, watched } = managed();
  const app = fastify();
  await app.register(storedSession, { sessions });
  const answers: Record<string, (reply: import("fastify").FastifyReply) => unknown> = {
    "/header": (reply) => reply.header("x-bad", "two\nlines").send("never"),
    "/trailer": (reply) => reply.header("Trailer", "x-checksum").send("never"),
    "/error": (reply) => reply.send(Response.error()),
    "/object": (reply) => reply.type("text/plain").send({ n: 1 }),
    "/locked": (reply) => {
      const stream = Readable.toWeb(Readable.from(["x"])) as ReadableStream;
      stream.getReader();
      return reply.send(stream);
    },
  };
  for (const [path, send] of Object.entries(answers)) {
    app.get(path, (request, reply) => {
      request.session.login("42");
      return send(reply);
    });
  }
  for (const path of Object.keys(answers)) {
    watched.calls.length = 0;
    const answer = await app.inject(path);
    assert.equal(answer.statusCode, 500, path);
    assert.deepEqual([watched.calls, answer.headers["set-cookie"]], [[], undefined], path);
  }
  await app.close();
});
