import Koa from "koa";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { test } from "vitest";
import {
  StoredSessionKoaStore,
  type StoredSessionKoaStoreOptions,
} from "../../src/adapters/drop-in/koa-session.ts";
import { generateKey, memoryStore } from "../../src/index.ts";
import { contractError, fakeClock, type ContractSession } from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { DropInFace } from "./drop-in-face.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";

const require = createRequire(import.meta.url);
const koaSession = (require("koa-session") as any).default as (options: object, app: Koa) => Koa.Middleware;

function application(store: unknown, options: object = {}): Koa {
  const app = new Koa();
  app.silent = true;
  app.keys = ["a secret of the cookie's signature"];
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      Object.assign(ctx, contractError(error));
      ctx.remove("location");
    }
  });
  app.use(koaSession({ store, ...options }, app));
  return app;
}

const sessionOf = (ctx: Koa.Context) => ctx.session as any;

adapterOnEachDatabase("koa-session", {
  differs: ["cookies", "late", "ids", "leaving", "headers", "elevation", "devices"],
  async start(contract) {
    const app = application(
      new StoredSessionKoaStore({ store: contract.store, keys: contract.keys, storeTimeout: "1 min" }),
    );
    app.use(async (ctx) => {
      const face = new DropInFace({
        session: () => sessionOf(ctx),
        regenerate: () => sessionOf(ctx).regenerate(),
        destroy: () => void Object.assign(ctx, { session: null }),
      });
      const answer = await contract.route(ctx.url, () => face as ContractSession);
      ctx.status = answer.status;
      ctx.set(answer.headers as Record<string, string>);
      if (answer.redirect !== undefined) ctx.redirect(answer.redirect);
      else if (answer.chunks !== undefined) ctx.body = Readable.from(answer.chunks, { objectMode: false });
      else if (answer.body !== null) ctx.body = answer.body;
    });
    return running(app.listen(0, "127.0.0.1"));
  },
});

/** How many of 100 parallel changes survive, and whether a log-out under 100 requests in flight does. */
async function race(store: unknown): Promise<{ kept: number; alive: boolean }> {
  let gate = Promise.withResolvers<void>();
  let waiting = 0;
  const app = application(store);
  app.use(async (ctx) => {
    const key = ctx.query["key"] as string;
    if (ctx.path === "/all") ctx.body = sessionOf(ctx);
    else if (ctx.path === "/logout") Object.assign(ctx, { session: null, body: "out" });
    else {
      if (ctx.path === "/held") {
        waiting++;
        await gate.promise;
      }
      sessionOf(ctx)[key] = "kept";
      ctx.body = "set";
    }
  });
  const { url, close } = await running(app.listen(0, "127.0.0.1"));
  const first = await fetch(`${url}/set?key=user`);
  const cookie = first.headers
    .getSetCookie()
    .map((line) => line.split(";")[0])
    .join("; ");
  const get = async (path: string) => (await fetch(url + path, { headers: { cookie } })).text();
  const flight = async (prefix: string) => {
    waiting = 0;
    gate = Promise.withResolvers();
    const flights = Array.from({ length: 100 }, (_, n) => get(`/held?key=${prefix}${n}`));
    while (waiting < 100) await new Promise((resolve) => setImmediate(resolve));
    return flights;
  };
  const flights = await flight("a");
  gate.resolve();
  await Promise.all(flights);
  const kept = Object.keys(JSON.parse(await get("/all")) as object).filter((key) =>
    key.startsWith("a"),
  ).length;
  const late = await flight("b");
  await get("/logout");
  gate.resolve();
  await Promise.all(late);
  const alive = "user" in (JSON.parse(await get("/all")) as object);
  await close();
  return { kept, alive };
}

test("promises 2 and 3: 100 parallel changes → none is lost; a logout during 100 requests → the session stays ended", async () => {
  const rows = new Map<string, string>();
  const plain = await race({
    get: async (key: string) => (rows.has(key) ? (JSON.parse(rows.get(key)!) as unknown) : null),
    set: async (key: string, session: unknown) => void rows.set(key, JSON.stringify(session)),
    destroy: async (key: string) => void rows.delete(key),
  });
  const stored = await race(new StoredSessionKoaStore({ store: memoryStore(), keys: generateKey() }));
  console.log(
    `koa-session, 100 parallel changes: a plain store kept ${plain.kept}, StoredSessionKoaStore ${stored.kept}`,
  );
  console.log(
    `koa-session, alive after log-out: a plain store ${plain.alive}, StoredSessionKoaStore ${stored.alive}`,
  );
  assert.deepEqual(stored, { kept: 100, alive: false });
  assert.deepEqual(plain, { kept: 1, alive: true }, "the race is real");
});

function managed(options: Partial<StoredSessionKoaStoreOptions> = {}) {
  const watched = new WatchedStore(memoryStore());
  return {
    watched,
    store: new StoredSessionKoaStore({ store: watched.store, keys: generateKey(), ...options }),
  };
}

test("maxAge → the session ends on time (promise 5), and is touched at most once every touchEvery", async () => {
  const clock = fakeClock(Date.now());
  const { store, watched } = managed({ clock: clock.now, touchEvery: "1 h" });
  const maxAge = 86_400_000 + 10_000;
  await store.set("id", { user: 1, _expire: clock.now() + 86_400_000, _maxAge: 86_400_000 }, maxAge, {
    ctx: {},
  });
  for (let minute = 0; minute < 180; minute++) {
    clock.advance(60_000);
    const ctx = {};
    const session = (await store.get("id", maxAge, { ctx }))!;
    await store.set("id", { ...session, _expire: clock.now() + 86_400_000 }, maxAge, { ctx });
    await new Promise((resolve) => setTimeout(resolve)); // the touch is not waited for
  }
  assert.deepEqual([...new Set(watched.calls)], ["insert", "read", "touch"]);
  assert.equal(watched.calls.filter((call) => call === "touch").length, 3);
  assert.deepEqual(await store.get("id"), {
    user: 1,
    _maxAge: 86_400_000,
    _expire: clock.now() + 86_400_000,
  });
  clock.advance(maxAge - 1);
  assert.notEqual(await store.get("id"), null);
  clock.advance(1);
  assert.equal(await store.get("id"), null);
});

test('maxAge "session", rich values, users and an unknown id → as koa-session expects', async () => {
  const { store } = managed({ userOf: (data) => data["user"] as string });
  assert.equal(await store.get("nobody"), null);
  const at = new Date(7);
  await store.set("id", { user: "42", at, seen: new Set(["a"]), _session: true }, "session", {});
  assert.deepEqual(await store.get("id"), { user: "42", at, seen: new Set(["a"]), _session: true });
  assert.equal(await store.sessions.forUser("42").revokeAll(), 1);
  assert.equal(await store.get("id"), null);
  await store.destroy("id");
});

test("promise 2: a parallel save → does not undo a changed maxAge", async () => {
  const { store } = managed();
  const [hour, month] = [3_600_000, 30 * 86_400_000];
  await store.set("id", { user: 1, _maxAge: hour }, hour, { ctx: {} });
  const [slow, remember] = [{}, {}];
  const before = await store.get("id", hour, { ctx: slow });
  await store.get("id", hour, { ctx: remember });
  await store.set("id", { user: 1, _maxAge: month }, month, { ctx: remember });
  await store.set("id", { ...before, changed: true }, hour, { ctx: slow });
  const { _expire, ...rest } = (await store.get("id"))!;
  assert.deepEqual(rest, { user: 1, changed: true, _maxAge: month });
  assert.ok((_expire as number) > Date.now() + month - 60_000);
});

test("two saves in flight in one request → the second decides, also about keys that the first set", async () => {
  const { store } = managed();
  await store.set("id", { user: 1 }, 60_000, { ctx: {} });
  const ctx = {};
  await store.get("id", 60_000, { ctx });
  const saves = [{ user: 2, message: "saved" }, { user: 1 }].map((session) =>
    store.set("id", session, 60_000, { ctx }),
  );
  await Promise.all(saves);
  assert.deepEqual(await store.get("id"), { user: 1 });
});
