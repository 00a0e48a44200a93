/** `import better-auth` and `import authjs`: sessions out of tables that the real packages created and wrote. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { Auth, type AuthConfig } from "@auth/core";
import type { Adapter } from "@auth/core/adapters";
import { DrizzleAdapter } from "@auth/drizzle-adapter";
import PostgresAdapter from "@auth/pg-adapter";
import { betterAuth, type BetterAuthOptions } from "better-auth";
import { getAuthTables } from "better-auth/db";
import { getMigrations } from "better-auth/db/migration";
import {
  admin,
  anonymous,
  lastLoginMethod,
  organization,
  phoneNumber,
  twoFactor,
  username,
} from "better-auth/plugins";
import { drizzle as drizzleMysql } from "drizzle-orm/mysql2";
import { drizzle as drizzlePostgres } from "drizzle-orm/node-postgres";
import { drizzle as drizzleSqlite } from "drizzle-orm/better-sqlite3";
import { afterEach, beforeEach, describe, test } from "vitest";
import { storedSessionAdapter } from "../../src/adapters/authjs.ts";
import { storedSessionStorage } from "../../src/adapters/better-auth.ts";
import { betterAuthTables } from "../../src/cli/import/auth-libraries.ts";
import { createSessionManager, generateKey } from "../../src/index.ts";
import { rowIdOf } from "../../src/session/token.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { Browser } from "../adapters/better-auth-app.ts";
import { databases, type CreatedStore, type TestDatabase } from "../servers/databases.ts";
import { authjsTables, ownDatabase, type OwnDatabase } from "./auth-tables.ts";
import { Folder } from "./command.ts";

const keys = generateKey();
let folder: Folder;
let own: OwnDatabase | null = null;
let created: CreatedStore | null = null;
beforeEach(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_KEYS"] = keys;
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:ours.sqlite3";
  assert.equal((await folder.run("migrate")).code, 0);
});
afterEach(async () => {
  await own?.drop();
  await created?.drop();
  own = created = null;
  folder.remove();
});

const managed = (store: SessionStore) =>
  createSessionManager({ store, keys, idleTimeout: "400 days", absoluteTimeout: "400 days" });

/** The arguments for our tables in a database. */
async function destination(database: TestDatabase): Promise<string[]> {
  created = await database.createStore();
  await created.store.migrate();
  if (database.url !== null) return ["-d", database.url, "--table", created.table];
  return ["-d", `sqlite:${String((created.store as any).database.file)}`];
}

/** What an adapter calls tables and columns. */
const spellings: Record<string, BetterAuthOptions> = {
  "as its own adapter": {},
  "snake_case and plural, as with Drizzle": {
    user: {
      modelName: "users",
      fields: { emailVerified: "email_verified", createdAt: "created_at", updatedAt: "updated_at" },
    },
    session: {
      modelName: "sessions",
      fields: {
        userId: "user_id",
        expiresAt: "expires_at",
        createdAt: "created_at",
        updatedAt: "updated_at",
        ipAddress: "ip_address",
        userAgent: "user_agent",
      },
    },
  },
  "capitals, as with Prisma": { user: { modelName: "User" }, session: { modelName: "Session" } },
};

const plain: NonNullable<BetterAuthOptions["emailAndPassword"]> = {
  enabled: true,
  password: { hash: async (text) => text, verify: async ({ hash, password }) => hash === password },
};

async function betterAuthOn(handle: unknown, options: BetterAuthOptions = {}) {
  const settings = {
    baseURL: "http://localhost:3000",
    secret: "a secret of thirty-two characters or more",
    database: handle as never,
    emailAndPassword: plain,
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { disabled: true },
    ...options,
  } satisfies BetterAuthOptions;
  const auth = betterAuth(settings);
  return { auth, settings, browser: () => new Browser((request) => auth.handler(request)) };
}

async function signUp(browser: Browser, name: string, more: object = {}): Promise<Browser> {
  const body = { email: `${name}@example.com`, password: "correct horse battery", name, ...more };
  const { status, json } = await browser.ask("/sign-up/email", body);
  assert.equal(status, 200, JSON.stringify(json));
  return browser;
}

const sessionOf = async (browser: Browser) =>
  (await browser.ask("/get-session")).json as { session: any; user: any } | null;

for (const database of databases.filter(({ name }) => name !== "better-sqlite3")) {
  describe(database.name, () => {
    for (const [spelling, options] of Object.entries(spellings)) {
      test(`promise 3: better-auth, ${spelling}, imported → the same cookies stay logged in through storedSessionStorage; what ends afterwards stays ended`, async () => {
        own = await ownDatabase(database.kind, database.url, folder.path);
        const into = await destination(database);
        const before = await betterAuthOn(own.handle, options);
        await (await getMigrations(before.settings)).runMigrations();
        const [ann, bob] = [await signUp(before.browser(), "ann"), await signUp(before.browser(), "bob")];
        const known = (await sessionOf(ann))!;

        const args = ["import", "better-auth", "--from", own.url, ...into];
        const tried = await folder.json(...args, "--dry-run");
        assert.deepEqual([tried.read, tried.imported, tried.withUser], [2, 2, 2]);
        const first = await folder.json(...args, "--batch-size", "1");
        assert.deepEqual([first.imported, first.withUser, first.finished], [2, 2, true]);
        assert.equal((await folder.json(...args)).skipped.importedBefore, 2);

        const sessions = managed(created!.store);
        const after = await betterAuthOn(own.handle, {
          ...options,
          secondaryStorage: storedSessionStorage(sessions),
        });
        const handler = (request: Request) => after.auth.handler(request);
        const [annNow, bobNow] = [ann.clone(handler), bob.clone(handler)];
        // Not from its own table: only what was imported is asked.
        assert.deepEqual(await sessionOf(annNow), known);
        const tokens = await annNow.tokens();
        assert.deepEqual(tokens, [known.session.token]);
        assert.equal((await sessions.forUser(known.user.id).list()).length, 1);

        assert.equal(await sessions.forUser(known.user.id).revokeAll(), 1);
        assert.equal((await folder.json(...args)).imported, 0);
        assert.equal(await annNow.user(), null);
        assert.equal(await bobNow.user(), "bob@example.com");
        // A refresh by better-auth works on what was imported.
        assert.equal((await bobNow.ask("/update-user", { name: "Bobby" })).status, 200);
        assert.equal((await sessionOf(bobNow))!.user.name, "Bobby");

        // Promise 6: nothing of a session can be read in the row.
        for (const row of await created!.store.scan(null, 10)) {
          const text = Buffer.from(row.data).toString("latin1");
          for (const hidden of [known.session.token, "bob", "example.com"]) assert.ok(!text.includes(hidden));
        }
      });
    }

    test("promise 3: Auth.js with its Drizzle adapter, imported → the same cookies stay logged in through storedSessionAdapter; what ends afterwards stays ended", async () => {
      const kind = database.kind === "mariadb" ? "mysql" : database.kind;
      own = await ownDatabase(database.kind, database.url, folder.path);
      const into = await destination(database);
      await own.run(await authjsTables(kind));
      const drizzle = { sqlite: drizzleSqlite, postgres: drizzlePostgres, mysql: drizzleMysql }[
        kind
      ] as unknown as (handle: never) => never;
      await authjsStaysLoggedIn(DrizzleAdapter(drizzle(own.handle as never)) as Adapter, into);
    });
  });
}

/** Users by this adapter, their sessions imported into our table. */
async function authjsStaysLoggedIn(adapter: Adapter, into: string[]): Promise<void> {
  const expires = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 7_200_000);
  const tokens: string[] = [];
  const ids: string[] = [];
  for (const name of ["ann", "bob"]) {
    const user = { id: randomUUID(), name, email: `${name}@example.com`, emailVerified: null };
    const { id } = await adapter.createUser!(user);
    const sessionToken = randomUUID();
    await adapter.createSession!({ sessionToken, userId: id, expires });
    tokens.push(sessionToken);
    ids.push(String(id));
  }
  const userOf = async (by: Adapter, token: string): Promise<unknown> => {
    const config: AuthConfig = {
      adapter: by,
      basePath: "/auth",
      secret: "a secret of thirty-two characters or more",
      trustHost: true,
      session: { strategy: "database", updateAge: 40 * 86_400 }, // it extends none
      providers: [],
    };
    const headers = { cookie: `authjs.session-token=${token}` };
    const answer = await Auth(new Request("http://localhost/auth/session", { headers }), config);
    return ((await answer.json()) as { user: { name: string } } | null)?.user.name ?? null;
  };
  assert.equal(await userOf(adapter, tokens[0]!), "ann");

  const args = ["import", "authjs", "--from", own!.url, ...into];
  const tried = await folder.json(...args, "--dry-run");
  assert.deepEqual([tried.read, tried.imported, tried.withUser], [2, 2, 2]);
  assert.equal((await folder.json(...args, "--batch-size", "1")).imported, 2);
  const sessions = managed(created!.store);
  const stored = storedSessionAdapter(sessions, adapter);
  assert.deepEqual(await Promise.all(tokens.map((token) => userOf(stored, token))), ["ann", "bob"]);
  const { session } = (await stored.getSessionAndUser(tokens[0]!))!;
  assert.deepEqual([session.expires, session.userId], [expires, ids[0]], "it ends when it would have");
  assert.equal(
    (await created!.store.read([rowIdOf(Buffer.from(tokens[0]!))]))[0]!.expiresAt,
    expires.getTime(),
  );

  assert.equal(await sessions.forUser(ids[0]!).revokeAll(), 1);
  const late = await folder.json(...args);
  assert.deepEqual([late.imported, late.skipped.importedBefore], [0, 2]);
  assert.deepEqual(await Promise.all(tokens.map((token) => userOf(stored, token))), [null, "bob"]);
}

const postgres = databases.find(({ name }) => name === "postgres");

test.runIf(postgres !== undefined)(
  "promise 3: Auth.js with @auth/pg-adapter, whose users have numbers, imported → the same cookies stay logged in",
  async () => {
    own = await ownDatabase("postgres", postgres!.url, folder.path);
    const into = await destination(postgres!);
    // As its documentation says.
    await own.run(`CREATE TABLE users (id SERIAL PRIMARY KEY, name VARCHAR(255), email VARCHAR(255), "emailVerified" TIMESTAMPTZ, image TEXT);
      CREATE TABLE sessions (id SERIAL PRIMARY KEY, "userId" INTEGER NOT NULL, expires TIMESTAMPTZ NOT NULL, "sessionToken" VARCHAR(255) NOT NULL)`);
    await authjsStaysLoggedIn(PostgresAdapter(own.handle) as Adapter, into);
  },
);

/** Sessions of SQLite, as Drizzle has them with seconds, and a user. */
async function smallBetterAuth(more = ""): Promise<void> {
  own = await ownDatabase("sqlite", null, folder.path);
  await own.run(`CREATE TABLE user (id TEXT PRIMARY KEY, name TEXT, email TEXT, email_verified INTEGER, created_at INTEGER, updated_at INTEGER, locale TEXT, secret TEXT);
    CREATE TABLE session (id TEXT PRIMARY KEY, token TEXT UNIQUE, user_id TEXT, expires_at INTEGER, created_at INTEGER, updated_at INTEGER, theme TEXT);
    INSERT INTO user VALUES ('u-1', 'Ann', 'ann@example.com', 1, 1700000000, 1700000000, 'de', 'hidden'); ${more}`);
}
const insertSession = (token: string, user = "u-1", seconds = 7_200) =>
  `INSERT INTO session VALUES ('${randomUUID()}', '${token}', '${user}', ${Math.floor(Date.now() / 1_000) + seconds}, 1700000000, 1700000001, 'dark');`;
const token = (letter: string) => letter.repeat(32);
const fromSqlite = ["import", "better-auth", "--from", "sqlite:auth.sqlite3"];

async function storedValue(sid: string): Promise<{ session: any; user: any } | null> {
  const store = sqliteStore(folder.file("ours.sqlite3"));
  try {
    const text = await storedSessionStorage(managed(store)).get(sid);
    return text === null ? null : (JSON.parse(text) as { session: any; user: any });
  } finally {
    await store.close();
  }
}

test("import better-auth: every field of better-auth and its plugins → imported, unless better-auth keeps it on the server", () => {
  const options: BetterAuthOptions = {
    plugins: [
      admin(),
      anonymous(),
      lastLoginMethod({ storeInDatabase: true }),
      organization({ teams: { enabled: true } }),
      phoneNumber(),
      twoFactor(),
      username(),
    ],
  };
  const tables = getAuthTables(options);
  for (const [model, known] of [
    ["session", betterAuthTables.fields],
    ["user", betterAuthTables.users!.fields],
  ] as const) {
    const fields = Object.entries(tables[model]!.fields).filter(([, { returned }]) => returned !== false);
    assert.deepEqual(
      fields.map(([name]) => name).filter((name) => !known.includes(name)),
      [],
    );
    assert.ok(fields.length >= 10);
  }
});

test("import better-auth: columns in seconds, 0 and 1 → the JSON that better-auth expects, and nothing that it does not know", async () => {
  await smallBetterAuth(insertSession(token("a")));
  const { code, out, err } = await folder.run(...fromSqlite);
  assert.deepEqual([code, out], [0, "Imported 1 of 1 session, 1 with a user.\n"]);
  assert.match(err, /Not imported from the table session: theme\. --fields imports columns/);
  assert.match(err, /Not imported from the table user: locale, secret\. /);
  const { session, user } = (await storedValue(token("a")))!;
  const { id, expiresAt, ...rest } = session;
  assert.equal(typeof id, "string");
  assert.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 7_200_000) < 60_000);
  assert.deepEqual(rest, {
    token: token("a"),
    userId: "u-1",
    createdAt: "2023-11-14T22:13:20.000Z",
    updatedAt: "2023-11-14T22:13:21.000Z",
  });
  assert.deepEqual(user, {
    id: "u-1",
    name: "Ann",
    email: "ann@example.com",
    emailVerified: true,
    createdAt: "2023-11-14T22:13:20.000Z",
    updatedAt: "2023-11-14T22:13:20.000Z",
  });
});

test("import better-auth --fields, --refresh → the named columns too; a changed session is updated, one that ended since stays ended", async () => {
  await smallBetterAuth(insertSession(token("a")) + insertSession(token("b")) + insertSession(token("c")));
  await folder.json(...fromSqlite);
  const store = sqliteStore(folder.file("ours.sqlite3"));
  await storedSessionStorage(managed(store)).delete(token("c"));
  await store.close();
  const fields = ["--fields", "session.theme, user.locale"];
  const again = await folder.json(...fromSqlite, ...fields, "--refresh");
  assert.deepEqual([again.refreshed, again.skipped.changedSince], [2, 1]);
  const { session, user } = (await storedValue(token("a")))!;
  assert.deepEqual([session.theme, user.locale, user.secret], ["dark", "de", undefined]);
  assert.equal(await storedValue(token("c")), null);
  await own!.run("UPDATE session SET expires_at = expires_at + 3600 WHERE token LIKE 'a%'");
  assert.equal((await folder.json(...fromSqlite, ...fields, "--refresh")).refreshed, 1);

  const wrong = await folder.run(...fromSqlite, "--fields", "session.colour");
  assert.deepEqual([wrong.code, wrong.out], [2, ""]);
  assert.match(
    wrong.err,
    /The table session has no column for --fields session\.colour\. Nothing was changed/,
  );
  assert.match((await folder.run(...fromSqlite, "--fields", "colour")).err, /session\.theme,user\.locale/);
});

test("import better-auth: sessions that have ended, without a user, or with other tokens → counted, and listed with what finds each", async () => {
  await smallBetterAuth(
    insertSession(token("a")) +
      insertSession(token("b"), "u-1", -60) +
      insertSession(token("c"), "u-gone") +
      insertSession("short-token"),
  );
  const { read, imported, skipped, examples } = await folder.json(...fromSqlite, "--left-out", "left.jsonl");
  assert.deepEqual([read, imported, skipped.ended, skipped.unreadable], [4, 1, 1, 2]);
  assert.deepEqual(examples.map(({ detail }: { detail: string }) => detail.slice(0, 40)).toSorted(), [
    "better-auth's storage does not take its ",
    "its user is not in the table of users",
  ]);
  const text = readFileSync(folder.file("left.jsonl"), "utf8");
  assert.ok(!text.includes(token("c")) && !text.includes("short-token"), "R28: no whole token");
  const database = new DatabaseSync(folder.file("auth.sqlite3"), { readOnly: true });
  for (const line of text.trimEnd().split("\n")) {
    assert.equal(database.prepare((JSON.parse(line) as { find: string }).find).all().length, 1);
  }
  database.close();
});

test("import better-auth: no table, several, or without columns → refused with what to pass, nothing written", async () => {
  own = await ownDatabase("sqlite", null, folder.path);
  const refused = async (expected: RegExp, ...more: string[]) => {
    const { code, out, err } = await folder.run(...fromSqlite, ...more);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, expected);
    assert.match(err, /Nothing was changed\.$/m);
  };
  await refused(
    /No table of better-auth was found: none of session, sessions, Session is there .*--from-table/,
  );
  await refused(/No table of better-auth was found: none of mine is there/, "--from-table", "mine");
  const columns = "(id, token, user_id, expires_at, created_at, updated_at)";
  await own.run(
    `CREATE TABLE session ${columns}; CREATE TABLE sessions ${columns}; CREATE TABLE mine (id, token)`,
  );
  await refused(
    /The tables session and sessions could both be the table of sessions\. Name it with --from-table/,
  );
  await refused(
    /The table mine has no columns for createdAt, updatedAt, userId, expiresAt/,
    "--from-table",
    "mine",
  );
  await refused(
    /No table of better-auth was found: none of user, users, User is there .*--user-table/,
    "--from-table",
    "session",
  );
  await own.run("CREATE TABLE people (id, email, email_verified)");
  const tables = ["--from-table", "session", "--user-table", "people"];
  assert.equal((await folder.run(...fromSqlite, ...tables)).out, "Imported 0 of 0 sessions.\n");
  assert.equal((await folder.json("count")).live, 0);
});

test("import better-auth, authjs: options that do not apply → refused", async () => {
  await smallBetterAuth();
  const cases: [string, string[], RegExp][] = [
    ["better-auth", ["--user-path", "userId"], /--user-path is not an option for better-auth/],
    ["better-auth", ["--lifetime", "1 h"], /--lifetime is not an option for better-auth/],
    ["authjs", ["--user-table", "user"], /--user-table is not an option for authjs/],
    ["authjs", ["--fields", "user.name"], /authjs does not keep users in its sessions/],
    ["connect-pg-simple", ["--fields", "user.name"], /--fields is not an option for connect-pg-simple/],
    ["better-auth", ["--from-table", "a; DROP"], /is not a valid table name/],
  ];
  for (const [library, options, expected] of cases) {
    const { code, err } = await folder.run("import", library, "--from", "sqlite:auth.sqlite3", ...options);
    assert.equal(code, 2);
    assert.match(err, expected);
  }
  const { code, err } = await folder.run(
    "import",
    "better-auth",
    "--from",
    "postgres://user:secret@127.0.0.1:9/x",
  );
  assert.equal(code, 1);
  assert.match(err, /The tables of better-auth could not be read: .*Nothing was changed/);
});
