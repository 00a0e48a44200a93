/** `storedSessionAdapter` through Auth.js itself, with a provider on this machine, and its methods on every database. */
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import { Auth, type AuthConfig } from "@auth/core";
import type { Adapter } from "@auth/core/adapters";
import { DrizzleAdapter } from "@auth/drizzle-adapter";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { test } from "vitest";
import { storedSessionAdapter, withStoreErrors } from "../../src/adapters/authjs.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { authjsTables } from "../cli/auth-tables.ts";
import { eachStore } from "../session/stores.ts";
import { Browser, clientId, listen, onEnd, provide, secret } from "./oidc-loopback.ts";

// It comes without types.
const BetterSqlite3 = createRequire(import.meta.url)("better-sqlite3");
const token = "4e8cf0a6-5b7f-4a35-9a3c-0123456789ab";
const day = 86_400_000;

/** Users without a database. */
function usersOnly() {
  const users = new Map<string, { id: string; email: string; emailVerified: null }>();
  for (const id of ["u-42", "u-43"]) users.set(id, { id, email: `${id}@example.com`, emailVerified: null });
  return {
    getUser: (id: string) => users.get(id) ?? null,
    deleteUser: (id: string) => void users.delete(id),
  };
}

function managed(store: SessionStore = memoryStore(), keys: string = generateKey()) {
  const clock = fakeClock();
  const limits = { idleTimeout: "400 days", absoluteTimeout: "400 days" } as const;
  const sessions = createSessionManager({ store, keys, clock: clock.now, ...limits });
  const adapter = storedSessionAdapter(sessions, usersOnly());
  const sessionOf = (sessionToken: string, userId = "u-42", days = 30) => ({
    sessionToken,
    userId,
    expires: new Date(clock.now() + days * day),
  });
  return { adapter, clock, sessions, keys, sessionOf };
}

eachStore((_name, create) => {
  const check = (name: string, body: (store: SessionStore) => Promise<void>) =>
    test(`Auth.js: ${name}`, { timeout: 60_000 }, async () => {
      const { store, drop } = await create();
      try {
        await body(store);
      } finally {
        await drop();
      }
    });

  check("create, read, update and delete a session → as Auth.js expects, until it expires", async (store) => {
    const { adapter, clock, sessionOf } = managed(store);
    assert.equal(await adapter.getSessionAndUser(token), null);
    const session = sessionOf(token);
    assert.deepEqual(await adapter.createSession(session), session);
    const user = { id: "u-42", email: "u-42@example.com", emailVerified: null };
    assert.deepEqual(await adapter.getSessionAndUser(token), { session, user });
    clock.advance(29 * day);
    const later = new Date(clock.now() + 30 * day);
    const updated = { ...session, expires: later };
    assert.deepEqual(await adapter.updateSession({ sessionToken: token, expires: later }), updated);
    clock.advance(30 * day - 1);
    assert.deepEqual(await adapter.getSessionAndUser(token), { session: updated, user });
    clock.advance(1);
    assert.equal(await adapter.getSessionAndUser(token), null, "promise 5");
    assert.equal(await adapter.updateSession({ sessionToken: token, expires: later }), null);

    // Its row is still there: a new login may have its token.
    assert.ok(await adapter.createSession(sessionOf(token, "u-43")));
    assert.equal((await adapter.getSessionAndUser(token))!.user.id, "u-43");
    assert.equal((await adapter.deleteSession(token))!.userId, "u-43");
    assert.equal(await adapter.deleteSession(token), null);
    assert.equal(await adapter.getSessionAndUser(token), null);
  });

  check("a session that is there is created again → refused, and it stays (R3)", async (store) => {
    const { adapter, sessionOf } = managed(store);
    await adapter.createSession(sessionOf(token));
    await assert.rejects(adapter.createSession(sessionOf(token, "u-43")), {
      name: "TypeError",
      message: /generateSessionToken/,
    });
    assert.equal((await adapter.getSessionAndUser(token))!.user.id, "u-42");
  });

  check("what is stored → no token, no user id and no value in clear (promise 6, R2)", async (store) => {
    const { adapter, sessionOf } = managed(store);
    await adapter.createSession(sessionOf(token));
    const rows = await store.scan(null, 10);
    assert.equal(rows.length, 1);
    for (const bytes of [rows[0]!.id, rows[0]!.data, rows[0]!.userRef, rows[0]!.client]) {
      const text = Buffer.from(bytes ?? []).toString("latin1");
      for (const hidden of [token, "u-42", "expires"]) assert.ok(!text.includes(hidden), hidden);
    }
  });

  check(
    "sessions belong to their user → listed, and ended by forUser; a late update revives none (promise 3)",
    async (store) => {
      const { adapter, clock, sessions, sessionOf } = managed(store);
      const ends: Record<string, (key: string) => Promise<unknown>> = {
        revoked: () => sessions.forUser("u-42").revokeAll(),
        deleted: (key) => adapter.deleteSession(key),
        "with their user": async () => adapter.deleteUser("u-42"),
      };
      for (const [n, end] of Object.values(ends).entries()) {
        const key = `${token}${n}`;
        await adapter.createSession(sessionOf(key));
        await adapter.createSession(sessionOf(`${key}-other`, "u-43"));
        assert.equal((await sessions.forUser("u-42").list()).length, 1);
        assert.notEqual(await adapter.getSessionAndUser(key), null); // a refresh begins
        await end(key);
        const expires = new Date(clock.now() + 60 * day);
        assert.equal(await adapter.updateSession({ sessionToken: key, expires }), null);
        assert.equal(await adapter.getSessionAndUser(key), null);
        assert.equal((await sessions.forUser("u-42").list()).length, 0);
        assert.notEqual(await adapter.getSessionAndUser(`${key}-other`), null);
      }
    },
  );

  check(
    "a session is updated and deleted at once in two processes, 50 times → it is gone (promise 3, R38)",
    async (store) => {
      const first = managed(store);
      const second = managed(store, first.keys);
      for (let n = 0; n < 50; n++) {
        const session = first.sessionOf(`${token}round${n}`);
        const { sessionToken } = session;
        await first.adapter.createSession(session);
        await Promise.all([
          second.adapter.updateSession(session),
          first.adapter.deleteSession(sessionToken),
          first.adapter.updateSession(session),
          n % 2 === 0 ? first.sessions.forUser("u-42").revokeAll() : null,
        ]);
        const left = await Promise.all(
          [first, second].map(({ adapter }) => adapter.getSessionAndUser(sessionToken)),
        );
        assert.deepEqual(left, [null, null]);
      }
    },
  );

  check("a new key in front of the ring → nobody is logged out (promise 9)", async (store) => {
    const { adapter, keys, sessionOf } = managed(store);
    await adapter.createSession(sessionOf(token));
    const rotated = managed(store, `${generateKey()},${keys}`);
    assert.equal((await rotated.adapter.getSessionAndUser(token))!.user.id, "u-42");
    await rotated.adapter.updateSession({ sessionToken: token });
    assert.equal(await rotated.sessions.forUser("u-42").revokeAll(), 1);
    assert.equal(await adapter.getSessionAndUser(token), null);
  });
});

test("Auth.js: an adapter that is an instance of a class → its methods work, also those that it inherits", async () => {
  class Users {
    readonly #users = new Map<string, { id: string; email: string; emailVerified: null }>();
    getUser(id: string) {
      return this.#users.get(id) ?? null;
    }
  }
  class Adapting extends Users {
    readonly made: string[] = [];
    createUser({ email }: { email: string }) {
      this.made.push(email);
      return { id: "1", email, emailVerified: null };
    }
    deleteUser(_id: string) {}
  }
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey() });
  const adapter = storedSessionAdapter(sessions, new Adapting());
  assert.equal(adapter.createUser({ email: "a@example.com" }).id, "1");
  assert.equal(adapter.getUser("nobody"), null);
  assert.deepEqual(adapter.made, ["a@example.com"]);
  const session = { sessionToken: token, userId: "1", expires: new Date(Date.now() + day) };
  await adapter.createSession(session);
  await adapter.deleteUser("1");
  assert.equal(await adapter.updateSession({ sessionToken: token }), null);
});

test('Auth.js: sealTo: "cookie" → sessions work, and can be ended by their user', async () => {
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey(), sealTo: "cookie" });
  const adapter = storedSessionAdapter(sessions, usersOnly());
  await adapter.createSession({ sessionToken: token, userId: "u-42", expires: new Date(Date.now() + day) });
  assert.equal((await adapter.getSessionAndUser(token))!.user.id, "u-42");
  assert.equal(await sessions.forUser("u-42").revokeAll(), 1);
  assert.equal(await adapter.getSessionAndUser(token), null);
});

test("Auth.js: maxSessions → a login beyond it ends the oldest session of the user", async () => {
  const maxSessions = { count: 1, onLimit: "endOldest" } as const;
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey(), maxSessions });
  const adapter = storedSessionAdapter(sessions, usersOnly());
  const expires = new Date(Date.now() + day);
  for (const sessionToken of ["one", "two"])
    await adapter.createSession({ sessionToken, userId: "u-42", expires });
  const [one, two] = [await adapter.getSessionAndUser("one"), await adapter.getSessionAndUser("two")];
  assert.deepEqual([one, two!.session.sessionToken], [null, "two"]);
});

test("Auth.js: an adapter without getUser, or a manager with deviceBinding → a TypeError says what to pass", () => {
  const { sessions } = managed();
  assert.throws(() => storedSessionAdapter(sessions, {}), { name: "TypeError", message: /getUser/ });
  assert.throws(() => storedSessionAdapter(sessions, undefined as never), { message: /getUser/ });
  const bound = createSessionManager({
    store: memoryStore(),
    keys: generateKey(),
    deviceBinding: { mode: "offer" },
  });
  assert.throws(() => storedSessionAdapter(bound, usersOnly()), {
    name: "TypeError",
    message: /deviceBinding/,
  });
});

test("Auth.js: the store is down → every method fails (promise 8)", async () => {
  const watched = new WatchedStore(memoryStore());
  const { adapter, sessionOf } = managed(watched.store);
  await adapter.createSession(sessionOf(token));
  watched.down("all");
  const calls = [
    () => adapter.getSessionAndUser(token),
    () => adapter.createSession(sessionOf("another")),
    () => adapter.updateSession(sessionOf(token)),
    () => adapter.deleteSession(token),
    () => adapter.deleteUser("u-43"),
  ];
  for (const call of calls) await assert.rejects(async () => call(), { status: 503 });
  watched.up();
  assert.notEqual(await adapter.getSessionAndUser(token), null);
});

/** An application with Auth.js and users in SQLite. A failed store answers 503, as docs/frameworks/authjs.md does it. */
async function application(store: SessionStore) {
  const sessions = createSessionManager({
    store,
    keys: generateKey(),
    idleTimeout: "400 days",
    absoluteTimeout: "400 days",
  });
  const database = new BetterSqlite3(":memory:");
  database.exec(await authjsTables("sqlite"));
  onEnd(() => database.close());
  const adapter = storedSessionAdapter(sessions, DrizzleAdapter(drizzle(database)) as Adapter);
  let config: AuthConfig | null = null;
  const { at } = await listen((request, response) => {
    void answer(new URL(request.url!, at), request).then(
      async (answered) => {
        const cookies = answered.headers.getSetCookie();
        const headers = Object.fromEntries(answered.headers);
        response.writeHead(answered.status, {
          ...headers,
          ...(cookies.length > 0 && { "set-cookie": cookies }),
        });
        response.end(await answered.text());
      },
      (error: { status?: number }) => response.writeHead(error.status ?? 500).end("down"),
    );
  });
  const answer = async (url: URL, request: IncomingMessage): Promise<Response> => {
    const init = {
      method: request.method!,
      headers: request.headers as Record<string, string>,
      redirect: "manual",
    } as const;
    const asked = new Request(
      url,
      request.method === "POST"
        ? { ...init, body: await request.toArray().then((parts) => Buffer.concat(parts)) }
        : init,
    );
    return withStoreErrors(() => Auth(asked, config!));
  };
  const { issuer } = await provide(at, "/auth/callback/shop");
  const userOf = (hint: string): AuthConfig => ({
    adapter,
    basePath: "/auth",
    secret: "a secret of thirty-two characters or more",
    trustHost: true,
    session: { strategy: "database", updateAge: 0 },
    logger: { error() {}, warn() {}, debug() {} },
    providers: [
      {
        id: "shop",
        name: "Shop",
        type: "oidc",
        issuer,
        clientId,
        clientSecret: secret,
        checks: ["pkce", "state"],
        authorization: { params: { scope: "openid", login_hint: hint } },
        profile: ({ sub }: { sub: string }) => ({ id: sub, name: sub, email: `${sub}@example.com` }),
      },
    ],
  });
  const csrf = async (browser: Browser) =>
    (JSON.parse((await browser.go(`${at}/auth/csrf`)).text) as { csrfToken: string }).csrfToken;
  return {
    sessions,
    database,
    async logIn(user: string): Promise<Browser> {
      config = userOf(user);
      const browser = new Browser();
      const form = { csrfToken: await csrf(browser), callbackUrl: `${at}/auth/session` };
      const landed = await browser.go(`${at}/auth/signin/shop`, form);
      assert.equal(landed.url, `${at}/auth/session`, landed.text);
      return browser;
    },
    async session(browser: Browser) {
      const { status, text } = await browser.go(`${at}/auth/session`);
      return status === 200 ? (JSON.parse(text) as { user: { name: string; email: string } } | null) : status;
    },
    async logOut(browser: Browser) {
      const form = { csrfToken: await csrf(browser), callbackUrl: `${at}/auth/session` };
      return (await browser.go(`${at}/auth/signout`, form)).status;
    },
    idOf: (name: string) =>
      (database.prepare("SELECT id FROM user WHERE name = ?").get(name) as { id: string }).id,
  };
}

test(
  "Auth.js with an OpenID Connect provider: login, session, logout, revoke everywhere → over our rows; its own table stays empty",
  { timeout: 60_000 },
  async () => {
    const store = memoryStore();
    const { sessions, database, logIn, logOut, session, idOf } = await application(store);
    const [laptop, phone, other] = [await logIn("ann"), await logIn("ann"), await logIn("bob")];
    const shown = async () =>
      Promise.all(
        [laptop, phone, other].map(
          async (one) => ((await session(one)) as { user: { name: string } } | null)?.user.name ?? null,
        ),
      );
    assert.deepEqual(await shown(), ["ann", "ann", "bob"]);
    assert.equal((await sessions.forUser(idOf("ann")).list()).length, 2);
    assert.deepEqual(database.prepare("SELECT * FROM session").all(), []);

    assert.equal(await logOut(laptop), 200);
    assert.deepEqual(await shown(), [null, "ann", "bob"]);
    assert.equal(await sessions.forUser(idOf("ann")).revokeAll(), 1);
    assert.deepEqual(await shown(), [null, null, "bob"]);
    assert.equal(await sessions.count(), 1);
  },
);

test(
  "Auth.js, the store is down → 503 and no anonymous answer with withStoreErrors; a logout keeps its cookie; visitors without a cookie are served (promise 8, R37)",
  { timeout: 60_000 },
  async () => {
    const watched = new WatchedStore(memoryStore());
    const { logIn, logOut, session } = await application(watched.store);
    const browser = await logIn("ann");
    watched.down("all");
    assert.equal(await session(browser), 503);
    assert.equal(await logOut(browser), 503);
    assert.equal(await session(new Browser()), null);
    watched.up();
    assert.equal(((await session(browser)) as { user: { name: string } }).user.name, "ann");
  },
);

test("withStoreErrors: work that fails itself, or that runs beside a failing one → each gets its own answer", async () => {
  const watched = new WatchedStore(memoryStore());
  const { adapter, sessionOf } = managed(watched.store);
  await adapter.createSession(sessionOf(token));
  await assert.rejects(
    withStoreErrors(() => Promise.reject(new Error("its own"))),
    /its own/,
  );
  assert.equal(await withStoreErrors(() => 7), 7);
  const released = Promise.withResolvers<void>();
  const beside = withStoreErrors(async () => {
    await released.promise;
    return (await adapter.getSessionAndUser(token))!.user.id;
  });
  watched.down("all");
  const swallowed = withStoreErrors(() => adapter.getSessionAndUser(token).catch(() => null));
  await assert.rejects(swallowed, { status: 503 });
  watched.up();
  released.resolve();
  assert.equal(await beside, "u-42");
});
