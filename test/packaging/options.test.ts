/** Every exported function of every subpath: a wrong option is refused with an error that names it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as core from "../../src/index.ts";

const { createSessionManager, generateKey, memoryStore } = core;
const sessions = createSessionManager({ store: memoryStore(), keys: generateKey() });
const create = () => sessions;
const url = "postgres://user@127.0.0.1:9/database";

const kinds = {
  text: [1, null, {}],
  count: [NaN, -1, 0.5, null, "many"],
  duration: [NaN, -1, null, "soon", {}],
  boolean: [1, "yes", null],
  function: ["text", 1, null],
  object: ["text", 1, null],
  proxies: [NaN, -1, 0.5, null, "yes"],
  signal: [1, "stop", null, {}],
  share: [NaN, -1, 0, 2, null, "half"],
} as const;

interface Case {
  /** Calls the function with these options; what it returns may be a promise, or a generator. */
  call(options: any): unknown;
  /** Options that are required. */
  base?: Record<string, unknown>;
  options: Record<string, keyof typeof kinds>;
  /** Unknown options are accepted, and why. */
  open?: string;
  /** Null and other values that are no object count as no options, and why. */
  spread?: string;
}

const expiry = {
  batchSize: "count",
  maxPerSecond: "count",
  share: "share",
  signal: "signal",
  onProgress: "function",
} as const;
const sqlPool = { table: "text", lanes: "object" } as const;
const batchClient = { batch: async () => [], prepare: () => ({}) };
const noOptions = "takes no options";
const fresh = (requireFresh: any): Case => ({
  call: (options) => requireFresh("15 min", options),
  options: { level: "text", redirectTo: "text" },
});
const fromManager = (module: any): Case => ({
  call: (options) => module.session(sessions, options),
  options: {},
});

/** For each subpath and each of its functions: how it is called, or why it has no options. */
const table: Record<string, Record<string, (module: any) => Case | string>> = {
  ".": {
    createSessionManager: ({ createSessionManager: make }) => ({
      call: make,
      base: { store: memoryStore(), keys: generateKey() },
      options: {
        idleTimeout: "duration",
        absoluteTimeout: "duration",
        storeTimeout: "duration",
        maxBytes: "count",
        compressAbove: "count",
        app: "text",
        userOf: "function",
        clock: "function",
        cookie: "object",
        client: "boolean",
      },
    }),
    expireSessionsJob: (module) => ({
      call: (options) => module.expireSessionsJob(sessions, options),
      options: {
        ...expiry,
        maxCreatedAge: "duration",
        maxUpdatedAge: "duration",
        lease: "duration",
        exclusive: "boolean",
      },
      spread: "queues call a job with whatever they have; the options are merged with `exclusive`",
    }),
    resealJob: (module) => ({
      call: (options) => module.resealJob(sessions, options),
      options: { ...expiry, after: "text", lease: "duration", exclusive: "boolean" },
      spread: "as expireSessionsJob",
    }),
    memoryStore: ({ memoryStore: make }) => ({ call: make, options: { maxSessions: "count" } }),
    generateKey: () => noOptions,
    migrate: () => "takes a store",
    returnPath: () => "takes any value: it checks what visitors send",
  },
  "./sqlite": {
    sqliteStore: (module) => ({
      call: (options) => module.sqliteStore(":memory:", options),
      options: { table: "text" },
    }),
  },
  "./postgres": {
    postgresStore: (module) => ({ call: (options) => module.postgresStore(url, options), options: sqlPool }),
  },
  "./mysql": {
    mysqlStore: (module) => ({
      call: (options) => module.mysqlStore("mysql://user@127.0.0.1:9/database", options),
      options: sqlPool,
    }),
  },
  "./libsql": {
    libsqlStore: (module) => ({
      call: (options) =>
        module.libsqlStore(
          { execute() {}, batch() {}, executeMultiple() {}, close() {}, protocol: "http" },
          options,
        ),
      options: { table: "text" },
    }),
  },
  "./d1": {
    d1Store: (module) => ({
      call: (options) => module.d1Store(batchClient, options),
      options: { table: "text" },
    }),
  },
  "./durable-object": {
    durableObjectStore: (module) => ({
      call: (options) => module.durableObjectStore({ sql: { exec() {} }, transactionSync() {} }, options),
      options: { table: "text" },
    }),
  },
  "./driver": {
    batchDialect: () => "for drivers, which are checked by their types and the store contract",
    query: () => "for drivers",
    stepwisePool: () => "for drivers",
    textValues: () => "for drivers",
    write: () => "for drivers",
  },
  "./express": {
    session: (module) => ({
      ...fromManager(module),
      options: { property: "text", passport: "object" },
    }),
    requireFresh: (module) => fresh(module.requireFresh),
    sessionOf: () => noOptions,
  },
  "./node": {
    attachSession: (module) => ({
      call: (options) => module.attachSession(sessions, {}, {}, options),
      options: { trustProxy: "proxies", onError: "function" },
    }),
    withSession: (module) => ({
      call: (options) => module.withSession(sessions, () => {}, options),
      options: { trustProxy: "proxies", onError: "function" },
    }),
    requireFresh: (module) => fresh(module.requireFresh),
    answerError: () => noOptions,
    answerDeviceBinding: () => noOptions,
    guard: () => "for adapters: all its members are required, and given by the adapter",
  },
  "./fastify": {
    storedSession: (module) => ({
      call: (options) => module.storedSession({ decorateRequest() {}, addHook() {} }, options),
      base: { sessions },
      options: { property: "text" },
      open: "Fastify puts options of its own beside these",
    }),
    default: () => "is storedSession",
    requireFresh: (module) => fresh(module.requireFresh),
    sessionOf: () => noOptions,
  },
  "./koa": {
    session: (module) => ({ ...fromManager(module), options: { property: "text" } }),
    requireFresh: (module) => fresh(module.requireFresh),
    sessionOf: () => noOptions,
  },
  "./hono": {
    session: (module) => ({ ...fromManager(module), options: { address: "function" } }),
    requireFresh: (module) => fresh(module.requireFresh),
  },
  "./fetch": {
    fetchSessions: () => "takes a manager",
    forbidStoringIn: () => "takes headers",
    writeResponseHeaders: () => "takes headers",
    warn: () => noOptions,
    requireFresh: (module) => fresh(module.requireFresh),
  },
  "./react-router": {
    createStoredSessionStorage: (module) => ({
      call: module.createStoredSessionStorage,
      base: { sessions },
      options: {},
    }),
    requireFresh: (module) => fresh(module.requireFresh),
  },
  "./next": {
    nextSessions: (module) => ({
      call: (options) => module.nextSessions(create, options),
      options: { name: "text", address: "function", onError: "function" },
    }),
    redirectTo: () => "takes a path, which it checks",
    requireFresh: (module) => fresh(module.requireFresh),
  },
  "./h3": {
    storedSession: (module) => ({
      call: (options) => module.storedSession(sessions, options),
      options: { trustProxy: "proxies", address: "function", onError: "function" },
    }),
    requireFresh: (module) => fresh(module.requireFresh),
    sessionOf: () => noOptions,
    useStoredSession: () => "takes an event",
  },
  "./better-auth": { storedSessionStorage: () => "takes a manager" },
  "./authjs": {
    storedSessionAdapter: () => "takes a manager and an adapter",
    withStoreErrors: () => "takes a function",
  },
  "./elysia": {
    storedSession: (module) => ({
      call: (options) => module.storedSession(sessions, options),
      options: { address: "function" },
    }),
    requireFresh: (module) => fresh(module.requireFresh),
  },
  "./astro": {
    withDeviceBinding: () => "takes a request handler",
    astroSessions: (module) => ({
      call: (options) => module.astroSessions(create, options),
      options: { property: "text", address: "function", onError: "function" },
    }),
    requireFresh: (module) => fresh(module.requireFresh),
  },
  "./sveltekit": {
    withDeviceBinding: () => "takes a request handler",
    svelteKitSessions: (module) => ({
      call: (options) => module.svelteKitSessions(create, options),
      base: { building: false },
      options: { building: "boolean", property: "text", address: "function", onError: "function" },
    }),
    requireFresh: (module) => fresh(module.requireFresh),
  },
  "./hapi": {
    requireFresh: (module) => fresh(module.requireFresh),
    sessionOf: () => noOptions,
  },
  "./oidc": {
    oidcLinks: () => "takes the claims of an ID token",
    backChannelLogout: (module) => ({
      call: module.backChannelLogout,
      base: { sessions, issuer: "https://idp.example", clientId: "app", jwks: { keys: [] } },
      options: { link: "function", onError: "function", clockTolerance: "duration", maxAge: "duration" },
    }),
  },
  "./tanstack-start": {
    tanStackSessions: (module) => ({
      call: (options) => module.tanStackSessions(create, options),
      options: { name: "text", address: "function", onError: "function" },
    }),
    requireFresh: (module) => fresh(module.requireFresh),
  },
  "./dashboard": {
    dashboard: (module) => ({
      call: module.dashboard,
      base: { sessions, authorize: () => null, basePath: "/admin" },
      options: { authorize: "function", basePath: "text", freshFor: "duration", confirmAt: "text" },
    }),
    toFastify: () => "takes a dashboard",
    toKoa: () => "takes a dashboard",
    toNode: () => "takes a dashboard",
  },
  "./express-session": {
    StoredSessionStore: (module) => ({
      call: (options) => new module.StoredSessionStore(options),
      base: { store: memoryStore(), keys: generateKey() },
      options: { userOf: "function", idleTimeout: "duration", maxBytes: "count" },
    }),
  },
  "./koa-session": {
    StoredSessionKoaStore: (module) => ({
      call: (options) => new module.StoredSessionKoaStore(options),
      base: { store: memoryStore(), keys: generateKey() },
      options: { userOf: "function", idleTimeout: "duration", maxBytes: "count" },
    }),
  },
  "./adonisjs": {
    adonisSessionStore: (module) => ({
      call: (options) => module.adonisSessionStore(options),
      base: { store: memoryStore(), keys: generateKey() },
      options: { userOf: "function", idleTimeout: "duration", maxBytes: "count" },
    }),
    taggedId: () => "takes an id",
  },
  "./log": {
    logSessions: (module) => ({
      call: (options) => module.logSessions({ debug() {}, info() {}, warn() {} }, options),
      options: { now: "function" },
    }),
  },
  "./audit": {
    fileAnchor: () => "takes a path, which it checks",
    fileArchive: () => "takes a path",
    webhookAnchor: (module) => ({
      call: (options) => module.webhookAnchor("https://example.org", options),
      options: { headers: "object", timeout: "count" },
    }),
    syslogAnchor: (module) => ({
      call: module.syslogAnchor,
      options: { host: "text", port: "count", app: "text" },
    }),
    formatEvent: () => "takes an event and the name of a format",
  },
  "./opentelemetry": {
    instrumentSessions: (module) => ({
      call: module.instrumentSessions,
      options: {
        tracer: "object",
        meter: "object",
        system: "text",
        table: "text",
        sessions: "object",
        countEvery: "duration",
      },
    }),
  },
  "./prometheus": {
    measureSessions: (module) => ({
      call: (options) => module.measureSessions({ register: {} }, options),
      options: { registry: "object", sessions: "object", countEvery: "duration", prefix: "text" },
    }),
  },
  "./rails": {
    railsStore: (module) => ({
      call: (options) => module.railsStore(":memory:", options),
      options: { table: "text", createTable: "boolean" },
    }),
    railsFormat: (module) => ({
      call: module.railsFormat,
      base: { primaryKey: "p".repeat(32), keyDerivationSalt: "s".repeat(32), hashDigestClass: "SHA256" },
      options: { userOf: "function", storeKeyReferences: "boolean", compress: "boolean", maxBytes: "count" },
    }),
    afterRailsFormat: (module) => ({
      call: module.afterRailsFormat,
      base: { keys: generateKey() },
      options: { app: "text", compressAbove: "count", maxBytes: "count" },
    }),
    importRailsSessions: (module) => ({
      call: (options) => module.importRailsSessions({}, sessions, options),
      options: { dataOf: "function", after: "text", batchSize: "count", dryRun: "boolean", signal: "signal" },
    }),
    railsRows: (module) => ({
      call: (options) => module.railsRows({}, {}, options),
      options: { after: "text", batchSize: "count" },
    }),
    railsFlash: () => "takes session data",
    railsCsrfToken: () => "takes session data and a form",
    verifyRailsCsrfToken: () => "takes session data, a token and a form",
    plainValue: () => "takes any value",
    symbolHash: () => "takes an object",
  },
  "./testing": {
    fakeClock: () => "takes a number, which it checks",
    storeContract: () => "takes the functions of a test runner",
    adapterContract: () => "takes the functions of a test runner",
    contractError: () => "takes any error",
  },
};

const exported = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
  .exports as Record<string, string>;
const load = (path: string) =>
  import(new URL(path.replace("./dist/", "../../src/").replace(/\.js$/, ".ts"), import.meta.url).href);
/** Classes of errors and values are made by the package, or take a value. */
const isClass = (value: unknown) => typeof value === "function" && /^class\b/.test(String(value));

async function failure(call: () => unknown): Promise<Error | null> {
  try {
    const answer: any = await call();
    if (typeof answer?.next === "function") await answer.next();
    if (typeof answer?.close === "function") await answer.close();
    else if (typeof answer === "function" && answer.length === 0) answer();
    return null;
  } catch (error) {
    return error as Error;
  }
}

const isRefusal = (error: Error | null, name: string): error is Error =>
  error !== null &&
  (error instanceof TypeError || error instanceof core.OptionsError) &&
  error.message.includes(name);

for (const [subpath, path] of Object.entries(exported)) {
  if (subpath === "./package.json") continue;
  describe(subpath, async () => {
    const module = await load(path);
    const functions = Object.entries(module).filter(([, value]) => typeof value === "function");

    test("options: a function of a subpath → is in this table, with its options or the reason why it has none", () => {
      const listed = Object.keys(table[subpath] ?? {});
      const names = functions.filter(([name, value]) => !isClass(value) || listed.includes(name));
      expect(listed.toSorted()).toEqual(names.map(([name]) => name).toSorted());
    });

    for (const [name, make] of Object.entries(table[subpath] ?? {})) {
      const given = make(module);
      if (typeof given === "string") continue;
      const { call, base = {}, options, open } = given;

      test(`${name}: an unknown option, or no object → refused by name`, async () => {
        if (open === undefined) {
          const unknown = await failure(() => call({ ...base, idelTimeout: 1 }));
          assert.ok(isRefusal(unknown, "idelTimeout"), `idelTimeout: ${unknown}`);
        }
        for (const wrong of given.spread === undefined ? [null, 1, "text"] : []) {
          const error = await failure(() => call(wrong));
          assert.ok(
            error instanceof TypeError || error instanceof core.OptionsError,
            `${String(wrong)}: ${error}`,
          );
        }
      });

      test(`${name}: a wrong value → refused by the option's name; undefined → as if it were not given`, async () => {
        for (const [option, kind] of Object.entries(options)) {
          for (const wrong of kinds[kind]) {
            const error = await failure(() => call({ ...base, [option]: wrong }));
            assert.ok(isRefusal(error, option), `${option}: ${String(wrong)}: ${error}`);
          }
          if (option in base) continue;
          const error = await failure(() => call({ ...base, [option]: undefined }));
          assert.ok(!isRefusal(error, option), `${option}: undefined: ${error}`);
        }
      });
    }
  });
}

test("options: a subpath of the package → is in this table", () => {
  expect(Object.keys(table).toSorted()).toEqual(
    Object.keys(exported)
      .filter((name) => name !== "./package.json")
      .toSorted(),
  );
});
