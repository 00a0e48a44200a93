import Koa from "koa";
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { test } from "vitest";
import { requireFresh, session, sessionOf } from "../../src/adapters/koa.ts";
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

adapterOnEachDatabase("koa", {
  async start(contract) {
    const app = new Koa();
    app.silent = true;
    app.use(async (ctx, next) => {
      ctx.set(contractHeaders);
      try {
        await next();
      } catch (error) {
        Object.assign(ctx, contractError(error));
      }
    });
    app.use(session(contract.sessions));
    const fresh = requireFresh(contractFresh.within, contractFresh.options);
    app.use((ctx, next) => (ctx.path.startsWith("/fresh/") ? fresh(ctx, next) : next()));
    app.use(async (ctx) => {
      const answer = await contract.route(ctx.url, () => ctx.session as ContractSession);
      ctx.status = answer.status;
      ctx.set(answer.headers as Record<string, string>);
      if (answer.redirect !== undefined) ctx.redirect(answer.redirect);
      else if (answer.chunks !== undefined) ctx.body = Readable.from(answer.chunks, { objectMode: false });
      else if (answer.file !== undefined) ctx.body = createReadStream(answer.file);
      else if (answer.raw === true) {
        ctx.respond = false;
        ctx.res.writeHead(answer.status).end(answer.body);
      } else if (answer.body !== null) ctx.body = answer.body;
    });
    return running(app.listen(0, "127.0.0.1"));
  },
  ways: ["file", "raw"],
});

function managed() {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  return { watched, sessions };
}

async function withApp(app: Koa, body: (url: string) => Promise<void>): Promise<void> {
  app.silent = true;
  const { url, close } = await running(app.listen(0, "127.0.0.1"));
  try {
    await body(url);
  } finally {
    await close();
  }
}

test("Koa: mounted twice → loads and commits once", async () => {
  const { sessions, watched } = managed();
  const app = new Koa();
  app.use(session(sessions)).use(session(sessions));
  app.use((ctx) => {
    sessionOf(sessions, ctx).data.n = 1;
    ctx.body = "once";
  });
  await withApp(app, async (url) => {
    assert.equal((await fetch(url)).headers.getSetCookie().length, 1);
  });
  assert.deepEqual(watched.calls, ["insert"]);
});

test("Koa: a handler that writes to ctx.res → still sent after the commit (promise 4)", async () => {
  const { sessions } = managed();
  const app = new Koa();
  app.use(session(sessions));
  app.use((ctx) => {
    sessionOf(sessions, ctx).data.n = 1;
    ctx.respond = false;
    ctx.res.end("raw");
  });
  await withApp(app, async (url) => {
    const answer = await fetch(url);
    assert.equal(await answer.text(), "raw");
    assert.equal(answer.headers.getSetCookie().length, 1);
  });
});

test("Koa: an error in outer middleware after the commit → the cookie is sent", async () => {
  const { sessions } = managed();
  const app = new Koa();
  app.use(async (_ctx, next) => {
    await next();
    throw new Error("logging failed");
  });
  app.use(session(sessions));
  app.use((ctx) => {
    sessionOf(sessions, ctx).login("42");
    ctx.body = "in";
  });
  await withApp(app, async (url) => {
    const answer = await fetch(url); // Koa removes every header before it answers an error
    assert.equal(answer.status, 500);
    assert.equal(answer.headers.getSetCookie().length, 1);
  });
});

test("Koa: middleware around it changes the session → saved with the first byte", async () => {
  const { sessions, watched } = managed();
  const app = new Koa();
  app.use(async (ctx, next) => {
    await next();
    sessionOf(sessions, ctx).data.n = 2;
  });
  app.use(session(sessions));
  app.use((ctx) => {
    sessionOf(sessions, ctx).data.n = 1;
    ctx.body = "x";
  });
  await withApp(app, async (url) => {
    const cookies = (await fetch(url)).headers.getSetCookie();
    assert.equal(cookies.length, 1);
    assert.equal((await sessions.load(cookies[0]!.split(";")[0])).data.n, 2);
  });
  assert.deepEqual(watched.calls, ["insert", "update", "read"]);
});

test("Koa: the store is down → Koa's error response (R37)", async () => {
  const { sessions, watched } = managed();
  watched.down("all");
  const app = new Koa();
  app.use(session(sessions));
  app.use((ctx) => {
    sessionOf(sessions, ctx).data.n = 1;
    ctx.redirect("/never");
  });
  await withApp(app, async (url) => {
    const answer = await fetch(url, { redirect: "manual" });
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get("location"), null);
  });
});
