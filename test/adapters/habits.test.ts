import assert from "node:assert/strict";
import { csrfSync } from "csrf-sync";
import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { afterEach, test } from "vitest";
import { session } from "../../src/adapters/express.ts";
import { storedSession } from "../../src/adapters/fastify.ts";
import { session as honoSession } from "../../src/adapters/hono.ts";
import { session as koaSession } from "../../src/adapters/koa.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { running } from "./server.ts";

// Without types of their own.
const require = createRequire(import.meta.url);
const flash = require("connect-flash") as () => RequestHandler;
const csurf = require("csurf") as (options?: { sessionKey: string }) => RequestHandler;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const manager = () =>
  createSessionManager<Record<string, unknown>>({ store: memoryStore(), keys: generateKey() });

/** An Express application whose errors are answered with their message. */
async function serving(sessions: ReturnType<typeof manager>, ...handlers: RequestHandler[]): Promise<string> {
  const app = express();
  app.use(session(sessions), ...handlers);
  const answerError: ErrorRequestHandler = (error: Error, _request, response, _next) => {
    response.status(500).send(`${error.name}: ${error.message}`);
  };
  app.use(answerError);
  const { url, close } = await running(app.listen(0, "127.0.0.1"));
  closing.push(close);
  return url;
}

/** Asks with a cookie jar of its own. */
function browser(url: string) {
  let cookie = "";
  return async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(url + path, {
      redirect: "manual",
      ...init,
      headers: { cookie, ...init.headers },
    });
    const [setCookie] = answer.headers.getSetCookie();
    if (setCookie !== undefined) cookie = setCookie.split(";")[0]!;
    return { status: answer.status, text: await answer.text() };
  };
}

test("connect-flash on the Express adapter → a TypeError names it and what to write, and no message reaches another visitor", async () => {
  const url = await serving(manager(), flash(), (request, response) => {
    const { flash: flashed } = request as unknown as { flash(type: string, message?: string): unknown };
    if (request.path === "/set") flashed.call(request, "notice", "for Ada alone");
    response.json(flashed.call(request, "notice"));
  });
  const set = await browser(url)("/set");
  assert.equal(set.status, 500);
  assert.match(set.text, /^TypeError: .*session\.takeFlash\(name\).*connect-flash/);
  assert.doesNotMatch((await browser(url)("/")).text, /for Ada alone/);
});

test("csurf on the Express adapter → a TypeError says what to do; with sessionKey, as documented, it works", async () => {
  const refused = await serving(manager(), csurf(), (_request, response) => {
    response.send("not reached");
  });
  const page = await browser(refused)("/");
  assert.equal(page.status, 500);
  assert.match(page.text, /CSRF library/);

  const url = await serving(
    manager(),
    (request, _response, next) => {
      Object.defineProperty(request, "sessionData", { get: () => request.session.data });
      next();
    },
    csurf({ sessionKey: "sessionData" }),
    (request, response) => {
      response.send((request as unknown as { csrfToken(): string }).csrfToken());
    },
  );
  const ask = browser(url);
  const token = (await ask("/")).text;
  assert.equal((await ask("/", { method: "POST", headers: { "csrf-token": token } })).status, 200);
  assert.notEqual((await ask("/", { method: "POST" })).status, 200);
});

test("csrf-sync on the Express adapter → a TypeError says what to do; with its options, as documented, it works", async () => {
  const refused = csrfSync();
  const first = await browser(
    await serving(manager(), refused.csrfSynchronisedProtection, (request, response) => {
      response.send(refused.generateToken(request));
    }),
  )("/");
  assert.equal(first.status, 500);
  assert.match(first.text, /getTokenFromState/);

  const { csrfSynchronisedProtection, generateToken } = csrfSync({
    getTokenFromState: (request) => (request.session.data as { csrfToken?: string }).csrfToken,
    storeTokenInState: (request, token) => {
      (request.session.data as { csrfToken?: unknown }).csrfToken = token;
    },
  });
  const ask = browser(
    await serving(manager(), csrfSynchronisedProtection, (request, response) => {
      response.send(generateToken(request));
    }),
  );
  const token = (await ask("/")).text;
  assert.equal((await ask("/", { method: "POST", headers: { "x-csrf-token": token } })).status, 200);
  assert.equal((await ask("/", { method: "POST" })).status, 500);
});

for (const habit of ["destroy", "regenerate", "reset", "save", "reload", "touch"]) {
  test(`Express: req.session.${habit}(callback) → the request fails with what to write, it does not hang`, async () => {
    const url = await serving(manager(), (request, response) => {
      (request.session as unknown as Record<string, (callback: () => void) => void>)[habit]!(() =>
        response.send("called"),
      );
    });
    const { status, text } = await browser(url)("/");
    assert.equal(status, 500);
    assert.match(text, new RegExp(`^TypeError: .*session\\.${habit}`));
  });
}

const nulled = /set to null.*session\.destroy\(\)/;
const loginThenNull = async (ask: ReturnType<typeof browser>, stillIn: () => Promise<number>) => {
  await ask("/login");
  const out = await ask("/null");
  assert.equal(out.status, 500);
  assert.equal(await stillIn(), 1, "nothing was saved, and the error says so");
  return out.text;
};

test("Express: req.session = null → an error says to call destroy()", async () => {
  const sessions = manager();
  const url = await serving(sessions, (request, response) => {
    if (request.path === "/login") request.session.login("42");
    else (request as unknown as { session: null }).session = null;
    response.send("done");
  });
  const text = await loginThenNull(browser(url), () => sessions.count());
  assert.match(text, nulled);
});

test("Fastify: request.session = null → an error says to call destroy()", async () => {
  const sessions = manager();
  const app = fastify();
  await app.register(storedSession, { sessions });
  app.get("/login", (request) => {
    request.session.login("42");
    return "in";
  });
  app.get("/null", (request) => {
    (request as unknown as { session: null }).session = null;
    return "out";
  });
  closing.push(() => app.close());
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  const text = await loginThenNull(browser(url), () => sessions.count());
  assert.match(text, nulled);
});

test("Koa: ctx.session = null → an error says to call destroy()", async () => {
  const sessions = manager();
  const app = new Koa();
  app.silent = true;
  const errors: unknown[] = [];
  app.use(async (_ctx, next) => {
    try {
      await next();
    } catch (error) {
      errors.push(error);
      throw error;
    }
  });
  app.use(koaSession(sessions));
  app.use((ctx) => {
    if (ctx.path === "/login") ctx.session.login("42");
    else (ctx as unknown as { session: null }).session = null;
    ctx.body = "done";
  });
  const { url, close } = await running(createServer(app.callback()).listen(0, "127.0.0.1"));
  closing.push(close);
  await loginThenNull(browser(url), () => sessions.count());
  assert.match(String(errors[0]), nulled);
});

test("Hono: c.set('session', null) → an error says to call destroy()", async () => {
  const sessions = manager();
  const app = new Hono()
    .use(honoSession(sessions))
    .get("/login", (c) => {
      c.var.session.login("42");
      return c.text("in");
    })
    .get("/null", (c) => {
      c.set("session", null as never);
      return c.text("out");
    })
    .onError((error, c) => c.text(error.message, 500));
  const login = await app.request("/login");
  const cookie = login.headers.getSetCookie()[0]!.split(";")[0]!;
  const out = await app.request("/null", { headers: { cookie } });
  assert.equal(out.status, 500);
  assert.match(await out.text(), nulled);
});
