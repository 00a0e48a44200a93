import { randomBytes } from "node:crypto";
import mysql from "mysql2/promise";
import { Client, Pool } from "pg";
import { describe, expect, test } from "vitest";
import { ClosedError, StoreError, StoreTimeoutError } from "../../src/errors.ts";
import { BatchingStore } from "../../src/batching/batching-store.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { Switch } from "../campaigns/switch.ts";
import { databases, execute } from "../servers/databases.ts";
import { randomRow } from "../servers/rows.ts";

const servers = databases.filter((database) => database.url !== null);

/** Whether a line of MySQL's list of processes waits for this table. */
function isWaiting(line: unknown, table: string): boolean {
  const { State, Info } = line as { State: unknown; Info: unknown };
  return String(State).startsWith("Waiting for table") && Buffer.from(String(Info)).includes(table);
}

if (servers.length === 0) test.skip("TEST_DATABASES: no server → skipped", () => {});

describe.each(servers)("$name", ({ kind, url }) => {
  test("R37 promise 8 a server stops responding → its connections are dropped, and the store goes on with others", async () => {
    const table = `s_${randomBytes(8).toString("hex")}`;
    const address = new URL(url!);
    await using way = await Switch.to(Number(address.port));
    address.port = String(way.port);
    const poolSize = 2;
    const below = (kind === "postgres" ? postgresStore : mysqlStore)(address.href, { table, poolSize });
    await below.migrate();
    const row = randomRow();
    expect(await below.insert([row])).toEqual([true]);
    // every connection of the pool is in use, or was
    for (let round = 0; round < 3; round++)
      await Promise.all([below.touch([row]), ...[1, 2, 3].map(() => below.read([row.id]))]);

    // Only now, so that no limit is set to what has to succeed.
    const store = new BatchingStore(below, { storeTimeout: 600 });
    try {
      way.silence();
      const outcomes: unknown[] = [];
      const failed = (error: unknown) => void outcomes.push((error as StoreError).outcome);
      const lost = randomRow();
      await Promise.all([store.insert(lost).catch(failed), store.read(row.id).catch(failed)]);
      expect(outcomes.length).toBeGreaterThan(0);
      expect(["none", "unknown"]).toEqual(expect.arrayContaining(outcomes));

      const four = [1, 2, 3, 4];
      let found = null;
      // Ten, because a connection that was kept would be given up, too, when twelve times the limit has passed.
      for (let tries = 0; found === null && tries < 10; tries++)
        found = await Promise.all(four.map(() => store.read(row.id))).catch((error: unknown) => {
          expect(error).toBeInstanceOf(StoreError);
          return null;
        });
      expect(found?.map((each) => each?.version)).toEqual(four.map(() => row.version));
      below.giveUpAfter(10_000);
      const all = await Promise.all(four.map(() => below.read([row.id])));
      expect(all.map(([each]) => each?.version)).toEqual(four.map(() => row.version));
    } finally {
      await store.close().catch(() => {});
      await execute(url!, kind, `DROP TABLE IF EXISTS ${table}, ${table}_leases, ${table}_migrations`);
    }
  });

  /** Keeps everybody away from a table. */
  async function lock(table: string) {
    const postgres = kind === "postgres" ? new Client({ connectionString: url! }) : null;
    await postgres?.connect();
    const other = postgres ? null : await mysql.createConnection(url!);
    const run = (text: string): Promise<unknown> => (postgres ? postgres.query(text) : other!.query(text));
    await run(
      postgres ? `BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE` : `LOCK TABLES ${table} WRITE`,
    );
    return {
      free: () => run(postgres ? "ROLLBACK" : "UNLOCK TABLES"),
      [Symbol.asyncDispose]: () => (postgres ?? other)!.end(),
    };
  }

  test("promise 10 a locked table → at most twice the pool's connections on the server", async () => {
    await using created = await held();
    created.release();
    const { table } = created;
    const poolSize = 2;
    const pool =
      kind === "postgres"
        ? new Pool({ connectionString: url!, max: poolSize })
        : mysql.createPool({ uri: url!, connectionLimit: poolSize });
    const store = (kind === "postgres" ? postgresStore : mysqlStore)(pool as never, { table });
    const id = randomRow().id;
    try {
      expect(await store.read([id])).toEqual([null]);
      store.giveUpAfter(150);
      await using locked = await lock(table);
      for (let reading = 0; reading < 8; reading++)
        await expect(store.read([id])).rejects.toBeInstanceOf(StoreTimeoutError);
      const waiting = await execute(
        url!,
        kind,
        kind === "postgres"
          ? `SELECT pid FROM pg_stat_activity WHERE query LIKE '%${table}%' AND wait_event_type = 'Lock'`
          : "SHOW FULL PROCESSLIST",
      );
      const ofTheTable = waiting.filter((row) => kind === "postgres" || isWaiting(row, table));
      expect(ofTheTable.length).toBeGreaterThan(0);
      expect(ofTheTable.length).toBeLessThanOrEqual(2 * poolSize);
      await locked.free();
      store.giveUpAfter(10_000);
      expect(await store.read([id]), "what was kept is back in the pool").toEqual([null]);
    } finally {
      await pool.end();
    }
  });

  test("promise 8 a late connection that is kept → dropped in the end", async () => {
    await using created = await held();
    created.release();
    const address = new URL(url!);
    await using way = await Switch.to(Number(address.port));
    address.port = String(way.port);
    const store = (kind === "postgres" ? postgresStore : mysqlStore)(address.href, {
      table: created.table,
      poolSize: 1,
    });
    store.giveUpAfter(150);
    const id = randomRow().id;
    const read = () =>
      store.read([id]).then(
        () => true,
        () => false,
      );
    try {
      while (!(await read()));
      way.silence();
      expect(await read(), "the first is given up").toBe(false);
      while (!(await read()));
      way.silence();
      expect(await read(), "the second is kept").toBe(false);
      let tries = 0;
      while (!(await read()) && tries < 60) tries++;
      expect(tries, "and given up later").toBeLessThan(60);
    } finally {
      await store.close();
    }
  });

  test("close during a count → the count is cancelled", async () => {
    await using created = await held();
    created.release();
    const { table } = created;
    const store = new BatchingStore((kind === "postgres" ? postgresStore : mysqlStore)(url!, { table }));
    await store.count(0);
    await using locked = await lock(table);
    const counting = store.count(0);
    counting.catch(() => {});
    // meanwhile it arrives at the server
    await expect
      .poll(async () => (await execute(url!, kind, "SELECT 1 AS one")).length, { timeout: 5_000 })
      .toBe(1);
    await store.close();
    await expect(counting).rejects.toBeInstanceOf(ClosedError);
    await locked.free();
  });

  test("close at the start of a count → the count is cancelled", async () => {
    await using created = await held();
    created.release();
    const { table } = created;
    const store = new BatchingStore((kind === "postgres" ? postgresStore : mysqlStore)(url!, { table }));
    await store.count(0);
    await using locked = await lock(table);
    const counting = store.count(0);
    counting.catch(() => {});
    await store.close();
    await expect(counting).rejects.toBeInstanceOf(ClosedError);
    await locked.free();
  });

  test("a sent write without a response → outcome unknown, also while closing (promise 7)", async () => {
    await using created = await held();
    created.release();
    const { table } = created;
    const store = (kind === "postgres" ? postgresStore : mysqlStore)(url!, { table });
    store.giveUpAfter(400);
    const id = randomRow().id;
    await store.read([id]);
    await using locked = await lock(table);
    const writing = store.insert([randomRow()]);
    writing.catch(() => {});
    await store.close();
    await expect(writing).rejects.toBeInstanceOf(StoreTimeoutError);
    await expect(writing).rejects.toMatchObject({ outcome: "unknown" });
    await locked.free();
  });

  /** A store over a pool of one connection, which the test holds. */
  async function held() {
    const table = `s_${randomBytes(8).toString("hex")}`;
    const pool: { end(): Promise<void> } & (
      { connect(): Promise<{ release(): void }> } | { getConnection(): Promise<{ release(): void }> }
    ) =
      kind === "postgres"
        ? new Pool({ connectionString: url!, max: 1 })
        : mysql.createPool({ uri: url!, connectionLimit: 1 });
    const store =
      kind === "postgres" ? postgresStore(pool as never, { table }) : mysqlStore(pool as never, { table });
    await store.migrate();
    const connection = await ("connect" in pool ? pool.connect() : pool.getConnection());
    return {
      store,
      table,
      release: () => connection.release(),
      rows: () => execute(url!, kind, `SELECT 1 AS one FROM ${table}`),
      async [Symbol.asyncDispose]() {
        await pool.end();
        await execute(url!, kind, `DROP TABLE IF EXISTS ${table}, ${table}_leases, ${table}_migrations`);
      },
    };
  }

  test("promise 10 a connection that arrives too late → returned unused", async () => {
    await using late = await held();
    const { store } = late;
    store.giveUpAfter(50);
    await expect(store.insert([randomRow()])).rejects.toMatchObject({ outcome: "none" });
    late.release();
    store.giveUpAfter(10_000);
    expect(await store.read([randomRow().id]), "the pool has its connection again").toEqual([null]);
    expect(await late.rows()).toEqual([]);
  });

  test("a connection that arrives after close → nothing is sent through it", async () => {
    await using late = await held();
    const { database } = late.store;
    const [statement] = database.dialect.insert([randomRow()]);
    const inserting = database.run(statement!);
    await database.close();
    late.release();
    await expect(inserting).rejects.toBeInstanceOf(ClosedError);
    expect(await late.rows()).toEqual([]);
  });
});

describe.each(servers.filter(({ kind }) => kind !== "postgres"))("$name alone", ({ url }) => {
  test("a pool without a limit → the connection of a late operation is dropped too (promise 8)", async () => {
    const table = `s_${randomBytes(8).toString("hex")}`;
    const pool = mysql.createPool({ uri: url!, connectionLimit: 0 });
    const numbers: number[] = [];
    pool.pool.on("connection", (connection: { threadId: number }) => numbers.push(connection.threadId));
    const store = mysqlStore(pool, { table });
    await store.migrate();
    store.giveUpAfter(150);
    const locking = await mysql.createConnection(url!);
    try {
      await locking.query(`LOCK TABLES ${table} WRITE`);
      await expect(store.read([randomRow().id])).rejects.toBeInstanceOf(StoreTimeoutError);
      await locking.query("UNLOCK TABLES");
      await expect
        .poll(async () => (await execute(url!, "mysql", "SHOW PROCESSLIST")).map(({ Id }) => Number(Id)))
        .not.toContain(numbers[0]);
      expect(numbers).toHaveLength(1);
    } finally {
      await locking.end();
      await pool.end();
      await execute(url!, "mysql", `DROP TABLE IF EXISTS ${table}, ${table}_leases, ${table}_migrations`);
    }
  });
});
