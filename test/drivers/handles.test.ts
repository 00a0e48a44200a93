/** Handles of other libraries: each works, or the error says what to pass. */
import { MikroORM as MikroPostgres, defineEntity, p } from "@mikro-orm/postgresql";
import { neon } from "@neondatabase/serverless";
import { PrismaPg } from "@prisma/adapter-pg";
import { createClient } from "@libsql/client";
import { drizzle as drizzleBetter } from "drizzle-orm/better-sqlite3";
import { drizzle as drizzleLibsql } from "drizzle-orm/libsql";
import { drizzle as drizzleMysql } from "drizzle-orm/mysql2";
import { drizzle } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import knex from "knex";
import { Kysely, PostgresDialect } from "kysely";
import mariadb from "mariadb";
import mysql from "mysql2";
import { Client, Pool } from "pg";
import postgres from "postgres";
import { Sequelize } from "sequelize";
import { DataSource } from "typeorm";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, inject, test } from "vitest";
import { OptionsError } from "../../src/errors.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { d1Store } from "../../src/sql/sqlite/d1.ts";
import { durableObjectStore } from "../../src/sql/sqlite/durable-object.ts";
import { libsqlStore } from "../../src/sql/sqlite/libsql.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { Better } from "../store/temporary.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { chosenDatabases, sqliteDrivers } from "../servers/chosen.ts";
import { randomRow } from "../servers/rows.ts";
import { ownTable } from "./drivers.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";

const nowhere = "postgres://user:secret@127.0.0.1:1/database";
const pool = (): Pool => new Pool({ connectionString: nowhere });

describe("postgresStore: a handle that it cannot use → an error that says what to pass", () => {
  const cases: readonly (readonly [string, () => unknown, RegExp])[] = [
    ["a pg.Client", () => new Client(nowhere), /was given a pg\.Client.*Pass a pool \(new pg\.Pool/],
    [
      "Knex",
      () => knex({ client: "pg", connection: nowhere }),
      /a Knex instance.*new pg\.Pool.*connectionSettings/,
    ],
    [
      "Kysely",
      () => new Kysely({ dialect: new PostgresDialect({ pool: pool() }) }),
      /a Kysely instance.*the pool that its dialect was made with/,
    ],
    [
      "Sequelize",
      () => new Sequelize(nowhere, { dialect: "postgres", logging: false }),
      /a Sequelize instance.*new pg\.Pool.*sequelize\.config/,
    ],
    ["a driver adapter of Prisma", () => new PrismaPg(pool()), /a driver adapter of Prisma.*given to both/],
    [
      "a Prisma client",
      () => ({ $connect() {}, $transaction() {}, $disconnect() {} }),
      /a Prisma client.*the pool that its driver adapter was made with/,
    ],
    ["neon(…)", () => neon("postgres://user:secret@host.example/database"), /neon\(…\).*new Pool/],
    [
      "a pool of the mariadb connector",
      () => mariadb.createPool("mariadb://user:secret@127.0.0.1:1/x"),
      /Pass it to mysqlStore/,
    ],
    [
      "a pool of mysql2",
      () => mysql.createPool("mysql://user:secret@127.0.0.1:1/x"),
      /Pass it to mysqlStore/,
    ],
    ["an object", () => ({ connect() {} }), /requires a URL or a pg pool/],
    ["a function", () => () => {}, /requires a URL or a pg pool/],
  ];
  test.each(cases)("%s", async (_, make, message) => {
    const handle = make() as { end?(): unknown; destroy?(): unknown };
    try {
      expect(() => postgresStore(handle as never)).toThrow(OptionsError);
      expect(() => postgresStore(handle as never)).toThrow(message);
      expect(() => postgresStore(handle as never)).not.toThrow(/secret/);
    } finally {
      if (typeof handle === "object") await handle.end?.();
    }
  });

  test("a transaction of postgres.js", async () => {
    const sql = postgres(nowhere);
    const transaction = Object.assign(() => {}, { unsafe() {}, savepoint() {}, begin() {}, reserve() {} });
    expect(() => postgresStore(transaction as never)).toThrow(/Pass what postgres\(…\) returns/);
    await sql.end();
  });

  test("a DataSource of TypeORM that is not initialized → the first operation says so", async () => {
    const source = new DataSource({ type: "postgres", url: nowhere });
    await expect(postgresStore(source).read([randomRow().id])).rejects.toThrow(
      /Await dataSource\.initialize/,
    );
  });
});

describe("mysqlStore, libsqlStore, d1Store and sqliteStore: a handle that they cannot use → what to pass", () => {
  const cases: readonly (readonly [string, () => unknown, RegExp])[] = [
    ["a pool of pg", () => mysqlStore(pool() as never), /Pass it to postgresStore/],
    [
      "Knex",
      () => mysqlStore(knex({ client: "mysql2", connection: nowhere }) as never),
      /a Knex instance.*createPool/,
    ],
    [
      "a connection",
      () => mysqlStore({ execute() {}, query() {} } as never),
      /a single connection.*Pass a mysql2 pool/,
    ],
    [
      "a callback pool of mariadb",
      () =>
        mysqlStore({
          getConnection(_done: unknown) {},
          activeConnections() {},
          batch() {},
          end() {},
        } as never),
      /callback API.*a pool of mariadb \(not of mariadb\/callback\)/,
    ],
    [
      "Bun's SQL",
      () => mysqlStore(Object.assign(() => {}, { unsafe() {}, begin() {} }) as never),
      /SQL function of Bun/,
    ],
    ["nothing", () => libsqlStore(null as never), /requires a URL or a client of @libsql\/client/],
    ["a path", () => libsqlStore("sessions.db"), /must begin with "file:"/],
    ["node:sqlite", () => libsqlStore(new DatabaseSync(":memory:") as never), /Pass it to sqliteStore/],
    ["D1", () => libsqlStore({ prepare() {}, batch() {} } as never), /Pass it to d1Store/],
    ["nothing", () => d1Store(undefined as never), /requires a D1 binding \(env\.DB\)/],
    ["nothing", () => durableObjectStore({} as never), /new_sqlite_classes/],
    [
      "a client of libSQL",
      () => sqliteStore(createClient({ url: ":memory:" }) as never),
      /Pass it to libsqlStore/,
    ],
    ["D1", () => sqliteStore({ prepare() {}, batch() {} } as never), /Pass it to d1Store/],
    ["a pool of pg", () => sqliteStore(pool() as never), /requires a path, or a handle/],
  ];
  test.each(cases)("%s", (_, make, message) => {
    expect(make).toThrow(OptionsError);
    expect(make).toThrow(message);
  });

  test.runIf(sqliteDrivers.includes("better-sqlite3"))(
    "sqliteStore: Drizzle over better-sqlite3 → works",
    async () => {
      const file = new Better(":memory:");
      const store = sqliteStore(drizzleBetter(file));
      await store.migrate();
      expect(await store.insert([randomRow()])).toEqual([true]);
      file.close();
    },
  );

  test("libsqlStore: Drizzle over @libsql/client → works", async () => {
    const client = createClient({ url: "file::memory:?cache=shared" });
    const store = libsqlStore(drizzleLibsql(client) as never);
    await store.migrate();
    expect(await store.insert([randomRow()])).toEqual([true]);
    client.close();
  });
});

for (const kind of ["mysql", "mariadb"] as const) {
  describe.runIf(chosenDatabases().includes(kind))(
    `mysqlStore: a handle of another library on ${kind} → works`,
    () => {
      const worksOn = async (handle: Parameters<typeof mysqlStore>[0]): Promise<void> => {
        const table = ownTable();
        const store = mysqlStore(handle, { table });
        await store.migrate();
        expect(await store.insert([randomRow(), randomRow()])).toEqual([true, true]);
        for (const suffix of ["", "_leases", "_migrations"])
          await store.database.run({ text: `DROP TABLE ${table}${suffix}`, values: [], writes: true });
      };

      test("Drizzle over mysql2", async () => {
        const client = mysql.createPool(inject("servers")[kind]!);
        await worksOn(drizzleMysql(client) as never);
        await client.promise().end();
      });

      test("TypeORM", async () => {
        const source = new DataSource({ type: kind, url: inject("servers")[kind]! });
        await source.initialize();
        await worksOn(source);
        await source.destroy();
      });
    },
  );
}

describe.runIf(chosenDatabases().includes("postgres"))(
  "postgresStore: a handle of another library → works",
  () => {
    const url = (): string => inject("servers").postgres!;

    async function worksOn(handle: Parameters<typeof postgresStore>[0]): Promise<void> {
      const table = ownTable();
      const store: SqlStore = postgresStore(handle, { table });
      await store.migrate();
      const rows = [randomRow(), randomRow()];
      expect(await store.insert(rows)).toEqual([true, true]);
      expect((await store.read(rows.map(({ id }) => id))).map((row) => row?.version)).toEqual(
        rows.map(({ version }) => version),
      );
      for (const suffix of ["", "_leases", "_migrations"])
        await store.database.run({ text: `DROP TABLE ${table}${suffix}`, values: [], writes: true });
    }

    test("Drizzle over pg", async () => {
      const client = new Pool({ connectionString: url() });
      await worksOn(drizzle(client));
      await client.end();
    });

    test("Drizzle over postgres.js", async () => {
      const client = postgres(url(), { onnotice: () => {} });
      await worksOn(drizzlePostgresJs(client));
      await client.end({ timeout: 1 });
    });

    test("TypeORM, initialized after the store is made", async () => {
      const source = new DataSource({ type: "postgres", url: url() });
      await source.initialize();
      await worksOn(source);
      await source.destroy();
    });

    test("MikroORM, and its entity manager", async () => {
      const entity = defineEntity({ name: "Something", properties: { id: p.integer().primary() } });
      const orm = await MikroPostgres.init({ clientUrl: url(), entities: [entity] });
      await worksOn(orm);
      await worksOn(orm.em);
      await orm.close();
    });

    test("Kysely and Prisma over the application's pool", async () => {
      const shared = new Pool({ connectionString: url() });
      const kysely = new Kysely({ dialect: new PostgresDialect({ pool: shared }) });
      expect(new PrismaPg(shared).provider).toBe("postgres");
      await worksOn(shared);
      await kysely.destroy();
    });
  },
);
