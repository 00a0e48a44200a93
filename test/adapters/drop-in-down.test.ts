/** A drop-in store whose database is down, and every habit of calling it. */
import Koa from "koa";
import fastify from "fastify";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { test } from "vitest";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { StoredSessionKoaStore } from "../../src/adapters/drop-in/koa-session.ts";
import { memoryStore } from "../../src/index.ts";
import { contractError } from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { testKeys } from "../session/doubles.ts";
import { running } from "./server.ts";

// Without their types, which claim request.session for themselves.
const require = createRequire(import.meta.url);
const fastifyCookie = require("@fastify/cookie") as any;
const fastifySession = require("@fastify/session") as any;
const koaSession = (require("koa-session") as any).default as (options: object, app: Koa) => Koa.Middleware;

const secret = "a secret of at least thirty-two characters";
const unheard = (call: string) => `STORED_SESSION_UNHEARD_FAILURE ${call}()`;

test(
  "promise 8: express-session calls the store without a callback → a process warning each, and the process lives",
  {
    timeout: 60_000,
  },
  async () => {
    const child = join(import.meta.dirname, "children/habits-while-down.ts");
    const { stdout } = await promisify(execFile)(process.execPath, ["--no-warnings", child]);
    const {
      "/destroy": destroy,
      "/regenerate": regenerate,
      "/save": save,
      "/told": told,
      ...calls
    } = JSON.parse(stdout) as Record<string, any>;
    // The session is alive still: only a callback could have told the browser.
    assert.deepEqual(destroy, { status: 200, user: 1, warnings: [unheard("destroy")] });
    assert.deepEqual(regenerate, { status: 200, user: 1, warnings: [unheard("regenerate")] });
    assert.deepEqual(save, { status: 200, user: 1, warnings: [] }); // express-session itself passes a callback
    assert.deepEqual(told, { status: 503, user: 1, warnings: [] });
    assert.equal(Object.keys(calls).length, 10);
    for (const [name, result] of Object.entries(calls)) {
      const code = "ERR_STORED_SESSION_CLOSED";
      assert.deepEqual(result.told, [code, code, code], name);
      assert.deepEqual(result.heard, [], name);
      assert.deepEqual(result.unheard, Array(3).fill(unheard(name.split(" ")[0]!)), name);
    }
  },
);

test("promise 8: @fastify/session awaits destroy, regenerate or save → a 503, and no unhandled rejection", async () => {
  const unhandled: unknown[] = [];
  const listener = (reason: unknown) => void unhandled.push(reason);
  process.on("unhandledRejection", listener);
  const watched = new WatchedStore(memoryStore());
  const app = fastify();
  app.setErrorHandler((error, _request, reply) => {
    const { status, body } = contractError(error);
    reply.code(status).send(body);
  });
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    secret,
    store: new StoredSessionStore({ store: watched.store, keys: testKeys }),
    saveUninitialized: false,
    rolling: false,
    cookie: { secure: false },
  });
  app.get("/*", async (request) => {
    const session = request.session as any;
    if (request.url === "/login") session.user = 1;
    else watched.down("all");
    if (request.url === "/destroy") await session.destroy();
    if (request.url === "/regenerate") await session.regenerate();
    if (request.url === "/save") {
      session.changed = true;
      await session.save();
    }
    return "done";
  });
  for (const url of ["/destroy", "/regenerate", "/save"]) {
    watched.up();
    const [cookie] = [(await app.inject("/login")).headers["set-cookie"]].flat();
    const answer = await app.inject({ url, headers: { cookie: cookie!.split(";")[0]! } });
    assert.equal(answer.statusCode, 503, url);
  }
  await app.close();
  process.off("unhandledRejection", listener);
  assert.deepEqual(unhandled, []);
});

test("promise 8: koa-session with autoCommit, an awaited save or regenerate → a 503, and no unhandled rejection", async () => {
  const unhandled: unknown[] = [];
  const listener = (reason: unknown) => void unhandled.push(reason);
  process.on("unhandledRejection", listener);
  const watched = new WatchedStore(memoryStore());
  const app = new Koa();
  app.silent = true;
  app.keys = [secret];
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      Object.assign(ctx, contractError(error));
    }
  });
  app.use(koaSession({ store: new StoredSessionKoaStore({ store: watched.store, keys: testKeys }) }, app));
  app.use(async (ctx) => {
    const session = ctx.session as any;
    if (ctx.path === "/login") session.user = 1;
    else watched.down("all");
    if (ctx.path === "/destroy") Object.assign(ctx, { session: null });
    if (ctx.path === "/change" || ctx.path === "/save") session.changed = true;
    if (ctx.path === "/regenerate") await session.regenerate();
    if (ctx.path === "/save") await session.save();
    ctx.body = "done";
  });
  const { url, close } = await running(app.listen(0, "127.0.0.1"));
  for (const path of ["/destroy", "/change", "/regenerate", "/save"]) {
    watched.up();
    const login = await fetch(`${url}/login`);
    const cookie = login.headers
      .getSetCookie()
      .map((line) => line.split(";")[0]!)
      .join("; ");
    assert.equal((await fetch(url + path, { headers: { cookie } })).status, 503, path);
  }
  await close();
  process.off("unhandledRejection", listener);
  assert.deepEqual(unhandled, []);
});
