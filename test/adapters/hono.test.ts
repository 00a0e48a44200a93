import { serve } from "@hono/node-server";
import { Hono, type Context } from "hono";
import { stream } from "hono/streaming";
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { test } from "vitest";
import { session } from "../../src/adapters/hono.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { contractError, type ContractSession } from "../../src/testing/index.ts";
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
    app.use(session(contract.sessions)).all("*", async (c) => {
      const { pathname, search } = new URL(c.req.url);
      const answer = await contract.route(pathname + search, () => c.var.session as ContractSession);
      for (const [name, value] of Object.entries(answer.headers)) c.header(name, value);
      if (answer.redirect !== undefined) return c.redirect(answer.redirect);
      if (answer.chunks !== undefined) {
        return stream(c as Context, async (out) => {
          for (const chunk of answer.chunks!) await out.write(chunk);
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

test("Hono: app.request, without a server; mounted twice it loads once", async () => {
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

test("Hono: responses with immutable headers get the cookie too", async () => {
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

test("Hono: the address of the connection, or what the application says, is kept", async () => {
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
