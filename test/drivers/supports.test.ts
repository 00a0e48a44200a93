/** What docs/drivers.md says of each driver, found out. */
import { connect, type Socket } from "node:net";
import mariadb from "mariadb";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { StoreTimeoutError } from "../../src/errors.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { query } from "../../src/sql/statement.ts";
import { Switch } from "../campaigns/switch.ts";
import { chosenDatabases } from "../servers/chosen.ts";
import { execute } from "../servers/execute.ts";
import { randomRow } from "../servers/rows.ts";
import { drivers, dropTables, ownTable, urlOf, type OpenedDriver } from "./drivers.ts";
import { facts } from "./facts.ts";
import { lockTable } from "./lock.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { mariadbOptionsOf } from "./mariadb-options.ts";

if (drivers.length === 0)
  test.skip("TEST_DATABASES without a database that has further drivers → skipped", () => {});

describe.each(drivers)("$name", (driver) => {
  const { kind, connects } = driver;
  const expected = facts.find((fact) => fact.driver === driver.fact)!;
  const table = ownTable();
  let opened: OpenedDriver;
  let store: SqlStore;
  beforeAll(async () => {
    opened = await driver.open(urlOf(driver));
    store = opened.store(table) as SqlStore;
    await store.migrate();
  });
  afterAll(async () => {
    await dropTables(opened, table);
    await opened.close();
  });

  test(`a batch → sent as ${expected.batch}`, () => {
    const sent = store.database.dialect.batches === "statement" ? "one statement" : "one transaction";
    expect(sent).toBe(expected.batch);
  });

  test.runIf(kind === "postgres")(`named statements → ${expected.named}`, async () => {
    for (let times = 0; times < 3; times++) await store.read([randomRow().id]);
    const { rows } = await store.database.run(
      query(
        "SELECT count(*)::text AS count FROM pg_prepared_statements WHERE name <> '' AND statement LIKE $1",
        `%${table}%`,
      ),
    );
    expect(Number(rows[0]?.["count"]) > 0 ? "yes" : "no").toBe(expected.named);
  });

  test.runIf(kind === "postgres" && connects)(`a late statement → ${expected.late}`, async () => {
    const url = urlOf(driver);
    const own = await driver.open(url);
    const late = own.store(table) as SqlStore;
    await late.read([randomRow().id]);
    late.giveUpAfter(300);
    const lock = await lockTable(url, kind, table);
    try {
      await expect(late.read([randomRow().id])).rejects.toBeInstanceOf(StoreTimeoutError);
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE query LIKE '%${table}%' AND wait_event_type = 'Lock'`;
      // The server notices a connection that was closed only when it writes to it.
      if (expected.late === "cancelled")
        await expect.poll(async () => (await execute(url, kind, waiting)).length).toBe(0);
    } finally {
      await lock.free();
      await lock[Symbol.asyncDispose]();
      await own.close();
    }
  });
});

describe.runIf(chosenDatabases().includes("postgres"))("postgres.js", () => {
  test("the server vanishes, and sockets have a timeout as docs/drivers.md has it → connections are replaced (promise 8)", async () => {
    const url = new URL(inject("servers").postgres!);
    await using way = await Switch.to(Number(url.port));
    const { username, password, pathname } = url;
    const sql = postgres({
      host: "127.0.0.1",
      port: way.port,
      username,
      password: decodeURIComponent(password),
      database: pathname.slice(1),
      max: 2,
      onnotice: () => {},
      socket: () => {
        const socket = connect(way.port, "127.0.0.1");
        return new Promise<Socket>((resolve, reject) => {
          socket.once("error", reject);
          socket.once("connect", () => {
            socket.off("error", reject);
            resolve(socket.setTimeout(1_500, () => socket.destroy()));
          });
        });
      },
    } as postgres.Options<Record<string, never>>);
    const table = ownTable();
    const store = postgresStore(sql, { table });
    await store.migrate();
    await Promise.all([1, 2, 3, 4].map(() => store.read([randomRow().id])));
    store.giveUpAfter(300);
    way.silence();
    await expect(store.insert([randomRow()])).rejects.toMatchObject({ status: 503, outcome: "unknown" });
    const inserted = () =>
      store.insert([randomRow()]).then(
        ([done]) => done,
        () => false,
      );
    await expect.poll(inserted, { timeout: 15_000 }).toBe(true);
    store.giveUpAfter(10_000);
    const eight = Array.from({ length: 8 }, () => store.read([randomRow().id]));
    expect(await Promise.all(eight)).toEqual(eight.map(() => [null]));
    await dropTables({ execute: async (text) => await sql.unsafe(text) } as OpenedDriver, table);
    await sql.end({ timeout: 1 });
  });
});

const ofMariadb = (["mariadb", "mysql"] as const).filter((kind) => chosenDatabases().includes(kind));

describe.each(ofMariadb)("the mariadb connector, on %s", (kind) => {
  test("an application leaves a transaction open, and releases its connection → the store's writes are kept (promise 7)", async () => {
    const url = inject("servers")[kind]!;
    const pool = mariadb.createPool({ ...mariadbOptionsOf(url), connectionLimit: 1 });
    const table = ownTable();
    const store = mysqlStore(pool, { table });
    await store.migrate();
    const connection = await pool.getConnection();
    await connection.query("START TRANSACTION");
    await connection.query(`DELETE FROM ${table}_leases`);
    await connection.release();
    const row = randomRow();
    expect(await store.insert([row])).toEqual([true]);
    expect(await execute(url, kind, `SELECT 1 FROM ${table}`)).toHaveLength(1);
    for (const suffix of ["", "_leases", "_migrations"])
      await pool.query(`DROP TABLE IF EXISTS ${table}${suffix}`);
    await pool.end();
  });

  test("callers go on asking for the pool's only connection → one that waits gets its turn", async () => {
    const url = inject("servers")[kind]!;
    const pool = mariadb.createPool({
      ...mariadbOptionsOf(url),
      connectionLimit: 1,
    });
    const table = ownTable();
    const store = mysqlStore(pool, { table });
    await store.migrate();
    let [turns, served] = [0, false];
    const busy = (async () => {
      for (; turns < 200 && !served; turns++) await store.read([randomRow().id]);
    })();
    await store.read([randomRow().id]);
    served = true;
    await busy;
    expect(turns).toBeLessThan(50);
    await dropTables({ execute: (text) => pool.query(text) } as OpenedDriver, table);
    await pool.end();
  });

  test("the server vanishes, and the pool has a socketTimeout → its connections are replaced (promise 8)", async () => {
    const url = inject("servers")[kind]!;
    const { port, username: user, password, pathname } = new URL(url);
    await using way = await Switch.to(Number(port));
    const pool = mariadb.createPool({
      host: "127.0.0.1",
      port: way.port,
      user,
      password: decodeURIComponent(password),
      database: pathname.slice(1),
      allowPublicKeyRetrieval: true,
      connectionLimit: 1,
      acquireTimeout: 1_000,
      socketTimeout: 1_500,
    });
    const table = ownTable();
    const store = mysqlStore(pool, { table });
    await store.migrate();
    store.giveUpAfter(300);
    way.silence();
    await expect(store.insert([randomRow()])).rejects.toMatchObject({ status: 503 });
    const inserted = () =>
      store.insert([randomRow()]).then(
        ([done]) => done,
        () => false,
      );
    await expect.poll(inserted, { timeout: 15_000 }).toBe(true);
    for (const suffix of ["", "_leases", "_migrations"])
      await execute(url, kind, `DROP TABLE IF EXISTS ${table}${suffix}`);
    await pool.end();
  });
});
