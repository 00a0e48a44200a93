import { serve } from "@hono/node-server";
import { Hono, type Context } from "hono";
import { stream } from "hono/streaming";
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { test, vi } from "vitest";
import { requireFresh, session } from "../../src/adapters/hono.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import {
  contractError,
  contractFresh,
  contractHeaders,
  type ContractSession,
} from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";

adapterOnEachDatabase("hono", {
  async start(contract) {
    const app = new Hono();
    app.onError((error, c) => {
      const { status, body } = contractError(error);
      return c.text(body, status as 500);
    });
    app.use(async (c, next) => {
      for (const [name, value] of Object.entries(contractHeaders)) c.header(name, value);
      await next();
    });
    app.use(session(contract.sessions));
    app.use("/fresh/*", requireFresh(contractFresh.within, contractFresh.options));
    app.use(session(contract.sessions)).all("*", async (c) => {
      const { pathname, search } = new URL(c.req.url);
      const answer = await contract.route(pathname + search, () => c.var.session as ContractSession);
      for (const [name, value] of Object.entries(answer.headers)) c.header(name, value);
      if (answer.redirect !== undefined) return c.redirect(answer.redirect);
      if (answer.chunks !== undefined) {
        return stream(c as Context, async (out) => {
          for await (const chunk of answer.chunks!) await out.write(chunk);
        });
      }
      return c.body(answer.body as string, answer.status as 200);
    });
    return running(serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server);
  },
});

function managed() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  return { watched, sessions };
}

test("Hono: app.request without a server, mounted twice → loads once", async () => {
  const { sessions, watched } = managed();
  const app = new Hono()
    .use(session(sessions))
    .use(session(sessions))
    .get("/", (c) => {
      c.var.session.data.n = (c.var.session.data.n ?? 0) + 1;
      return c.json({ n: c.var.session.data.n });
    });
  const first = await app.request("/");
  assert.deepEqual(await first.json(), { n: 1 });
  const [cookie] = first.headers.getSetCookie();
  const second = await app.request("/", { headers: { cookie: cookie!.split(";")[0]! } });
  assert.deepEqual(await second.json(), { n: 2 });
  assert.deepEqual(watched.calls, ["insert", "read", "update"]);
});

test("Hono: responses with immutable headers → get the cookie too", async () => {
  const { sessions } = managed();
  const app = new Hono().use(session(sessions)).get("/", (c) => {
    c.var.session.data.n = 1;
    return Response.redirect("http://localhost/elsewhere", 303);
  });
  const answer = await app.request("/");
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get("location"), "http://localhost/elsewhere");
  assert.equal(answer.headers.getSetCookie().length, 1);
  assert.equal(answer.headers.get("vary"), "Cookie");
});

test("Hono: address → that of the connection, or what the application says", async () => {
  const { sessions } = managed();
  const app = new Hono()
    .use(session(sessions, { address: (c) => c.req.header("x-real-ip") }))
    .get("/", (c) => {
      c.var.session.login("42");
      return c.text("in");
    });
  await app.request("/", { headers: { "x-real-ip": "10.0.0.9", "user-agent": "a browser" } });
  const [device] = await sessions.forUser("42").list();
  assert.deepEqual(device?.client, { address: "10.0.0.9", userAgent: "a browser" });
});

/** An app whose handler says much about its answer, and whose commit finds the store down. */
function failing(watched: WatchedStore, sessions: ReturnType<typeof managed>["sessions"]) {
  watched.down("writes");
  return new Hono().use(session(sessions)).get("/", (c) => {
    c.var.session.data.n = 1;
    c.header("Cache-Control", "public, max-age=600");
    c.header("X-Secret", "secret");
    c.header("Set-Cookie", "cart=1");
    c.status(201);
    return c.text("hello");
  });
}

test("Hono: a failed commit → nothing of the handler's response is sent, and no-store (promise 4, R12)", async () => {
  const { sessions, watched } = managed();
  const app = failing(watched, sessions);
  app.onError((error, c) => {
    c.header("X-Error", "yes");
    return c.text(error.name);
  });
  const answer = await app.request("/");
  assert.equal(answer.status, 503);
  assert.match(await answer.text(), /^Store\w*Error$/);
  assert.deepEqual(Object.fromEntries(answer.headers), {
    "cache-control": "no-store",
    "content-type": "text/plain; charset=UTF-8",
    vary: "Cookie",
    "x-error": "yes",
  });
});

test("Hono: the store is down, and no onError → 503, logged (promise 8)", async () => {
  const { sessions, watched } = managed();
  const log = vi.spyOn(console, "error").mockImplementation(() => {});
  try {
    const app = failing(watched, sessions);
    const answer = await app.request("/");
    assert.equal(answer.status, 503);
    assert.equal(await answer.text(), "Service Unavailable");
    assert.equal(answer.headers.get("cache-control"), "no-store");
    assert.equal(answer.headers.get("x-secret"), null);
    assert.equal(log.mock.calls.length, 1);
  } finally {
    log.mockRestore();
  }
});

test("Hono: the commit fails → the body of the dropped response is cancelled", async () => {
  const { sessions, watched } = managed();
  watched.down("writes");
  let cancelled = false;
  const body = new ReadableStream({
    cancel() {
      cancelled = true;
    },
  });
  const app = new Hono().use(session(sessions)).get("/", (c) => {
    c.var.session.data.n = 1;
    return new Response(body);
  });
  app.onError((_, c) => c.text("down"));
  assert.equal((await app.request("/")).status, 503);
  assert.equal(cancelled, true);
});

test("Hono: the handler commits itself → its cookie is sent too", async () => {
  const { sessions } = managed();
  const app = new Hono().use(session(sessions)).get("/", async (c) => {
    c.var.session.login("42");
    await sessions.commit(c.var.session);
    return c.text("in");
  });
  const answer = await app.request("/");
  assert.equal(answer.headers.getSetCookie().length, 1);
  assert.equal(answer.headers.get("cache-control"), "no-store");
});
