/** What a drop-in store does when a session's user changes, with and without a new id. */
import fastify from "fastify";
import express, { type Request, type RequestHandler } from "express";
import Koa from "koa";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { afterEach, beforeEach, describe, test } from "vitest";
import {
  StoredSessionStore,
  type StoredSessionStoreOptions,
} from "../../src/adapters/drop-in/express-session.ts";
import { StoredSessionKoaStore } from "../../src/adapters/drop-in/koa-session.ts";
import { ConflictError, memoryStore, SessionEndedError } from "../../src/index.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { testKeys } from "../session/doubles.ts";
import { eachStore } from "../session/stores.ts";
import { running } from "./server.ts";

// Without their types, which claim req.session for themselves.
const require = createRequire(import.meta.url);
const expressSession = require("express-session") as (options: object) => RequestHandler;
const passport = require("passport") as any;
const fastifyCookie = require("@fastify/cookie") as any;
const fastifySession = require("@fastify/session") as any;
const koaSession = (require("koa-session") as any).default as (options: object, app: Koa) => Koa.Middleware;

const secret = "a secret of at least thirty-two characters";
const day = 86_400_000;
const userOf = (data: Record<string, unknown>) => data["user"] as string | undefined;

function managed(options: Partial<StoredSessionStoreOptions> = {}): StoredSessionStore {
  return new StoredSessionStore({ store: memoryStore(), keys: testKeys, userOf, ...options });
}

/** What a session holds besides its cookie. */
async function held(store: StoredSessionStore, id: string): Promise<Record<string, unknown> | null> {
  const session = (await store.get(id)) as Record<string, unknown> | null;
  if (session === null) return null;
  const { cookie: _cookie, ...data } = session;
  return data;
}

const usersOf = async (store: StoredSessionStore, user: string) =>
  (await store.sessions.forUser(user).list()).length;

const warnings: (string | undefined)[] = [];
const onWarning = (warning: Error & { code?: string }) => void warnings.push(warning.code);
beforeEach(() => void process.on("warning", onWarning));
afterEach(() => {
  process.off("warning", onWarning);
  warnings.length = 0;
});

eachStore((name, create) => {
  const opened = async (options: Partial<StoredSessionStoreOptions> = {}) => {
    const { store: below, drop } = await create();
    return { store: managed({ store: below, ...options }), drop };
  };

  test(`R17 on ${name}: a user set in place → both clocks restart, the visitor's data stays`, async () => {
    const clock = fakeClock(Date.now());
    const { store, drop } = await opened({ clock: clock.now, absoluteTimeout: 10 * day });
    await store.set("id", { basket: ["tea"], cookie: { path: "/" } });
    clock.advance(9 * day);
    const session = await store.get("id");
    session.user = "ada";
    await store.set("id", session);
    const [info] = await store.sessions.forUser("ada").list();
    assert.equal(info!.createdAt.getTime(), clock.now());
    clock.advance(9 * day);
    const later = await store.get("id");
    assert.deepEqual(await held(store, "id"), { basket: ["tea"], user: "ada" });
    later.seen = true;
    await store.set("id", later);
    assert.deepEqual(await held(store, "id"), { basket: ["tea"], user: "ada", seen: true });
    clock.advance(day);
    assert.equal(await store.get("id"), null, "promise 5: dead on time");
    await drop();
  });

  test(`R42 on ${name}: another user set in place → only what that request set, never the first user's data`, async () => {
    const clock = fakeClock(Date.now());
    const { store, drop } = await opened({ clock: clock.now });
    await store.set("id", { user: "ada", diary: "hers", shared: 1, cookie: { path: "/" } });
    const stale = await store.get("id");
    const session = await store.get("id");
    session.user = "ben";
    session.shared = 2;
    await store.set("id", session);
    assert.deepEqual(await held(store, "id"), { user: "ben", shared: 2 });
    assert.equal((await store.get("id")).cookie.path, "/");
    session.more = true; // the same request again, whose object still has all of it
    await store.set("id", session);
    await store.touch("id", session);
    assert.deepEqual(await held(store, "id"), { user: "ben", shared: 2, more: true });
    stale.late = "hers"; // in the same millisecond as the login, too
    await store.set("id", stale);
    clock.advance(1);
    await store.set("id", stale);
    assert.deepEqual(await held(store, "id"), { user: "ben", shared: 2, more: true });
    assert.deepEqual([await usersOf(store, "ada"), await usersOf(store, "ben")], [0, 1]);
    await drop();
  });

  test(`R42 on ${name}: a user taken out in place → nothing of theirs is there for the next one`, async () => {
    const { store, drop } = await opened();
    await store.set("id", { user: "ada", diary: "hers", cookie: {} });
    const session = await store.get("id");
    delete session.user;
    session.notice = "goodbye";
    await store.set("id", session);
    assert.deepEqual(await held(store, "id"), { notice: "goodbye" });
    await drop();
  });

  test(`R42 on ${name}: two users log in at once in one session → the later has it, without the other's data`, async () => {
    const clock = fakeClock(Date.now());
    for (const pause of [0, 1]) {
      const { store, drop } = await opened({ clock: clock.now });
      await store.set("id", { basket: 1, cookie: {} });
      const [ada, ben] = [await store.get("id"), await store.get("id")];
      Object.assign(ada, { user: "ada", diary: "hers" });
      Object.assign(ben, { user: "ben", letters: "his" });
      await store.set("id", ada);
      clock.advance(pause);
      await store.set("id", ben);
      assert.deepEqual(await held(store, "id"), { basket: 1, user: "ben", letters: "his" });
      ada.late = "hers";
      await store.set("id", ada);
      await store.touch("id", ada);
      assert.deepEqual(await held(store, "id"), { basket: 1, user: "ben", letters: "his" });
      assert.deepEqual([await usersOf(store, "ada"), await usersOf(store, "ben")], [0, 1]);
      await drop();
    }
  });

  test(`promise 2 on ${name}: one user logs in twice at once in one session → both keep what they set`, async () => {
    const clock = fakeClock(Date.now());
    const { store, drop } = await opened({ clock: clock.now });
    await store.set("id", { basket: 1, cookie: {} });
    const [first, second] = [await store.get("id"), await store.get("id")];
    Object.assign(first, { user: "ada", first: true });
    Object.assign(second, { user: "ada", second: true });
    await store.set("id", first);
    clock.advance(1);
    await store.set("id", second);
    assert.deepEqual(await held(store, "id"), { basket: 1, user: "ada", first: true, second: true });
    await drop();
  });

  test(`promise 2 on ${name}: a login in place beside another visitor's request → both changes stay`, async () => {
    const { store, drop } = await opened();
    await store.set("id", { cookie: {} });
    const [login, basket] = [await store.get("id"), await store.get("id")];
    basket.basket = 1;
    await store.set("id", basket);
    login.user = "ada";
    await store.set("id", login);
    assert.deepEqual(await held(store, "id"), { basket: 1, user: "ada" });
    await drop();
  });
});

describe("races of a login", () => {
  test("promise 3: a visitor's late save after a login in place → dropped as ended", async () => {
    const store = managed();
    await store.set("id", { cookie: {} });
    const [login, late] = [await store.get("id"), await store.get("id")];
    login.user = "ada";
    await store.set("id", login);
    late.planted = "by whoever knew the id";
    await store.set("id", late);
    assert.deepEqual(await held(store, "id"), { user: "ada" });
  });

  test("promise 3: a login in place after a logout elsewhere → an error, and the session stays ended", async () => {
    const store = managed();
    await store.set("id", { cookie: {} });
    const login = await store.get("id");
    await store.destroy("id");
    login.user = "ada";
    await assert.rejects(store.set("id", login), SessionEndedError);
    assert.equal(await store.get("id"), null);
  });

  test("a logout in place after another user logged in → that user stays logged in", async () => {
    const clock = fakeClock(Date.now());
    const store = managed({ clock: clock.now });
    await store.set("id", { user: "ada", cookie: {} });
    const [logout, login] = [await store.get("id"), await store.get("id")];
    login.user = "ben";
    await store.set("id", login);
    delete logout.user;
    await store.set("id", logout);
    assert.deepEqual(await held(store, "id"), { user: "ben" });
  });

  test("a session without a past saved over another user's → the clocks restart", async () => {
    const clock = fakeClock(Date.now());
    const store = managed({ clock: clock.now });
    await store.set("id", { user: "ada", cookie: {} });
    const start = clock.now();
    clock.advance(1_000);
    await store.set("id", { user: "ada", copied: true, cookie: {} });
    const created = async (user: string) =>
      (await store.sessions.forUser(user).list())[0]!.createdAt.getTime();
    assert.equal(await created("ada"), start);
    await store.set("id", { user: "ben", cookie: {} });
    assert.equal(await created("ben"), clock.now());
  });

  test("two changes that together make a third user → a ConflictError, what is stored stays", async () => {
    const store = managed({
      userOf: (data) => (data["a"] === 1 && data["b"] === 1 ? "root" : "ada"),
    });
    await store.set("id", { a: 0, b: 0, cookie: {} });
    const [a, b] = [await store.get("id"), await store.get("id")];
    a.a = 1;
    await store.set("id", a);
    b.b = 1;
    await assert.rejects(store.set("id", b), ConflictError);
    assert.deepEqual(await held(store, "id"), { a: 1, b: 0 });
  });

  test("userOf added or changed by a release → sessions stored before keep their clocks and merge", async () => {
    const below = memoryStore();
    const clock = fakeClock(Date.now());
    const before = new StoredSessionStore({ store: below, keys: testKeys, clock: clock.now });
    const store = managed({ store: below, clock: clock.now });
    await before.set("id", { user: "ada", cookie: {} });
    const [one, two] = [await store.get("id"), await store.get("id")];
    const start = clock.now();
    clock.advance(1_000);
    one.one = 1;
    await store.set("id", one);
    two.two = 2;
    await store.set("id", two);
    assert.deepEqual(await held(store, "id"), { user: "ada", one: 1, two: 2 });
    const renamed = managed({ store: below, userOf: (data) => data["account"] as string, clock: clock.now });
    const session = await renamed.get("id");
    session.three = 3;
    await renamed.set("id", session);
    assert.deepEqual(await held(renamed, "id"), { user: "ada", one: 1, two: 2, three: 3 });
    await store.set("id", Object.assign(await store.get("id"), { four: 4 }));
    assert.equal((await store.sessions.forUser("ada").list())[0]!.createdAt.getTime(), start);
  });
});

for (const [what, option] of [
  ["reads another key", { userOf: (data: Record<string, unknown>) => data["account"] as string | undefined }],
  ["is gone", { userOf: undefined }],
] as const) {
  test(`decision 4: userOf ${what} after a release → who was logged in stays, for revokeAll to find`, async () => {
    const below = memoryStore();
    const before = managed({ store: below });
    await before.set("id", { user: "ada", cookie: {} });
    const { userOf: _userOf, ...rest } = { ...option, store: below, keys: testKeys };
    const after = new StoredSessionStore(option.userOf ? { ...rest, userOf: option.userOf } : rest);
    const [one, two] = [await after.get("id"), await after.get("id")];
    await after.set("id", Object.assign(one, { one: 1 }));
    await after.set("id", Object.assign(two, { two: 2 }));
    assert.deepEqual(await held(after, "id"), { user: "ada", one: 1, two: 2 });
    assert.equal(await usersOf(after, "ada"), 1);
  });
}

describe("hooks", () => {
  for (const [what, user] of [
    ["an object", { id: 7 }],
    ["an array", ["42"]],
    ["a fraction", 1.5],
    ["NaN", Number.NaN],
    ["true", true],
    ["a promise", Promise.resolve("42")],
  ] as const) {
    test(`userOf answers ${what} → a TypeError, and nothing is stored`, async () => {
      const store = managed({ userOf: () => user as never });
      await assert.rejects(store.set("id", { cookie: {} }), { name: "TypeError", message: /userOf/ });
      assert.equal(await store.length(), 0);
      const koa = new StoredSessionKoaStore({
        store: memoryStore(),
        keys: testKeys,
        userOf: () => user as never,
      });
      await assert.rejects(koa.set("id", {}, day, { ctx: {} }), { name: "TypeError", message: /userOf/ });
    });
  }

  test("userOf answers a whole number or a bigint → its decimal text names the user", async () => {
    for (const user of [42, 42n]) {
      const store = managed({ userOf: () => user });
      await store.set("id", { cookie: {} });
      assert.equal(await store.sessions.forUser("42").revokeAll(), 1);
    }
  });

  for (const [what, onConflict] of [
    ["async", async () => "merged"],
    ["async and rejecting", async () => Promise.reject(new Error("the hook's own"))],
  ] as const) {
    test(`promise 2: onConflict is ${what} → a TypeError, what is stored stays, no unhandled rejection`, async () => {
      const unhandled: unknown[] = [];
      const listener = (reason: unknown) => void unhandled.push(reason);
      process.on("unhandledRejection", listener);
      const store = managed({ onConflict });
      await store.set("id", { n: 0, cookie: {} });
      const [one, two] = [await store.get("id"), await store.get("id")];
      one.n = 1;
      await store.set("id", one);
      two.n = 2;
      await assert.rejects(store.set("id", two), { name: "TypeError", message: /onConflict/ });
      assert.deepEqual(await held(store, "id"), { n: 1 });
      await new Promise((resolve) => setTimeout(resolve, 5));
      process.off("unhandledRejection", listener);
      assert.deepEqual(unhandled, []);
    });
  }
});

/** A browser of one cookie. */
function browser(url: string) {
  const jar = {
    cookie: "",
    async get(path: string) {
      const headers: Record<string, string> = jar.cookie === "" ? {} : { cookie: jar.cookie };
      const answer = await fetch(url + path, { headers });
      const set = answer.headers.getSetCookie().map((line) => line.split(";")[0]!);
      if (set.length > 0) jar.cookie = set.join("; ");
      return { status: answer.status, text: await answer.text() };
    },
  };
  return jar;
}

/** Passport under express-session, and beside it an application's own login in place. */
async function withPassport(
  options: object,
  body: (url: string, store: StoredSessionStore) => Promise<void>,
): Promise<void> {
  const store = managed({
    userOf: (data) => (data["passport"] as { user?: string } | undefined)?.user ?? (data["user"] as string),
  });
  const auth = new passport.Passport();
  auth.serializeUser((user: { id: string }, done: (error: unknown, id: string) => void) =>
    done(null, user.id),
  );
  auth.deserializeUser((id: string, done: (error: unknown, user: unknown) => void) => done(null, { id }));
  const app = express();
  app.use(expressSession({ store, secret, resave: false, saveUninitialized: false }));
  app.use(auth.session());
  app.use((request: Request & any, response, next) => {
    const user = request.query["user"] as string;
    if (request.path === "/basket") request.session.basket = "tea";
    if (request.path === "/in-place") request.session.user = user;
    if (request.path === "/login")
      return request.login({ id: user }, options, (error: unknown) => (error ? next(error) : response.end()));
    if (request.path === "/logout")
      return request.logout((error: unknown) => (error ? next(error) : response.end()));
    response.json({
      user: request.user?.id ?? request.session.user ?? null,
      basket: request.session.basket ?? null,
    });
  });
  const { url, close } = await running(app.listen(0, "127.0.0.1"));
  try {
    await body(url, store);
  } finally {
    await close();
  }
}

describe("session fixation (R17)", () => {
  for (const options of [{}, { keepSessionInfo: true }]) {
    test(`Passport ${JSON.stringify(options)} under express-session: a planted id → dead after the login`, async () => {
      await withPassport(options, async (url, store) => {
        const attacker = browser(url);
        await attacker.get("/basket");
        const victim = browser(url);
        victim.cookie = attacker.cookie;
        await victim.get("/login?user=ada");
        assert.notEqual(victim.cookie, attacker.cookie);
        const basket = "keepSessionInfo" in options ? "tea" : null;
        assert.deepEqual(JSON.parse((await victim.get("/")).text), { user: "ada", basket });
        assert.deepEqual(JSON.parse((await attacker.get("/")).text), { user: null, basket: null });
        assert.equal(await store.length(), 1);
        assert.equal(await store.sessions.forUser("ada").revokeAll(), 1);
        assert.deepEqual(JSON.parse((await victim.get("/")).text), { user: null, basket: null });
        assert.deepEqual(warnings, []);
      });
    });
  }

  test("Passport's logout → the id is dead, and no row is the user's any more", async () => {
    await withPassport({}, async (url, store) => {
      const ada = browser(url);
      await ada.get("/login?user=ada");
      const old = ada.cookie;
      await ada.get("/logout");
      ada.cookie = old;
      assert.equal((JSON.parse((await ada.get("/")).text) as { user: unknown }).user, null);
      assert.equal(await usersOf(store, "ada"), 0);
      assert.deepEqual(warnings, []);
    });
  });

  test("a login in place under express-session → the id stays, as documented, and one warning says so", async () => {
    await withPassport({}, async (url, store) => {
      const visitor = browser(url);
      await visitor.get("/basket");
      const { cookie } = visitor;
      await visitor.get("/in-place?user=ada");
      assert.equal(visitor.cookie, cookie);
      assert.deepEqual(JSON.parse((await visitor.get("/")).text), { user: "ada", basket: "tea" });
      await visitor.get("/in-place?user=ben");
      assert.deepEqual(JSON.parse((await visitor.get("/")).text), { user: "ben", basket: null });
      assert.equal(await usersOf(store, "ada"), 0);
      assert.deepEqual(warnings, ["STORED_SESSION_ID_KEPT_AT_LOGIN"]);
    });
  });

  test("@fastify/session regenerated at the login: a planted id → dead after the login", async () => {
    const store = managed();
    const app = fastify();
    await app.register(fastifyCookie);
    await app.register(fastifySession, {
      secret,
      store,
      saveUninitialized: false,
      cookie: { secure: false },
    });
    app.get("/*", async (request) => {
      const session = () => request.session as any;
      if (request.url.startsWith("/basket")) session().basket = "tea";
      if (request.url.startsWith("/login")) {
        await session().regenerate(["basket"]);
        session().user = "ada";
      }
      return { user: session().user ?? null, basket: session().basket ?? null };
    });
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    const attacker = browser(url);
    await attacker.get("/basket");
    const victim = browser(url);
    victim.cookie = attacker.cookie;
    await victim.get("/login");
    assert.deepEqual(JSON.parse((await victim.get("/")).text), { user: "ada", basket: "tea" });
    assert.deepEqual(JSON.parse((await attacker.get("/")).text), { user: null, basket: null });
    assert.deepEqual(warnings, []);
    await app.close();
  });

  test("koa-session regenerated at the login: a planted id → dead, and another user's data stays behind", async () => {
    const store = new StoredSessionKoaStore({ store: memoryStore(), keys: testKeys, userOf });
    const app = new Koa();
    app.keys = [secret];
    app.use(koaSession({ store }, app));
    app.use(async (ctx) => {
      const session = () => ctx.session as any;
      if (ctx.path === "/basket") session().basket = "tea";
      if (ctx.path === "/login") {
        await session().regenerate();
        session().user = ctx.query["user"];
      }
      ctx.body = { user: session().user ?? null, basket: session().basket ?? null };
    });
    const { url, close } = await running(app.listen(0, "127.0.0.1"));
    const attacker = browser(url);
    await attacker.get("/basket");
    const victim = browser(url);
    victim.cookie = attacker.cookie;
    await victim.get("/login?user=ada");
    assert.deepEqual(JSON.parse((await victim.get("/")).text), { user: "ada", basket: "tea" });
    assert.deepEqual(JSON.parse((await attacker.get("/")).text), { user: null, basket: null });
    await victim.get("/login?user=ben");
    assert.deepEqual(JSON.parse((await victim.get("/")).text), { user: "ben", basket: null });
    assert.deepEqual(warnings, []);
    await close();
  });
});
