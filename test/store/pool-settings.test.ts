/** Pools and handles of the application whose settings change what statements mean or return. */
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { DatabaseSync, type DatabaseSyncOptions } from "node:sqlite";
import { isDeepStrictEqual } from "node:util";
import mysql from "mysql2/promise";
import { Pool, type PoolConfig } from "pg";
import { describe, expect, test } from "vitest";
import { inspectDatabase } from "../../src/sql/inspect.ts";
import { StoredSessionError, StoreSettingsError } from "../../src/errors.ts";
import type { SessionRow } from "../../src/store/row.ts";
import { generateKey } from "../../src/sealing/keyring.ts";
import { createSessionManager } from "../../src/manager.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { sqliteStore, type SqliteHandle } from "../../src/sql/sqlite/store.ts";
import { sqliteDrivers } from "../servers/chosen.ts";
import { databases, execute, type TestDatabase } from "../servers/databases.ts";
import { nextRow, randomRow, randomRows } from "../servers/rows.ts";

const servers = databases.filter((database) => database.url !== null) as (TestDatabase & { url: string })[];
const postgres = servers.filter(({ kind }) => kind === "postgres");
const mysqls = servers.filter(({ kind }) => kind !== "postgres");

/** Every operation of the store, on a table of its own; whatever a setting changes shows in one of them. */
async function exercise(store: SqlStore): Promise<void> {
  await store.migrate();
  await store.migrate();
  const user = new Uint8Array(randomBytes(32));
  const rows = randomRows(30).map((row) => ({
    ...row,
    userRef: user,
    createdAt: 1_000,
    updatedAt: 1_000,
    expiresAt: 5_000,
    absoluteExpiresAt: 9_000,
  }));
  const ids = rows.map(({ id }) => id);
  expect(await store.insert(rows)).toEqual(rows.map(() => true));
  expect(await store.insert([rows[3]!, rows[4]!])).toEqual([false, false]);
  expect(await store.read(ids)).toEqual(rows);
  expect(await store.read([ids[7]!])).toEqual([rows[7]]);
  expect(await store.read([ids[1]!, randomRow().id, ids[2]!])).toEqual([rows[1], null, rows[2]]);
  expect(await store.count(0)).toBe(30);
  expect((await store.scan(null, 100)).length).toBe(30);
  expect((await store.listByUser([user], 100)).length).toBe(30);

  const [first, second, third] = rows as [SessionRow, SessionRow, SessionRow];
  const rest = rows.slice(3);
  const next = [first, second, third].map(nextRow);
  const stale = { ...second, version: second.version - 1 };
  const updates = [
    { loaded: first, next: next[0]! },
    { loaded: stale, next: next[1]! },
    { loaded: third, next: next[2]! },
  ];
  expect(await store.update(updates)).toEqual([true, false, true]);
  expect(await store.update(updates)).toEqual([false, false, false]);
  expect(await store.read([first.id, second.id])).toEqual([next[0], second]);
  expect(await store.replace(second, { ...second, id: randomRow().id, version: 7 })).toBe(true);
  expect(await store.replace(second, { ...second, id: randomRow().id, version: 8 })).toBe(false);
  await store.touch(rest.map(({ id }) => ({ id, updatedAt: 3_000, expiresAt: 6_000 })));
  expect((await store.read([rest[0]!.id]))[0]).toMatchObject({ updatedAt: 3_000, expiresAt: 6_000 });
  await store.touch(rest.map(({ id }) => ({ id, updatedAt: 3_000, expiresAt: 6_000 })));
  expect(await store.delete([third.id, randomRow().id, rest[1]!.id])).toEqual([true, false, true]);

  const now = 1_000;
  expect(await store.lease("job", "me", now + 500, now)).toBe(true);
  expect(await store.lease("job", "me", now + 500, now), "renewed without a change").toBe(true);
  expect(await store.lease("job", "you", now + 500, now)).toBe(false);
  expect(await store.lease("job", "me", 0, now), "given back").toBe(true);
  expect(await store.lease("job", "you", now + 900, now)).toBe(true);

  const other = randomRows(3);
  expect(await store.takeOver(other)).toEqual(["imported", "imported", "imported"]);
  expect(await store.takeOver(other)).toEqual(["before", "before", "before"]);
  expect(await store.deleteByUser([user], { except: [first.id] })).toBeGreaterThan(20);
  expect((await store.read([first.id]))[0]?.version).toBe(next[0]!.version);
  const expired = await store.deleteExpired({
    before: Number.MAX_SAFE_INTEGER,
    limit: 100,
    cursor: null,
    idleTimeout: 1,
    absoluteTimeout: 1,
  });
  expect(expired).toMatchObject({ deleted: 4, cursor: null });
  expect(await store.count(0)).toBe(0);
}

/** A visitor who is logged in stays so, and is never anonymous without an error (promise 8). */
async function visit(store: SqlStore): Promise<void> {
  const sessions = createSessionManager<{ cart: number }>({ store, keys: generateKey() });
  const session = await sessions.load(null);
  session.login("42");
  session.data.cart = 3;
  const cookie = (await sessions.commit(session))!.split(";")[0];
  const again = await sessions.load(cookie);
  expect(again).toMatchObject({ isNew: false, user: "42", data: { cart: 3 } });
  expect(await sessions.forUser("42").list()).toHaveLength(1);
}

const readsAsText: mysql.PoolOptions["typeCast"] = (field) => field.string()?.trim() ?? null;

describe.each(mysqls)("$name: settings of the application's pool (promise 8)", ({ kind, url }) => {
  const cases: [string, mysql.PoolOptions, string?][] = [
    ["typeCast that reads blobs as text", { typeCast: readsAsText }],
    ["typeCast: false", { typeCast: false }],
    [
      "typeCast that fails",
      {
        typeCast: () => {
          throw new Error("not for you");
        },
      },
    ],
    ["rowsAsArray", { rowsAsArray: true }],
    ["nestTables", { nestTables: true }],
    ["nestTables with a separator", { nestTables: "_" }],
    ["namedPlaceholders", { namedPlaceholders: true }],
    ["dateStrings", { dateStrings: true }],
    ["supportBigNumbers and bigNumberStrings", { supportBigNumbers: true, bigNumberStrings: true }],
    ["decimalNumbers", { decimalNumbers: true }],
    ["disableEval", { disableEval: true, typeCast: readsAsText }],
    ["without FOUND_ROWS", { flags: ["-FOUND_ROWS"] }],
    ["multipleStatements", { multipleStatements: true }],
    ["another charset", { charset: "latin1_swedish_ci" }],
    ["sql_mode empty", {}, "SET sql_mode = ''"],
    ["sql_mode ANSI", {}, "SET sql_mode = 'ANSI'"],
    ["sql_safe_updates", {}, "SET sql_safe_updates = 1"],
    ["completion_type CHAIN", {}, "SET completion_type = 'CHAIN'"],
    ["completion_type RELEASE", {}, "SET completion_type = 'RELEASE'"],
    ["sql_select_limit = 1", {}, "SET sql_select_limit = 1"],
    ["sql_select_limit = 0", {}, "SET sql_select_limit = 0"],
    ["isolation SERIALIZABLE", {}, "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
    ["time_zone", {}, "SET time_zone = '+11:00'"],
    ["character_set_results", {}, "SET character_set_results = NULL"],
    ["div_precision_increment", {}, "SET div_precision_increment = 30"],
    ...(kind === "mariadb"
      ? ([
          ["sql_mode ORACLE", {}, "SET sql_mode = 'ORACLE'"],
          ["sql_mode EMPTY_STRING_IS_NULL", {}, "SET sql_mode = 'EMPTY_STRING_IS_NULL'"],
          ["sql_mode SIMULTANEOUS_ASSIGNMENT", {}, "SET sql_mode = 'SIMULTANEOUS_ASSIGNMENT'"],
        ] as [string, mysql.PoolOptions, string][])
      : []),
  ];

  test.each(cases)("%s → every operation does what it says", async (_, options, statement) => {
    const table = `t_${randomBytes(8).toString("hex")}`;
    const pool = mysql.createPool({ uri: url, connectionLimit: 4, ...options });
    if (statement)
      pool.pool.on("connection", (connection: { query(sql: string): void }) => connection.query(statement));
    try {
      const store = mysqlStore(pool, { table });
      await exercise(store);
      await visit(store);
    } finally {
      await pool.end();
      await drop(url, kind, table);
    }
  });
});

describe.each(postgres)("$name: settings of the application's pool (promise 8)", ({ kind, url }) => {
  const parsers = (parse: (value: string) => unknown): PoolConfig => ({
    types: { getTypeParser: () => parse as never },
  });
  const cases: [string, PoolConfig][] = [
    ["type parsers that make everything null", parsers(() => null)],
    ["type parsers that trim and cut", parsers((value) => String(value).trim().slice(0, 3))],
    ["type parsers of bigint", parsers((value) => (/^\d+$/.test(value) ? BigInt(value) : value))],
    [
      "type parsers that fail",
      parsers(() => {
        throw new Error("not for you");
      }),
    ],
    ["binary results", { binary: true } as PoolConfig],
    ["search_path by options", { options: "-c search_path=public,pg_catalog" }],
    ["isolation serializable", { options: "-c default_transaction_isolation=serializable" }],
    ["bytea_output escape", { options: "-c bytea_output=escape" }],
    ["client_encoding LATIN1", { options: "-c client_encoding=LATIN1" }],
    ["no nested loops, no index scans", { options: "-c enable_nestloop=off -c enable_indexscan=off" }],
    ["array_nulls and transform_null_equals", { options: "-c array_nulls=off -c transform_null_equals=on" }],
    ["statement_timeout", { statement_timeout: 4_000, query_timeout: 4_000 }],
  ];

  test.each(cases)("%s → every operation does what it says", async (_, options) => {
    const table = `t_${randomBytes(8).toString("hex")}`;
    const pool = new Pool({ connectionString: url, max: 4, ...options });
    try {
      const store = postgresStore(pool, { table });
      await exercise(store);
      await visit(store);
    } finally {
      await pool.end();
      await drop(url, kind, table);
    }
  });
});

describe.runIf(databases.some(({ kind }) => kind === "sqlite"))(
  "SQLite: settings of the handle (promise 8)",
  () => {
    const BetterSqlite3 = createRequire(import.meta.url)("better-sqlite3") as new (
      path: string,
    ) => SqliteHandle & {
      defaultSafeIntegers(on: boolean): void;
    };
    const withBetter = (
      name: string,
      set: (handle: InstanceType<typeof BetterSqlite3>) => void,
    ): (readonly [string, () => SqliteHandle])[] => {
      const open = (): SqliteHandle => {
        const handle = new BetterSqlite3(":memory:");
        set(handle);
        return handle;
      };
      return sqliteDrivers.includes("better-sqlite3") ? [[name, open]] : [];
    };
    const node =
      (options: object, pragma = "") =>
      () => {
        const handle = new DatabaseSync(":memory:", options as DatabaseSyncOptions);
        handle.exec(pragma);
        return handle as unknown as SqliteHandle;
      };

    test.each<readonly [string, () => SqliteHandle]>([
      ["node:sqlite readBigInts", node({ readBigInts: true })],
      ["node:sqlite returnArrays", node({ returnArrays: true })],
      ["node:sqlite without bare names", node({ allowBareNamedParameters: false })],
      ["reverse_unordered_selects", node({}, "PRAGMA reverse_unordered_selects = ON")],
      [
        "recursive_triggers, foreign_keys",
        node({}, "PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = ON"),
      ],
      ...withBetter("better-sqlite3 safeIntegers", (handle) => handle.defaultSafeIntegers(true)),
    ])("%s → every operation does what it says", async (_, open) => {
      const store = sqliteStore(open());
      await exercise(store);
      await visit(store);
    });

    test.each<readonly [string, () => SqliteHandle]>([
      ["node:sqlite", node({})],
      ...withBetter("better-sqlite3", () => {}),
    ])("%s with full_column_names → an error that names it, no anonymous visitor", async (_, open) => {
      const handle = open();
      const store = sqliteStore(handle);
      await store.migrate();
      handle.exec("PRAGMA short_column_names = OFF; PRAGMA full_column_names = ON");
      await expect(visit(store)).rejects.toThrow(StoreSettingsError);
      await expect(store.migrate()).rejects.toThrow(/full_column_names/);
    });
  },
);

describe.each(servers)("$name: a driver in between that drops the store's own options", ({ kind, url }) => {
  test("rows that arrive as something else → an error of status 500 that names the settings, no miss", async () => {
    const table = `t_${randomBytes(8).toString("hex")}`;
    const plain = kind === "postgres" ? postgresStore(url, { table }) : mysqlStore(url, { table });
    await plain.migrate();
    const row = randomRow();
    await plain.insert([row]);
    const { pool, end } = kind === "postgres" ? deafPostgres(url) : deafMysql(url);
    const store =
      kind === "postgres" ? postgresStore(pool as never, { table }) : mysqlStore(pool as never, { table });
    for (const work of [
      () => store.read([row.id]),
      () => store.read([row.id, randomRow().id]),
      () => store.scan(null, 10),
      () => store.count(0),
      () => store.migrate(),
    ]) {
      const error: unknown = await work().then(
        (value) => value,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(StoreSettingsError);
      expect(error).toMatchObject({ status: 500, code: "ERR_STORED_SESSION_STORE_SETTINGS" });
      expect((error as StoredSessionError).message).toMatch(kind === "postgres" ? /rowMode/ : /rowsAsArray/);
    }
    await end();
    await plain.close();
    await drop(url, kind, table);
  });
});

describe.each(servers)("$name: a schema that the application left on a connection", ({ kind, url }) => {
  const isPostgres = kind === "postgres";
  const name = () => `t_${randomBytes(8).toString("hex")}`;
  const leave = (schema: string) => (isPostgres ? `SET search_path TO ${schema}` : `USE ${schema}`);

  async function setUp(options: { readonly onConnect?: string } = {}) {
    const [table, tenant] = [name(), name()];
    await execute(url, kind, isPostgres ? `CREATE SCHEMA ${tenant}` : `CREATE DATABASE ${tenant}`);
    const connecting =
      options.onConnect === undefined ? null : leave(options.onConnect.replace("tenant", tenant));
    const pool = isPostgres
      ? new Pool({ connectionString: url, max: 1 })
      : mysql.createPool({ uri: url, connectionLimit: 1 });
    const events = isPostgres ? (pool as Pool) : (pool as mysql.Pool).pool;
    const set = (client: unknown): void => {
      if (connecting !== null) void (client as { query(sql: string): unknown }).query(connecting);
    };
    (events as Pool).on("connect", set);
    (events as mysql.Pool["pool"]).on("connection", set);
    const query = async (sql: string): Promise<void> => void (await (pool as Pool).query(sql));
    const open = (given: string = table) =>
      isPostgres
        ? postgresStore(pool as Pool, { table: given })
        : mysqlStore(pool as mysql.Pool, { table: given });
    return {
      table,
      tenant,
      query,
      open,
      leave: () => query(leave(tenant)),
      async [Symbol.asyncDispose]() {
        await pool.end();
        await execute(url, kind, isPostgres ? `DROP SCHEMA ${tenant} CASCADE` : `DROP DATABASE ${tenant}`);
        await drop(url, kind, table);
      },
    };
  }

  test("left after the first use → the same rows, and writes go to the same table", async () => {
    await using place = await setUp();
    const store = place.open();
    await store.migrate();
    const rows = randomRows(3);
    await store.insert(rows);
    await place.leave();
    expect(await store.read(rows.map(({ id }) => id))).toEqual(rows);
    await store.migrate();
    expect(await store.delete(rows.map(({ id }) => id))).toEqual([true, true, true]);
  });

  test("left before the first use, the tenant without our tables → the same rows", async () => {
    await using place = await setUp();
    const row = randomRow();
    const before = place.open();
    await before.migrate();
    await before.insert([row]);
    await place.leave();
    const store = place.open();
    expect(await store.read([row.id])).toEqual([row]);
    await store.migrate();
    expect(await store.insert([row])).toEqual([false]);
  });

  test("left before the first use, the tenant with tables of the same name → an error that names both", async () => {
    await using place = await setUp();
    const row = randomRow();
    // Through connections of its own: MySQL's prepared statements keep the database that they were prepared in.
    for (const table of [`${place.tenant}.${place.table}`, place.table]) {
      const before = isPostgres ? postgresStore(url, { table }) : mysqlStore(url, { table });
      await before.migrate();
      if (table === place.table) await before.insert([row]);
      await before.close();
    }
    await place.leave();
    const store = place.open();
    const failing = store.read([row.id]);
    await expect(failing).rejects.toThrow(StoreSettingsError);
    await expect(failing).rejects.toThrow(new RegExp(`${place.tenant}.*set the option .table.`, "s"));
    await expect(store.migrate()).rejects.toThrow(StoreSettingsError);
    await place.query(isPostgres ? "RESET search_path" : `USE ${new URL(url).pathname.slice(1)}`);
    expect(await store.read([row.id]), "nothing about the failure is remembered").toEqual([row]);
  });

  test("chosen when a connection is made → the tables are there, for every connection", async () => {
    await using place = await setUp({ onConnect: "tenant" });
    const store = place.open();
    await store.migrate();
    const row = randomRow();
    await store.insert([row]);
    expect(await place.open().read([row.id])).toEqual([row]);
    expect(await place.open(`${place.tenant}.${place.table}`).read([row.id])).toEqual([row]);
  });
});

describe.each(servers)("$name: what `check` shows", ({ kind, url }) => {
  const mysqlPool = (options: mysql.PoolOptions) =>
    mysql.createPool({ uri: url, connectionLimit: 1, ...options });
  const cases: [string, () => Pool | mysql.Pool, string | null, RegExp][] =
    kind === "postgres"
      ? [
          [
            "types",
            () => new Pool({ connectionString: url, types: { getTypeParser: () => String as never } }),
            null,
            /^types$/,
          ],
          ["binary", () => new Pool({ connectionString: url, binary: true } as PoolConfig), null, /^binary$/],
          [
            "search_path",
            () => new Pool({ connectionString: url, max: 1 }),
            "SET search_path TO pg_catalog",
            /^search_path = pg_catalog$/,
          ],
        ]
      : [
          ["typeCast", () => mysqlPool({ typeCast: readsAsText }), null, /^typeCast \(a function\)$/],
          ["typeCast: false", () => mysqlPool({ typeCast: false }), null, /^typeCast \(false\)$/],
          ["rowsAsArray", () => mysqlPool({ rowsAsArray: true }), null, /^rowsAsArray$/],
          ["-FOUND_ROWS", () => mysqlPool({ flags: ["-FOUND_ROWS"] }), null, /^the flag -FOUND_ROWS$/],
          ["sql_select_limit", () => mysqlPool({}), "SET sql_select_limit = 1", /^sql_select_limit = 1$/],
          [
            "completion_type",
            () => mysqlPool({}),
            "SET completion_type = 'CHAIN'",
            /^completion_type = CHAIN$/,
          ],
          ["USE", () => mysqlPool({}), "USE information_schema", /^USE information_schema$/],
        ];

  test.each(cases)("%s → it is named", async (_, open, statement, phrase) => {
    const pool = open();
    if (statement !== null) await (pool as Pool).query(statement);
    const store = kind === "postgres" ? postgresStore(pool as Pool) : mysqlStore(pool as mysql.Pool);
    const { ownersSettings } = await inspectDatabase(store.database);
    expect(ownersSettings).toEqual([expect.stringMatching(phrase)]);
    await pool.end();
  });

  test("a pool with the usual settings, and a URL → nothing", async () => {
    const pool = kind === "postgres" ? new Pool({ connectionString: url }) : mysqlPool({});
    const stores =
      kind === "postgres"
        ? [postgresStore(pool as Pool), postgresStore(url)]
        : [mysqlStore(pool as mysql.Pool), mysqlStore(url)];
    for (const store of stores) {
      expect((await inspectDatabase(store.database)).ownersSettings).toEqual([]);
      await store.close();
    }
    await pool.end();
  });
});

test.runIf(databases.some(({ kind }) => kind === "sqlite"))(
  "sqlite: the settings that `check` shows → those of the handle",
  async () => {
    for (const [options, settings] of [
      [{ readBigInts: true }, ["readBigInts or safeIntegers"]],
      [{ returnArrays: true }, ["returnArrays"]],
      [{}, []],
    ] as [DatabaseSyncOptions, string[]][]) {
      // A Node that does not know an option ignores it: 22.13 knows neither.
      const probe = new DatabaseSync(":memory:", options).prepare("SELECT 1 AS one").get();
      if (settings.length > 0 && isDeepStrictEqual({ ...probe }, { one: 1 })) continue;
      const store = sqliteStore(new DatabaseSync(":memory:", options));
      expect((await inspectDatabase(store.database)).ownersSettings).toEqual(settings);
    }
  },
);

/** Passes on the text alone, as a layer in between might, with rows as arrays. */
function deafPostgres(url: string) {
  const pool = new Pool({ connectionString: url });
  const connect = async () => {
    const client = await pool.connect();
    return {
      query: ({ text, values }: { text: string; values: unknown[] }) =>
        client.query({ text, values, rowMode: "array" }),
      release: (destroy?: boolean) => client.release(destroy),
      on: () => {},
      removeListener: () => {},
    };
  };
  return { pool: { connect, end: () => pool.end() }, end: () => pool.end() };
}

function deafMysql(url: string) {
  const pool = mysql.createPool({ uri: url, rowsAsArray: true });
  const getConnection = async () => {
    const connection = await pool.getConnection();
    return {
      execute: ({ sql }: { sql: string }, values: never[]) => connection.execute(sql, values),
      query: ({ sql }: { sql: string }) => connection.query(sql),
      release: () => connection.release(),
      destroy: () => connection.destroy(),
    };
  };
  return { pool: { getConnection, end: () => pool.end() }, end: () => pool.end() };
}

async function drop(url: string, kind: TestDatabase["kind"], table: string): Promise<void> {
  const tables = ["", "_leases", "_migrations", "_imports"].map((suffix) => table + suffix);
  await execute(url, kind, `DROP TABLE IF EXISTS ${tables.join(", ")}`);
}
