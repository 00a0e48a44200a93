/** What an application puts into another library's session, and what it finds there. */
import fastify from "fastify";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { test } from "vitest";
import {
  StoredSessionStore,
  type StoredSessionStoreOptions,
} from "../../src/adapters/drop-in/express-session.ts";
import { StoredSessionKoaStore } from "../../src/adapters/drop-in/koa-session.ts";
import { plainObject } from "../../src/adapters/drop-in/json-values.ts";
import { LimitError, memoryStore, ValueError } from "../../src/index.ts";
import { testKeys } from "../session/doubles.ts";

// Without their types, which claim request.session for themselves.
const require = createRequire(import.meta.url);
const fastifyCookie = require("@fastify/cookie") as any;
const fastifySession = require("@fastify/session") as any;

const secret = "a secret of at least thirty-two characters";

function managed(options: Partial<StoredSessionStoreOptions> = {}): StoredSessionStore {
  return new StoredSessionStore({ store: memoryStore(), keys: testKeys, ...options });
}

/** As an ORM gives them: an author with posts that each name their author. */
class Author {
  readonly name = "Ada";
  readonly posts: { title: string; author: Author }[] = [];

  constructor(posts: number) {
    for (let n = 0; n < posts; n++) this.posts.push({ title: `${n}`, author: this });
  }
}

test("promise 10: an entity with a cycle under @fastify/session → an error with the path, and the process goes on", async () => {
  const app = fastify();
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    secret,
    store: managed(),
    saveUninitialized: false,
    cookie: { secure: false },
  });
  app.get("/cycle", async (request) => {
    (request.session as any).user = new Author(3);
    return "set";
  });
  app.get("/", async () => "up");
  const answer = await app.inject("/cycle");
  assert.equal(answer.statusCode, 500);
  assert.match(
    answer.json<{ message: string }>().message,
    /^data\.user\.posts\[0\]\.author is a cycle: it leads back to data\.user\./,
  );
  assert.equal((await app.inject("/")).body, "up");
  await app.close();
});

test("promise 10: a cycle in each drop-in store → a ValueError with its path, and nothing stored", async () => {
  const store = managed();
  await assert.rejects(store.set("id", { user: new Author(3) }), (error: ValueError) => {
    assert.ok(error instanceof ValueError);
    return error.path === "data.user.posts[0].author";
  });
  assert.equal(await store.length(), 0);
  const koa = new StoredSessionKoaStore({ store: memoryStore(), keys: testKeys });
  await assert.rejects(koa.set("key", { list: [new Author(1)] }, 60_000, { ctx: {} }), {
    path: "data.list[0].posts[0].author",
  });
});

test("promise 10: shared references 60 levels deep → read once each, then refused for their depth", async () => {
  let reads = 0;
  let shared: object = { leaf: 1 };
  for (let level = 0; level < 60; level++) {
    const below = shared;
    const read = () => (reads++, below);
    shared = Object.defineProperties(
      {},
      { a: { get: read, enumerable: true }, b: { get: read, enumerable: true } },
    );
  }
  await assert.rejects(managed({ maxBytes: 4_096 }).set("id", { shared }), LimitError);
  assert.equal(reads, 120);
});

test("promise 10: toJSON that answers new objects without end → a LimitError after maxBytes values", () => {
  let made = 0;
  class Endless {
    toJSON(): object {
      made++;
      return { a: new Endless(), b: new Endless(), c: new Endless() };
    }
  }
  assert.throws(() => plainObject({ value: new Endless() }, 4_096), LimitError);
  assert.ok(made <= 4_096, `${made} calls`);
  assert.throws(() => plainObject({ value: Object.assign([], { length: 2 ** 32 - 1 }) }, 4_096), LimitError);
});

test("a shared object that is no cycle, and keys that JSON.parse makes → kept", async () => {
  const store = managed();
  const address = { city: "London" };
  await store.set("id", { home: address, work: address, list: [address, { toJSON: () => address }] });
  const { home, work, list } = await store.get("id");
  assert.deepEqual({ home, work, list }, { home: address, work: address, list: [address, address] });
  const parsed = JSON.parse('{"deep": {"__proto__": {"admin": true}}}') as object;
  await assert.rejects(store.set("id", parsed), { path: "data.deep.__proto__" });
});

test("R2: get → only the application's own properties, for a callback and a promise", async () => {
  const store = managed();
  await store.set("id", { user: 1, cookie: { path: "/" } });
  const expected = { user: 1, cookie: { originalMaxAge: null, path: "/", expires: null } };
  const session = await store.get("id");
  assert.deepEqual(session, expected);
  assert.deepEqual(Reflect.ownKeys(session), ["user", "cookie"]);
  const keys: PropertyKey[] = [];
  await new Promise<void>((resolve, reject) => {
    store.get("id", (error, seen: object) => {
      keys.push(...Reflect.ownKeys(seen));
      assert.deepEqual({ ...seen }, expected);
      if (error) reject(error as Error);
      else resolve();
    });
  });
  assert.deepEqual(keys, ["user", "cookie"]);
  const asked = await promisify((id: string, done: (error: unknown, session?: unknown) => void) =>
    store.get(id, done),
  )("id");
  assert.deepEqual(asked, expected);
  const inherited: string[] = [];
  for (const key in asked as object) inherited.push(key);
  assert.deepEqual(inherited, ["user", "cookie"]);
});
