import assert from "node:assert/strict";
import { createRequire } from "node:module";
import express, { type ErrorRequestHandler, type Request, type RequestHandler } from "express";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { test } from "vitest";
import { ExpressClasses } from "../../src/adapters/drop-in/express-classes.ts";
import {
  StoredSessionStore,
  type StoredSessionStoreOptions,
} from "../../src/adapters/drop-in/express-session.ts";
import { generateKey, memoryStore } from "../../src/index.ts";
import { contractError, fakeClock, type ContractSession } from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { DropInFace } from "./drop-in-face.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { passingErrors, running } from "./server.ts";

// Without its types, which claim req.session for themselves.
const require = createRequire(import.meta.url);
const expressSession = require("express-session") as (options: object) => RequestHandler;
const passport = require("passport") as any;

const secret = "a secret of the cookie's signature";

function middleware(store: unknown, options: object = {}): RequestHandler {
  return expressSession({ store, secret, resave: false, saveUninitialized: false, ...options });
}

const answerError: ErrorRequestHandler = (error, _request, response, next) => {
  if (response.headersSent) return next(error);
  const { status, body } = contractError(error);
  response.status(status).send(body);
};

adapterOnEachDatabase("express-session", {
  differs: ["cookies", "late", "saves", "ids", "leaving", "headers", "elevation", "devices"],
  async start(contract) {
    const app = express();
    app.set("etag", false);
    app.set("env", "test");
    app.use(
      middleware(
        new StoredSessionStore({ store: contract.store, keys: contract.keys, storeTimeout: "1 min" }),
      ),
    );
    app.use(
      passingErrors(async (request: express.Request, response: express.Response) => {
        const session = () => request.session as any;
        const face = new DropInFace({
          session,
          regenerate: () => promisify(session().regenerate.bind(session()))(),
          destroy: () => promisify(session().destroy.bind(session()))(),
        });
        const answer = await contract.route(request.url, () => face as ContractSession);
        response.status(answer.status).set(answer.headers);
        if (answer.redirect !== undefined) response.redirect(answer.redirect);
        else if (answer.chunks !== undefined) Readable.from(answer.chunks).pipe(response);
        else if (answer.body === null) response.end();
        else response.send(answer.body);
      }),
    );
    app.use(answerError);
    return running(app.listen(0, "127.0.0.1"));
  },
});

function managed(options: Partial<StoredSessionStoreOptions> = {}) {
  const watched = new WatchedStore(memoryStore());
  const store = new StoredSessionStore({ store: watched.store, keys: generateKey(), ...options });
  return { watched, store };
}

async function withApp(
  handlers: RequestHandler[],
  body: (
    get: (path: string, cookie?: string) => Promise<{ text: string; cookie: string; status: number }>,
  ) => Promise<void>,
): Promise<void> {
  const app = express();
  app.set("env", "test");
  for (const handler of handlers) app.use(handler);
  app.use(answerError);
  const { url, close } = await running(app.listen(0, "127.0.0.1"));
  try {
    await body(async (path, cookie) => {
      const answer = await fetch(url + path, { headers: cookie === undefined ? {} : { cookie } });
      const [set] = answer.headers.getSetCookie();
      return { text: await answer.text(), status: answer.status, cookie: set?.split(";")[0] ?? cookie ?? "" };
    });
  } finally {
    await close();
  }
}

/** Parallel requests over a store: how many of 100 keys survive, and whether a log-out does. */
async function race(store: unknown): Promise<{ kept: number; alive: boolean }> {
  let gate = Promise.withResolvers<void>();
  let waiting = 0;
  const handler: RequestHandler = async (request, response) => {
    const session = request.session as any;
    const key = request.query["key"] as string | undefined;
    if (request.path === "/all") response.json(session);
    else if (request.path === "/logout") session.destroy(() => response.end());
    else {
      if (request.path === "/held") {
        waiting++;
        await gate.promise;
      }
      session[key!] = "kept";
      session.save(() => response.end());
    }
  };
  const answer = { kept: 0, alive: true };
  await withApp([middleware(store), handler], async (get) => {
    const { cookie } = await get("/set?key=user");
    const flight = async (prefix: string) => {
      waiting = 0;
      gate = Promise.withResolvers();
      const flights = Array.from({ length: 100 }, (_, n) => get(`/held?key=${prefix}${n}`, cookie));
      while (waiting < 100) await new Promise((resolve) => setImmediate(resolve));
      return flights;
    };
    const flights = await flight("a");
    gate.resolve();
    await Promise.all(flights);
    const session = JSON.parse((await get("/all", cookie)).text) as object;
    answer.kept = Object.keys(session).filter((key) => key.startsWith("a")).length;

    const late = await flight("b");
    await get("/logout", cookie);
    gate.resolve();
    await Promise.all(late);
    answer.alive = "user" in (JSON.parse((await get("/all", cookie)).text) as object);
  });
  return answer;
}

test("promises 2 and 3: 100 parallel changes → none is lost; a logout during 100 requests → the session stays ended", async () => {
  const MemoryStore = require("memorystore")(require("express-session")) as new (options: object) => unknown;
  const plain = await race(new MemoryStore({ checkPeriod: 60_000 }));
  const stored = await race(managed().store);
  console.log(
    `express-session, 100 parallel changes: memorystore kept ${plain.kept}, StoredSessionStore ${stored.kept}`,
  );
  console.log(
    `express-session, alive after log-out: memorystore ${plain.alive}, StoredSessionStore ${stored.alive}`,
  );
  assert.deepEqual(stored, { kept: 100, alive: false });
  assert.deepEqual(plain, { kept: 1, alive: true }, "the race is real");
});

test("promise 2: a request merges and saves again → keeps what it merged with", async () => {
  const { store } = managed();
  await store.set("id", { user: 1, cookie: {} });
  const [mine, theirs] = [await store.get("id"), await store.get("id")];
  theirs.theirs = true;
  await store.set("id", theirs);
  mine.first = true;
  await store.set("id", mine);
  mine.second = true;
  await store.set("id", mine);
  delete mine.first;
  await store.set("id", mine);
  const { user, theirs: kept, first, second } = await store.get("id");
  assert.deepEqual({ user, kept, first, second }, { user: 1, kept: true, first: undefined, second: true });
});

test("promise 3: two requests save a session that a third ended → it stays ended, without an error", async () => {
  const { store } = managed();
  await store.set("id", { user: 1, cookie: {} });
  const [early, late] = [await store.get("id"), await store.get("id")];
  late.late = true;
  await store.set("id", late);
  await store.destroy("id");
  early.early = true;
  await store.set("id", early);
  late.later = true;
  await store.set("id", late);
  await store.touch("id", late);
  assert.equal(await store.get("id"), null);
});

test("a session that is only read → written at most once every touchEvery, and get returns the new times", async () => {
  const clock = fakeClock(Date.now());
  const { store, watched } = managed({ clock: clock.now, touchEvery: "1 h" });
  const cookie = { originalMaxAge: 86_400_000, path: "/", httpOnly: true };
  const at = (milliseconds: number) => ({ cookie: { ...cookie, expires: new Date(milliseconds) } });
  const start = clock.now();
  await store.set("id", { user: 1, ...at(start + 86_400_000) });
  const session = await store.get("id");
  assert.deepEqual(session.cookie.expires, new Date(start + 86_400_000));
  for (let minute = 0; minute < 180; minute++) {
    clock.advance(60_000);
    session.cookie.expires = new Date(clock.now() + 86_400_000);
    await store.touch("id", session);
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(watched.calls.filter((call) => call === "touch").length, 3);
  assert.deepEqual((await store.get("id")).cookie.expires, new Date(start + 180 * 60_000 + 86_400_000));
  clock.advance(86_400_000 - 1);
  assert.notEqual(await store.get("id"), null);
  clock.advance(1);
  assert.equal(await store.get("id"), null, "promise 5: dead on time");
  assert.equal(await store.length(), 0, "length does not count what has ended");
});

test("20 read-only requests → no write", async () => {
  const { store, watched } = managed();
  const handler: RequestHandler = (request, response) => {
    const session = request.session as any;
    if (request.path === "/set") session.user = 1;
    response.json(session.user ?? null);
  };
  await withApp([middleware(store, { cookie: { maxAge: 600_000 } }), handler], async (get) => {
    const { cookie } = await get("/set");
    for (let n = 0; n < 20; n++) assert.equal((await get("/", cookie)).text, "1");
  });
  assert.deepEqual(
    watched.calls.filter((call) => call !== "read"),
    ["insert"],
  );
});

test("promise 2: a session that did not change → its response is sent in one piece; one that did → after the save", async () => {
  for (const [options, visitor] of [
    [{}, null],
    [{ userOf: ({ user }: any) => user as string | undefined }, "7"],
  ] as const) {
    const { store, watched } = managed(options);
    const pieces: Record<string, number> = {};
    const count: RequestHandler = (request, response, next) => {
      const write = response.write.bind(response) as (...parts: unknown[]) => boolean;
      pieces[request.path] = 1;
      response.write = (...parts: unknown[]) => {
        pieces[request.path]!++;
        return write(...parts);
      };
      next();
    };
    const handler: RequestHandler = (request, response) => {
      const session = request.session as any;
      if (request.path === "/begin") Object.assign(session, { n: 0, user: visitor });
      if (request.path === "/change") session.n++;
      if (request.path === "/map") session.map.set("n", session.n);
      if (request.path === "/begin") session.map = new Map();
      response.json([session.n, session.map.get("n") ?? null]);
    };
    await withApp([count, middleware(store, { cookie: { maxAge: 600_000 } }), handler], async (get) => {
      const { cookie } = await get("/begin");
      assert.equal((await get("/look", cookie)).text, "[0,null]");
      assert.equal((await get("/change", cookie)).text, "[1,null]");
      // express-session sees no change in a Map, and only touches the session.
      assert.equal((await get("/map", cookie)).text, "[1,1]");
      assert.equal((await get("/look", cookie)).text, "[1,1]");
    });
    assert.deepEqual(pieces, { "/begin": 2, "/look": 1, "/change": 2, "/map": 2 });
    assert.deepEqual(
      watched.calls.filter((call) => call !== "read"),
      ["insert", "update", "update"],
    );
  }
});

test("promise 2: userOf that a release adds, and a session that did not change → touch saves its user", async () => {
  const table = memoryStore();
  const keys = generateKey();
  const before = new StoredSessionStore({ store: table, keys });
  await before.set("id", { user: "7" });
  const after = new StoredSessionStore({ store: table, keys, userOf: ({ user }: any) => user as string });
  await after.touch("id", await after.get("id"));
  assert.equal((await after.sessions.forUser("7").list()).length, 1);
});

test("two stores with one session object → each compares with what it loaded itself, a frozen one too", async () => {
  for (const handled of [(session: object) => session, Object.freeze]) {
    const [one, other] = [managed(), managed()];
    await one.store.set("id", { n: 1 });
    const session = handled(await one.store.get("id")) as object;
    await other.store.set("id", session);
    await one.store.touch("id", session);
    await other.store.touch("id", session);
    assert.equal((await other.store.get("id")).n, 1);
    for (const { watched } of [one, other])
      assert.deepEqual(
        watched.calls.filter((call) => call !== "read"),
        ["insert"],
      );
  }
});

test("get, set, touch, destroy, all, length, clear → with promises and with callbacks", async () => {
  const { store } = managed();
  assert.equal(await store.get("nobody"), null);
  assert.deepEqual(
    await promisify((id: string, done: (error: unknown, session?: unknown) => void) => store.get(id, done))(
      "nobody",
    ),
    null,
  );
  await store.set("no cookie", { n: 1 });
  assert.deepEqual(await store.get("no cookie").then(({ n, cookie }) => ({ n, cookie })), {
    n: 1,
    cookie: undefined,
  });
  const cookie = { maxAge: 60_000 };
  await promisify((id: string, session: object, done: (error?: unknown) => void) =>
    store.set(id, session, done),
  )("b", { n: 2, cookie });
  await store.set("c", { n: 3, cookie: { toJSON: () => ({ path: "/only", originalMaxAge: null }) } });
  assert.equal((await store.get("c")).cookie.path, "/only");
  assert.equal((await store.get("c")).cookie.expires, null);
  assert.ok((await store.get("b")).cookie.expires > new Date());
  assert.equal(await promisify((done: (error: unknown, length?: number) => void) => store.length(done))(), 3);
  assert.deepEqual((await store.all()).map(({ n }) => n).toSorted(), [1, 2, 3]);
  await store.destroy("c");
  await promisify((id: string, done: (error?: unknown) => void) => store.destroy(id, done))("c");
  assert.equal(await store.get("c"), null);
  await store.touch("nobody", { cookie });
  await store.set("b", { n: 2, cookie: { expires: new Date(0) } });
  assert.equal(await store.get("b"), null, "an expiry in the past ends it");
  await store.clear();
  assert.equal(await store.length(), 0);
});

test("promise 8: a failing store → the callback is called exactly once, with its error", async () => {
  const { store, watched } = managed();
  await store.set("id", { n: 1, cookie: {} });
  const session = await store.get("id");
  session.n = 2;
  watched.down("all");
  const calls: Promise<unknown[]>[] = [
    (done: (...args: unknown[]) => void) => store.get("id", done),
    (done: (...args: unknown[]) => void) => store.set("id", session, done),
    (done: (...args: unknown[]) => void) => store.set("new", { n: 1 }, done),
    (done: (...args: unknown[]) => void) => store.destroy("id", done),
    (done: (...args: unknown[]) => void) => store.set("bad", { n: new Map([[() => 1, 1]]) }, done),
    (done: (...args: unknown[]) => void) => store.set("", {}, done),
  ].map(
    (call) =>
      new Promise((resolve) => {
        let times = 0;
        call((error) => {
          times++;
          setTimeout(() => resolve([times, (error as { code?: string }).code ?? (error as Error).name]), 5);
        });
      }),
  );
  const down = [1, "ERR_STORED_SESSION_STORE_UNAVAILABLE"];
  assert.deepEqual(await Promise.all(calls), [
    down,
    down,
    down,
    down,
    [1, "ERR_STORED_SESSION_VALUE"],
    [1, "TypeError"],
  ]);
  watched.up();
  assert.equal((await store.get("id")).n, 1);
});

test("a callback that throws → not called again with the error", async () => {
  const { store } = managed();
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  const caught = new Promise((resolve) => process.once("uncaughtException", resolve));
  let times = 0;
  store.get("nobody", () => {
    times++;
    throw new Error("the callback's own");
  });
  assert.match(String(await caught), /the callback's own/);
  for (const listener of listeners) process.on("uncaughtException", listener);
  assert.equal(times, 1);
});

test("rich values → unchanged; values that JSON drops → dropped", async () => {
  const { store, watched } = managed();
  class Money {
    readonly amount: number = 3;
    print(): string {
      return `${this.amount}`;
    }
  }
  const at = new Date(5);
  const rich = {
    at,
    seen: new Set([1]),
    map: new Map([["a", at]]),
    bytes: new Uint8Array([1, 2]),
    big: 7n,
    url: new URL("http://a/"),
  };
  await store.set("id", {
    ...rich,
    money: new Money(),
    id: { toJSON: () => "5f" },
    invalid: new Date(Number.NaN),
    list: [undefined, () => 1, 2],
    method: () => 1,
    nothing: undefined,
  });
  const session = await store.get("id");
  assert.deepEqual(session, {
    ...rich,
    money: { amount: 3 },
    id: "5f",
    invalid: null,
    list: [null, null, 2],
  });
  const handler: RequestHandler = (request, response) => {
    const data = request.session as any;
    data.basket ??= new Map();
    data.basket.set(request.path, 1);
    response.json([...data.basket.keys()]);
  };
  await withApp([middleware(store), handler], async (get) => {
    const { cookie } = await get("/a");
    await get("/b", cookie); // express-session sees no change in a Map; the store does
    assert.deepEqual(JSON.parse((await get("/c", cookie)).text), ["/a", "/b", "/c"]);
  });
  void watched;
});

test("promise 6, R2: the table and an inspected session → no id and no value", async () => {
  const below = memoryStore();
  const { store } = managed({ store: below });
  await store.set("the-middleware-id", { name: "a secret name" });
  const session = await store.get("the-middleware-id");
  const [row] = await below.scan(null, 10);
  const dump = Buffer.concat([row!.id, row!.data]).toString("latin1");
  for (const text of ["the-middleware-id", "a secret name"]) assert.ok(!dump.includes(text));
  assert.equal(JSON.stringify(session), '{"name":"a secret name"}');
  const { inspect } = await import("node:util");
  assert.ok(!inspect(session, { depth: 9, showHidden: true }).includes("Uint8Array"));
});

test("regenerate, reload and save as Passport calls them → work, and its users can be signed out everywhere", async () => {
  const { store } = managed({ userOf: (data) => (data["passport"] as { user?: string } | undefined)?.user });
  const auth = new passport.Passport();
  auth.serializeUser((user: { id: string }, done: (error: unknown, id: string) => void) =>
    done(null, user.id),
  );
  auth.deserializeUser((id: string, done: (error: unknown, user: unknown) => void) => done(null, { id }));
  const handler: RequestHandler = (request: Request & any, response, next) => {
    if (request.path === "/login")
      request.login({ id: "42" }, (error: unknown) => (error ? next(error) : response.json(request.user)));
    else if (request.path === "/logout")
      request.logout((error: unknown) => (error ? next(error) : response.json(null)));
    else if (request.path === "/reload") {
      const before = request.session;
      before.unsaved = true;
      before.reload((error: unknown) => {
        request.session.reloaded = true;
        response.json({
          error: error ?? null,
          other: request.session !== before,
          unsaved: request.session.unsaved ?? null,
        });
      });
    } else response.json(request.user ?? null);
  };
  await withApp([middleware(store, { cookie: { maxAge: 60_000 } }), auth.session(), handler], async (get) => {
    const anonymous = await get("/");
    const login = await get("/login", anonymous.cookie);
    assert.deepEqual(JSON.parse((await get("/", login.cookie)).text), { id: "42" });
    assert.deepEqual(JSON.parse((await get("/reload", login.cookie)).text), {
      error: null,
      other: true,
      unsaved: null,
    });
    const elsewhere = await get("/login");
    assert.equal((await store.sessions.forUser("42").list()).length, 2);
    await get("/logout", elsewhere.cookie);
    assert.equal((await get("/", elsewhere.cookie)).text, "null");
    assert.equal(await store.sessions.forUser("42").revokeAll(), 1);
    assert.equal((await get("/", login.cookie)).text, "null");
  });
});

test("maxSessions: logins through the middleware → the oldest ends; refuse → an error, and the visitor stays anonymous", async () => {
  for (const onLimit of ["endOldest", "refuse"] as const) {
    const { store } = managed({
      userOf: (data) => data["uid"] as string | undefined,
      maxSessions: { count: 2, onLimit },
    });
    const handler: RequestHandler = (request: Request & any, response, next) => {
      if (request.path !== "/login")
        return void response.json([request.session.uid ?? null, request.session.cart ?? null]);
      request.session.regenerate((error: unknown) => {
        if (error) return next(error);
        request.session.uid = "42";
        request.session.save((failure: { code?: string; status?: number } | null) => {
          if (!failure) return void response.json("in");
          request.session.destroy(() => void response.status(failure.status!).json(failure.code));
        });
      });
    };
    await withApp([middleware(store, { cookie: { maxAge: 60_000 } }), handler], async (get) => {
      const logins = [await get("/login"), await get("/login"), await get("/login")];
      const pages = await Promise.all(logins.map(({ cookie }) => get("/", cookie)));
      const users = pages.map(({ text }) => (JSON.parse(text) as string[])[0]);
      if (onLimit === "endOldest") assert.deepEqual(users, [null, "42", "42"]);
      else {
        assert.deepEqual(users, ["42", "42", null]);
        assert.match(logins[2]!.text, /ERR_STORED_SESSION_TOO_MANY_SESSIONS/);
      }
      assert.equal((await store.sessions.forUser("42").list()).length, 2);
    });
  }
});

test("maxSessions: refused in a session that keeps its id → the anonymous session stays as it was stored", async () => {
  const { store } = managed({
    userOf: (data) => data["uid"] as string | undefined,
    maxSessions: { count: 1, onLimit: "refuse" },
  });
  await store.set("first", { uid: "42" });
  await store.set("visitor", { cart: 1 });
  const session = (await store.get("visitor")) as Record<string, unknown>;
  session["uid"] = "42";
  await assert.rejects(store.set("visitor", session as never), {
    code: "ERR_STORED_SESSION_TOO_MANY_SESSIONS",
  });
  assert.equal(JSON.stringify(await store.get("visitor")), '{"cart":1}');
});

test("rolling, and cookies without a maxAge → as in express-session", async () => {
  const { store } = managed();
  const handler: RequestHandler = (request, response) => {
    (request.session as any).user ??= 1;
    response.json((request.session as any).cookie.originalMaxAge);
  };
  await withApp([middleware(store, { rolling: true, cookie: { maxAge: 1_500 } }), handler], async (get) => {
    const { cookie } = await get("/");
    for (let n = 0; n < 5; n++) assert.equal((await get("/", cookie)).text, "1500");
  });
  await withApp([middleware(store), handler], async (get) => {
    const { cookie } = await get("/");
    assert.equal((await get("/", cookie)).text, "null");
  });
});

test("a cookie with expires or maxAge false → no expiry time, and the session lives", async () => {
  for (const cookie of [{ expires: false }, { maxAge: false }, { expires: null }, { maxAge: undefined }]) {
    const handler: RequestHandler = (request, response) => {
      if (request.path === "/set") (request.session as any).user = 1;
      response.json((request.session as any).user ?? null);
    };
    await withApp([middleware(managed().store, { cookie }), handler], async (get) => {
      const { cookie: kept } = await get("/set");
      assert.equal((await get("/", kept)).text, "1", JSON.stringify(cookie));
    });
  }
});

test("promise 2: a parallel save or touch → a changed lifetime is kept", async () => {
  const clock = fakeClock(Date.now());
  const { store } = managed({ clock: clock.now, touchEvery: "1 s" });
  const day = 86_400_000;
  const lasting = (age: number) => ({ originalMaxAge: age, expires: new Date(clock.now() + age) });
  const start = clock.now();
  await store.set("id", { user: 1, cookie: lasting(day) });
  const [saver, toucher, remember] = [await store.get("id"), await store.get("id"), await store.get("id")];
  clock.advance(day / 2);
  remember.cookie = lasting(30 * day);
  await store.set("id", remember);
  saver.cookie = lasting(day);
  saver.changed = true;
  await store.set("id", saver);
  toucher.cookie = lasting(day);
  await store.touch("id", toucher);
  clock.advance(day / 2);
  saver.cookie = lasting(day);
  await store.touch("id", saver);
  await new Promise((resolve) => setTimeout(resolve, 5));
  const { cookie, changed } = await store.get("id");
  assert.equal(changed, true);
  assert.deepEqual(cookie, { originalMaxAge: 30 * day, expires: new Date(start + 30.5 * day) });
});

test("two requests change the lifetime → the later one decides", async () => {
  const { store } = managed();
  const lasting = (age: number) => ({ originalMaxAge: age, expires: new Date(Date.now() + age) });
  await store.set("id", { user: 1, cookie: lasting(60_000) });
  const [first, second] = [await store.get("id"), await store.get("id")];
  first.cookie = lasting(3_600_000);
  second.cookie = lasting(600_000);
  await store.set("id", first);
  await store.set("id", second);
  const { cookie } = await store.get("id");
  assert.equal(cookie.originalMaxAge, 600_000);
  assert.ok(cookie.expires.getTime() <= Date.now() + 600_000);
});

test("promise 3: a later session under the same id → a request that loaded the earlier one does not change it", async () => {
  const clock = fakeClock(Date.now());
  const { store } = managed({ clock: clock.now });
  await store.set("id", { user: 1, cookie: {} });
  const stale = await store.get("id");
  await store.destroy("id");
  clock.advance(1_000);
  await store.set("id", { fresh: true, cookie: {} });
  stale.late = true;
  await store.set("id", stale);
  const { user, fresh, late } = await store.get("id");
  assert.deepEqual({ user, fresh, late }, { user: undefined, fresh: true, late: undefined });
});

test("promise 3: an id whose session ended → cannot start again for a minute; a new id can", async () => {
  const clock = fakeClock(Date.now());
  const { store } = managed({ clock: clock.now });
  assert.equal(await store.get("new"), null);
  await store.set("new", { user: 1, cookie: {} });
  assert.equal((await store.get("new")).user, 1);
  await store.destroy("new");
  assert.equal(await store.get("new"), null);
  await store.set("new", { user: 2, cookie: {} });
  assert.equal(await store.get("new"), null);
  clock.advance(60_000);
  await store.set("new", { user: 3, cookie: {} });
  assert.equal((await store.get("new")).user, 3);
});

test("two saves in flight in one request → the second decides, also about keys that the first set", async () => {
  const { store } = managed();
  await store.set("id", { user: 1, cookie: {} });
  const session = await store.get("id");
  session.message = "saved";
  session.user = 2;
  const first = store.set("id", session);
  delete session.message;
  session.user = 1;
  await Promise.all([first, store.set("id", session)]);
  const { user, message } = await store.get("id");
  assert.deepEqual({ user, message }, { user: 1, message: undefined });
});

test("promise 8: load before any request, or behind a proxy → its error goes to the callback", async () => {
  const { store } = managed();
  const load = promisify((id: string, done: (error: unknown, session?: any) => void) => store.load(id, done));
  await store.set("id", { user: 1, cookie: { maxAge: 60_000 } });
  await assert.rejects(load("id"), { name: "TypeError", message: /requires express-session/ });
  middleware(store, { proxy: true, cookie: { secure: "auto" } });
  const session = await load("id");
  assert.equal(session.user, 1);
  session.user = 2;
  await promisify(session.save.bind(session))();
  assert.equal((await store.get("id")).user, 2);
});

test("the application's own key storedSession → kept", async () => {
  const { store } = managed();
  await store.set("id", { storedSession: "mine", cookie: {} });
  const session = await store.get("id");
  assert.equal(session.storedSession, "mine");
  session.storedSession = { deep: 1 };
  await store.set("id", session);
  assert.deepEqual((await store.get("id")).storedSession, { deep: 1 });
});

test("a cookie whose toJSON returns nothing → no expiry time", async () => {
  const { store } = managed();
  await store.set("id", { user: 1, cookie: { toJSON: () => undefined } });
  assert.equal((await store.get("id")).user, 1);
});

const lastingAt = (now: number, age: number) => ({ originalMaxAge: age, expires: new Date(now + age) });

test("promise 2: a request that saves after its maxAge, while another chose remember me → both are kept", async () => {
  const clock = fakeClock(Date.now());
  const { store } = managed({ clock: clock.now });
  const [minute, month] = [60_000, 30 * 86_400_000];
  await store.set("id", { user: 1, cookie: lastingAt(clock.now(), minute) });
  const [slow, slower, remember] = [await store.get("id"), await store.get("id"), await store.get("id")];
  slower.cookie = lastingAt(clock.now(), minute); // as req.session.touch() leaves it
  remember.cookie = lastingAt(clock.now(), month);
  await store.set("id", remember);
  const end = clock.now() + month;
  clock.advance(2 * minute);
  slow.slow = true;
  await store.set("id", slow);
  slow.again = true;
  await store.set("id", slow);
  slower.slower = true;
  await store.set("id", slower);
  await store.touch("id", slower);
  const { user, slow: first, again, slower: second, cookie } = await store.get("id");
  assert.deepEqual({ user, first, again, second }, { user: 1, first: true, again: true, second: true });
  assert.deepEqual(cookie, { originalMaxAge: month, expires: new Date(end) });
});

test("promise 2: a request that saves after its maxAge, while another's use moved the end → both are kept", async () => {
  const clock = fakeClock(Date.now());
  const { store } = managed({ clock: clock.now, touchEvery: 1 });
  const minute = 60_000;
  await store.set("id", { user: 1, cookie: lastingAt(clock.now(), minute) });
  const [slow, copy] = [await store.get("id"), structuredClone({ ...(await store.get("id")) })];
  clock.advance(minute / 2);
  const used = await store.get("id");
  used.cookie = lastingAt(clock.now(), minute);
  await store.touch("id", used);
  await new Promise((resolve) => setImmediate(resolve));
  const end = new Date(clock.now() + minute);
  clock.advance(minute / 2 + 1_000);
  slow.slow = true;
  await store.set("id", slow);
  await store.touch("id", copy); // with an end that has passed, and no past
  await new Promise((resolve) => setImmediate(resolve));
  const { slow: kept, cookie } = await store.get("id");
  assert.equal(kept, true);
  assert.deepEqual(cookie.expires, end);
});

test("promise 3: a request that saves after its maxAge, which nobody extended → stays ended", async () => {
  const clock = fakeClock(Date.now());
  const { store } = managed({ clock: clock.now });
  await store.set("id", { user: 1, cookie: lastingAt(clock.now(), 1_000) });
  const slow = await store.get("id");
  clock.advance(1_000);
  slow.slow = true;
  await store.set("id", slow);
  assert.equal(await store.get("id"), null);
  assert.equal(await store.length(), 0);
});

test("an end in the past that the application sets → the session ends, under express-session too", async () => {
  const { store, watched } = managed();
  const cookie = () => lastingAt(Date.now(), 60_000);
  await store.set("id", { user: 1, cookie: cookie() });
  const session = await store.get("id");
  session.cookie.expires = new Date(Date.now() - 1); // @fastify/session leaves originalMaxAge as it was
  await store.set("id", session);
  assert.equal(await store.get("id"), null);
  const handler: RequestHandler = (request, response) => {
    const data = request.session as any;
    if (request.path === "/set") data.user = 1;
    if (request.path === "/end") {
      data.cookie.maxAge = -1;
      data.save(() => response.end());
    } else response.json(data.user ?? null);
  };
  watched.calls.length = 0;
  await withApp([middleware(store, { cookie: { maxAge: 60_000 } }), handler], async (get) => {
    const { cookie: kept } = await get("/set");
    assert.equal((await get("/", kept)).text, "1");
    await get("/end", kept);
    assert.equal((await get("/", kept)).text, "null");
    assert.ok(watched.calls.includes("delete"));
  });
});

test("genid and a cookie function → called once for each new session, with requests that a client sent", async () => {
  const asked: unknown[] = [];
  let made = 0;
  const options = {
    genid: (request: Request) => {
      asked.push(request.socket.remoteAddress);
      return `id ${made++}`;
    },
    cookie: (request: Request) => ({ secure: request.socket.remoteAddress === undefined }),
  };
  const { store } = managed();
  await store.set("elsewhere", { user: 7, cookie: {} });
  const app = middleware(store, options);
  const load = promisify((id: string, done: (error: unknown, session?: any) => void) => store.load(id, done));
  const loaded = await load("elsewhere");
  assert.equal(loaded.user, 7);
  assert.ok(loaded instanceof require("express-session").Session);
  assert.deepEqual(asked, []);
  const handler: RequestHandler = (request, response) => {
    (request.session as any).n ??= 1;
    response.json((request.session as any).n);
  };
  await withApp([app, handler], async (get) => {
    const { cookie } = await get("/");
    for (let n = 0; n < 3; n++) assert.equal((await get("/", cookie)).text, "1");
    await get("/");
  });
  assert.deepEqual(asked, ["127.0.0.1", "127.0.0.1"]);
});

test("express-session cannot be found from here → its classes come from a request, and load says why it waits", async () => {
  const classes = new ExpressClasses(() => null);
  const sent: unknown[] = [];
  class Session {}
  assert.throws(() => classes.of(null), { name: "TypeError", message: /requires express-session/ });
  classes.generate = (request: any) => {
    sent.push(request);
    Object.assign(request, { sessionID: "another", session: { cookie: {} } });
    Object.setPrototypeOf(request.session, Session.prototype);
  };
  assert.throws(() => classes.of(null), { name: "TypeError", message: /Install express-session/ });
  const request = { sessionID: "mine" };
  assert.equal(classes.of(request).Session, Session);
  assert.deepEqual(request, { sessionID: "mine", session: undefined });
  assert.equal(classes.of(null).Session, Session);
  assert.deepEqual(sent, [request]);
});
