import assert from "node:assert/strict";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { serve } from "@hono/node-server";
import Koa from "koa";
import { createServer, request as httpRequest, type Server } from "node:http";
import { afterEach, beforeEach, test, vi } from "vitest";
import { running } from "./server.ts";

// One warning a process: each test has the modules for itself.
beforeEach(() => {
  vi.resetModules();
});

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const core = async () => {
  const { createSessionManager, generateKey, memoryStore } = await import("../../src/index.ts");
  return createSessionManager({ store: memoryStore(), keys: generateKey() });
};

/** Servers by adapter: each logs everybody in. */
const servers: Record<string, () => Promise<Server>> = {
  async Express() {
    const { session } = await import("../../src/adapters/express.ts");
    const app = express().use(session(await core()), (request, response) => {
      request.session.login("42");
      response.send("in");
    });
    return app.listen(0, "127.0.0.1");
  },
  async Fastify() {
    const { storedSession } = await import("../../src/adapters/fastify.ts");
    const app = fastify();
    await app.register(storedSession, { sessions: await core() });
    app.get("/", (request) => {
      request.session.login("42");
      return "in";
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    return app.server;
  },
  async Koa() {
    const { session } = await import("../../src/adapters/koa.ts");
    const app = new Koa();
    app.use(session(await core()));
    app.use((ctx) => {
      ctx.session.login("42");
      ctx.body = "in";
    });
    return app.listen(0, "127.0.0.1");
  },
  async Hono() {
    const { session } = await import("../../src/adapters/hono.ts");
    const app = new Hono().use(session(await core())).get("/", (c) => {
      c.var.session.login("42");
      return c.text("in");
    });
    return serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
  },
  async "node:http"() {
    const { withSession } = await import("../../src/adapters/node/node-response.ts");
    const listener = withSession(await core(), (_request, response, session) => {
      session.login("42");
      response.end("in");
    });
    return createServer(listener).listen(0, "127.0.0.1");
  },
};

async function warningsOf(adapter: string, headers: Record<string, string>): Promise<string[]> {
  const { url, close } = await running(await servers[adapter]!());
  closing.push(close);
  const warnings: string[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning.message);
  process.on("warning", onWarning);
  await new Promise<void>((resolve, reject) => {
    const request = httpRequest(url, { headers, agent: false }, (response) =>
      response.resume().on("end", () => resolve()),
    );
    request.on("error", reject).end();
  });
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", onWarning);
  return warnings;
}

const safari =
  "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15";

for (const adapter of Object.keys(servers)) {
  test(`${adapter}: behind a proxy without TLS on the same machine → a warning of its own`, async () => {
    const [warning, ...others] = await warningsOf(adapter, { host: "shop.example" });
    assert.match(warning!, /proxy on this machine/);
    assert.deepEqual(others, []);
  });

  test(`${adapter}: Safari on http://localhost → a warning of its own; other clients there → none`, async () => {
    assert.deepEqual(await warningsOf(adapter, { host: "localhost:3000" }), []);
    const [warning] = await warningsOf(adapter, { host: "localhost:3000", "user-agent": safari });
    assert.match(warning!, /Safari/);
  });
}
