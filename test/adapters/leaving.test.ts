import { serve } from "@hono/node-server";
import express from "express";
import fastify from "fastify";
import Koa from "koa";
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, get, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import { data } from "react-router";
import { afterEach, test } from "vitest";
import { session as expressSession } from "../../src/adapters/express.ts";
import { storedSession } from "../../src/adapters/fastify.ts";
import { session as koaSession } from "../../src/adapters/koa.ts";
import { withSession } from "../../src/adapters/node/node-response.ts";
import { createStoredSessionStorage } from "../../src/adapters/react-router.ts";
import { createSessionManager, generateKey, memoryStore, type Session } from "../../src/index.ts";
import { Gates } from "../../src/testing/adapter-routes.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { applicationOf } from "./react-router-app.ts";
import { running } from "./server.ts";

/** Ways to answer a client that has gone that only one framework has. All: see the adapter contract. */

type Data = Record<string, unknown>;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function world() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<Data>({ store: watched.store, keys: generateKey() });
  const visitor = await sessions.load(null);
  visitor.login("42");
  const cookie = (await sessions.commit(visitor))!.split(";")[0]!;
  const gates = new Gates();

  /** Leaves once the handler stands before its gate, opens the gate when the server has noticed, waits for the logout. */
  async function logOutAndLeave(server: Server, path = "/"): Promise<void> {
    const { url, close } = await running(server);
    closing.push(close);
    const noticed = new Promise<void>((resolve) => {
      server.once("connection", (socket) => socket.once("close", () => setImmediate(resolve)));
    });
    const request = get(url + path, { headers: { cookie }, agent: false });
    request.on("error", () => {});
    await gates.reached("left");
    request.destroy();
    await noticed;
    gates.open("left");
    while (!(await sessions.load(cookie)).isNew) await new Promise(setImmediate);
  }

  const logOut = async (session: Session<Data>) => {
    await gates.pass("left");
    session.destroy();
  };
  return { watched, sessions, gates, cookie, logOut, logOutAndLeave };
}

test("node:http: async handler that sees its client gone and answers nothing → stored when it resolves (promise 3)", async () => {
  const { sessions, logOut, logOutAndLeave } = await world();
  const listener = withSession(sessions, async (_request, response, session) => {
    await logOut(session);
    assert.equal(response.destroyed, true);
  });
  await logOutAndLeave(createServer(listener as never).listen(0, "127.0.0.1"));
});

test("node:http: async handler throws after its client has gone, onError answers nothing → stored", async () => {
  const { sessions, logOut, logOutAndLeave } = await world();
  const listener = withSession(
    sessions,
    async (_request, _response, session) => {
      await logOut(session);
      throw new Error("boom");
    },
    { onError: () => {} },
  );
  await logOutAndLeave(createServer(listener as never).listen(0, "127.0.0.1"));
});

test("node:http: handler called writeHead before its client left, and resolves → stored", async () => {
  const { sessions, logOut, logOutAndLeave } = await world();
  const listener = withSession(sessions, async (_request, response: ServerResponse, session) => {
    response.writeHead(204);
    await logOut(session);
  });
  await logOutAndLeave(createServer(listener as never).listen(0, "127.0.0.1"));
});

test("node:http: the store is down at the commit of a client that has gone → onError hears of it, nothing else breaks", async () => {
  const { sessions, watched, gates, cookie } = await world();
  const heard = Promise.withResolvers<unknown>();
  const listener = withSession(
    sessions,
    async (_request, _response, session) => {
      await gates.pass("left");
      session.destroy();
    },
    { onError: heard.resolve },
  );
  const server = createServer(listener as never).listen(0, "127.0.0.1");
  const { url, close } = await running(server);
  closing.push(close);
  const noticed = once(server, "connection").then(([socket]) => once(socket as Server, "close"));
  const request = get(url, { headers: { cookie }, agent: false });
  request.on("error", () => {});
  await gates.reached("left");
  request.destroy();
  await noticed;
  watched.down("writes");
  gates.open("left");
  assert.equal(((await heard.promise) as { code?: string }).code, "ERR_STORED_SESSION_STORE_UNAVAILABLE");
});

test("Express: res.sendFile and res.download, of files that are there and not → stored (promise 3)", async () => {
  for (const path of ["/file", "/download", "/missing", "/callback"]) {
    const { sessions, logOut, logOutAndLeave } = await world();
    const app = express();
    app.set("env", "test");
    app.use(expressSession(sessions));
    const visit = (request: express.Request) => logOut(request.session as Session<Data>);
    app.get("/file", async (request, response) => {
      await visit(request);
      response.sendFile(import.meta.filename);
    });
    app.get("/download", async (request, response) => {
      await visit(request);
      response.download(import.meta.filename);
    });
    app.get("/missing", async (request, response) => {
      await visit(request);
      response.sendFile(`${import.meta.filename}.missing`);
    });
    app.get("/callback", async (request, response) => {
      await visit(request);
      response.sendFile(`${import.meta.filename}.missing`, () => {});
    });
    await logOutAndLeave(app.listen(0, "127.0.0.1"), path);
  }
});

test("Express: the client leaves between res.sendFile and the file's first byte, in an application inside another → stored", async () => {
  const { sessions, gates, cookie } = await world();
  const [outer, inner] = [express(), express()];
  outer.use(expressSession(sessions));
  outer.use("/inner", inner);
  inner.get("/", (request, response) => {
    request.session.destroy();
    response.sendFile(import.meta.filename);
    request.socket.destroy();
    gates.open("left");
  });
  const { url, close } = await running(outer.listen(0, "127.0.0.1"));
  closing.push(close);
  const request = get(`${url}/inner`, { headers: { cookie }, agent: false });
  request.on("error", () => {});
  while (!(await sessions.load(cookie)).isNew) await new Promise(setImmediate);
});

test("Express: a generator that is piped by stream.pipeline, and nobody waits for → stored", async () => {
  const { sessions, logOut, logOutAndLeave } = await world();
  const app = express();
  app.use(expressSession(sessions));
  app.get("/", async (request, response) => {
    await logOut(request.session as Session<Data>);
    pipeline(
      async function* () {
        await new Promise(setImmediate);
        yield "late";
      },
      response,
      () => {},
    );
  });
  await logOutAndLeave(app.listen(0, "127.0.0.1"));
});

test("Fastify: async handlers that resolve with undefined, also on routes from before the plugin → stored (promise 3)", async () => {
  for (const path of ["/before", "/after", "/throws", "/hijacked"]) {
    const { sessions, logOut, logOutAndLeave } = await world();
    const app = fastify({ forceCloseConnections: true });
    app.get("/before", async (request, reply) => {
      await logOut(request.session as Session<Data>);
      reply.code(204);
    });
    await app.register(storedSession, { sessions });
    app.get("/after", async (request, reply) => {
      await logOut(request.session as Session<Data>);
      reply.code(204);
    });
    app.get("/throws", async (request) => {
      await logOut(request.session as Session<Data>);
      throw new Error("boom");
    });
    app.get("/hijacked", async (request, reply) => {
      reply.hijack();
      await logOut(request.session as Session<Data>);
      reply.raw.writeHead(204).end();
    });
    await app.ready();
    await logOutAndLeave(app.server.listen(0, "127.0.0.1"), path);
  }
});

test("Koa: a handler that throws, and Koa's own error handling, which answers nobody → stored", async () => {
  const { sessions, logOut, logOutAndLeave } = await world();
  const app = new Koa();
  app.silent = true;
  app.use(koaSession(sessions));
  app.use(async (ctx) => {
    await logOut(ctx.session as Session<Data>);
    throw new Error("boom");
  });
  await logOutAndLeave(app.listen(0, "127.0.0.1"));
});

test("React Router: a loader that commits → stored", async () => {
  const { sessions, gates, logOutAndLeave } = await world();
  const storage = createStoredSessionStorage<Data>({ sessions });
  const route = {
    async loader({ request }: { request: Request }) {
      const session = await storage.getSession(request.headers.get("cookie"));
      await gates.pass("left");
      return data(null, { headers: { "Set-Cookie": await storage.destroySession(session) } });
    },
  };
  const handler = applicationOf({ root: { id: "root", path: "/", module: route } });
  const server = serve({ fetch: (request) => handler(request), port: 0, hostname: "127.0.0.1" });
  await logOutAndLeave(server as Server);
});
