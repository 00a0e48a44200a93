/**
 * The same Express application with one kind of session, in a process of its own:
 * `node http-server.ts KIND URL FOLDER SIZE`, started by http-level.ts with an IPC channel.
 */
import type { Profiler } from "node:inspector";
import { Session as Inspector } from "node:inspector/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { join } from "node:path";
import { StoredSessionStore } from "../../src/adapters/drop-in/express-session.ts";
import { session as storedSession } from "../../src/adapters/express.ts";
import { createSessionManager, generateKey } from "../../src/index.ts";
import type { SessionStore } from "../../src/index.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { load } from "./candidate.ts";
import { contentOf, nextVisit } from "./sample.ts";
import type { Content } from "./sample.ts";

interface Request {
  session: Content & { data: Content };
}
interface Response {
  json(value: unknown): void;
}
type Handler = (request: Request, response: Response, next: (error?: unknown) => void) => void;
interface Application {
  use(handler: unknown): void;
  get(path: string, handler: Handler): void;
  listen(
    port: number,
    host: string,
    listening: () => void,
  ): { address(): { port: number }; keepAliveTimeout: number };
}

const [kind, url, folder, sizeText] = process.argv.slice(2) as [string, string, string, string];
const size = Number(sizeText);
const poolSize = 10;
const day = 86_400_000;
const password = "a password of more than thirty-two characters";

const expressSession = async (makeStore: (session: unknown) => Promise<unknown>) => {
  const session = await load("express-session");
  return session({
    store: await makeStore(session),
    secret: password,
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: day },
  });
};
// No connection is closed while the others are measured.
const pgPool = async () =>
  new (await load("pg")).Pool({ connectionString: url, max: poolSize, idleTimeoutMillis: 0 });
const mysqlPool = async () =>
  (await load("mysql2/promise")).createPool({ uri: url, connectionLimit: poolSize });

const dropIn = (store: SessionStore) =>
  expressSession(async () => {
    await store.migrate();
    return new StoredSessionStore({ store, keys: generateKey() });
  });
const own = async (store: SessionStore) => {
  await store.migrate();
  return storedSession(createSessionManager<Content>({ store, keys: generateKey() }));
};
const knexStore = async (client: string) => {
  const { ConnectSessionKnexStore } = await load("connect-session-knex");
  const knex = (await load("knex"))({ client, connection: url, pool: { min: poolSize, max: poolSize } });
  return new ConnectSessionKnexStore({ knex, tableName: `http_knex` });
};
// Its index has one name for all tables, so there is one table.
const pgSimple = async (session: unknown, disableTouch: boolean) => {
  const Store = (await load("connect-pg-simple"))(session);
  const options = { tableName: "http_session", createTableIfMissing: true, disableTouch };
  return new Store({ pool: await pgPool(), ...options });
};
const better = async (session: unknown, pragmas: readonly string[]) => {
  const client = new (await load("better-sqlite3"))(join(folder, `${kind.replaceAll(" ", "-")}.sqlite3`));
  for (const pragma of pragmas) client.pragma(pragma);
  const Store = (await load("better-sqlite3-session-store"))(session);
  return new Store({ client });
};

/** What each kind of session mounts; "ours" where `request.session.data` holds the data. */
const middlewares: Record<string, () => Promise<unknown>> = {
  "no session": async () => null,
  "one setImmediate": async () => (_request: Request, _response: Response, next: () => void) =>
    void setImmediate(next),
  "cookie-session": async () =>
    (await load("cookie-session"))({ name: "session", keys: [password], maxAge: day, secure: false }),
  "iron-session": async () => {
    const { getIronSession } = await load("iron-session");
    return async (request: Request, response: Response, next: (error?: unknown) => void) => {
      try {
        const options = { cookieName: "session", password, cookieOptions: { secure: false } };
        request.session = await getIronSession(request, response, options);
        next();
      } catch (error) {
        next(error);
      }
    };
  },
  memorystore: () =>
    expressSession(async (session) => new ((await load("memorystore"))(session))({ checkPeriod: day })),
  "connect-redis": () =>
    expressSession(async () => {
      const client = (await load("redis")).createClient({ url });
      await client.connect();
      return new (await load("connect-redis")).RedisStore({ client });
    }),
  "connect-pg-simple": () => expressSession((session) => pgSimple(session, false)),
  "connect-pg-simple, disableTouch: true": () => expressSession((session) => pgSimple(session, true)),
  "express-mysql-session": () =>
    expressSession(async (session) => {
      const Store = (await load("express-mysql-session"))(session);
      const store = new Store({ schema: { tableName: "http_session" } }, await mysqlPool());
      await store.onReady();
      return store;
    }),
  "connect-session-knex on PostgreSQL": () => expressSession(() => knexStore("pg")),
  "connect-session-knex on MySQL": () => expressSession(() => knexStore("mysql2")),
  "better-sqlite3-session-store as installed": () => expressSession((session) => better(session, [])),
  "better-sqlite3-session-store WAL NORMAL": () =>
    expressSession((session) => better(session, ["journal_mode = WAL", "synchronous = NORMAL"])),
  "Stored Session on PostgreSQL": async () => own(postgresStore(await pgPool(), { table: "http_ours" })),
  "Stored Session on PostgreSQL, one lane": async () =>
    own(postgresStore(await pgPool(), { table: "http_ours", lanes: { read: 1, write: 1 } })),
  "express-session, Stored Session on PostgreSQL": async () =>
    dropIn(postgresStore(await pgPool(), { table: "http_drop_in" })),
  "express-session, Stored Session on MySQL": async () =>
    dropIn(mysqlStore(await mysqlPool(), { table: "http_drop_in" })),
  "express-session, Stored Session on SQLite": async () =>
    dropIn(sqliteStore(join(folder, "drop-in.sqlite3"))),
  "Stored Session on MySQL": async () => own(mysqlStore(await mysqlPool(), { table: "http_ours" })),
  "Stored Session on SQLite": async () => own(sqliteStore(join(folder, "ours.sqlite3"))),
};

const express = await load("express");
const app = express() as Application;
const middleware = middlewares[kind];
if (!middleware) throw new Error(`There is no ${kind}.`);
const mounted = await middleware();
if (mounted) app.use(mounted);

const ours = kind.startsWith("Stored Session");
const isSessionless = kind === "no session" || kind === "one setImmediate";
const iron = kind === "iron-session";
const constant = contentOf(size);
const dataOf = (request: Request): Content =>
  isSessionless ? constant : ours ? request.session.data : request.session;
const save = async (request: Request): Promise<void> => {
  if (iron) await (request.session as unknown as { save(): Promise<void> }).save();
};

app.get("/begin", (request, response, next) => {
  Object.assign(dataOf(request), contentOf(size));
  save(request).then(() => response.json({ visits: 1000 }), next);
});
app.get("/look", (request, response) => response.json({ visits: dataOf(request).visits ?? null }));
app.get("/change", (request, response, next) => {
  const data = dataOf(request);
  data.visits = nextVisit(data.visits);
  save(request).then(() => response.json({ visits: data.visits }), next);
});

const server = app.listen(0, "127.0.0.1", () => process.send?.({ port: server.address().port }));
// The visitors of the others wait while one is measured.
server.keepAliveTimeout = 0;

const delay = monitorEventLoopDelay({ resolution: 1 });
let before = process.cpuUsage();
let inspector: Inspector | null = null;
process.on("message", (message) => {
  if (message === "profile") {
    void profile().then(() => process.send?.({}));
  } else if (message === "profiled") {
    void profiled().then((value) => process.send?.(value));
  } else if (message === "start") {
    before = process.cpuUsage();
    delay.reset();
    delay.enable();
    process.send?.({});
  } else if (message === "stop") {
    delay.disable();
    const { user, system } = process.cpuUsage(before);
    // The histogram counts from timer to timer, so a resolution of 1 ms is in every value.
    process.send?.({ user, system, p99: delay.percentile(99) / 1e6 - 1, max: delay.max / 1e6 - 1 });
  } else process.exit(0);
});

async function profile(): Promise<void> {
  inspector = new Inspector();
  inspector.connect();
  await inspector.post("Profiler.enable");
  await inspector.post("Profiler.setSamplingInterval", { interval: 200 });
  await inspector.post("Profiler.start");
}

async function profiled(): Promise<Profiler.Profile> {
  const answer = await inspector!.post("Profiler.stop");
  inspector!.disconnect();
  return answer.profile;
}
