/** Servers and pools whose settings are not the usual ones. */
import { randomBytes } from "node:crypto";
import mysql from "mysql2/promise";
import { Client, Pool } from "pg";
import { afterEach, describe, expect, test, vi } from "vitest";
import { MysqlDatabase } from "../../src/sql/mysql/driver.ts";
import { MysqlDialect } from "../../src/sql/mysql/dialect.ts";
import { inspectDatabase } from "../../src/sql/inspect.ts";
import { StoreReadOnlyError, StoreTimeoutError, TableError } from "../../src/errors.ts";
import { migrateDatabase, MIGRATIONS, migrationStatus } from "../../src/sql/migrations/migrator.ts";
import { generateKey } from "../../src/sealing/keyring.ts";
import { createSessionManager, settingsOf } from "../../src/manager.ts";
import { BatchingStore } from "../../src/batching/batching-store.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { CONNECT_TIMEOUT } from "../../src/sql/pool-options.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { SqlStore } from "../../src/sql/sql-store.ts";
import { databases, execute } from "../servers/databases.ts";
import type { CreatedStore, TestDatabase } from "../servers/databases.ts";
import { nextRow, randomRow, randomRows } from "../servers/rows.ts";

const servers = databases.filter((database) => database.url !== null) as (TestDatabase & { url: string })[];

afterEach(() => void vi.useRealTimers());

test("connectTimeout is below storeTimeout → an unreachable server has outcome none", () => {
  const manager = createSessionManager({ store: memoryStore(), keys: generateKey() });
  expect(CONNECT_TIMEOUT).toBeLessThan(settingsOf(manager as never).storeTimeout);
});

async function migrated(database: TestDatabase): Promise<CreatedStore> {
  const created = await database.createStore();
  await created.store.migrate();
  return created;
}

/** A pool of one connection: its store, and what the pool's owner does on that connection. */
function single({ kind, url }: TestDatabase & { url: string }, table: string) {
  if (kind === "postgres") {
    const pool = new Pool({ connectionString: url, max: 1 });
    return {
      store: postgresStore(pool, { table }),
      query: async (text: string) => (await pool.query(text)).rows as Record<string, unknown>[],
      [Symbol.asyncDispose]: () => pool.end(),
    };
  }
  const pool = mysql.createPool({ uri: url, connectionLimit: 1 });
  return {
    store: mysqlStore(pool, { table }),
    query: async (text: string) => (await pool.query(text))[0] as Record<string, unknown>[],
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

describe.each(servers)("$name", (database) => {
  const { kind, url } = database;
  const readOnly =
    kind === "postgres" ? "SET default_transaction_read_only = on" : "SET SESSION TRANSACTION READ ONLY";
  const connectionId = kind === "postgres" ? "SELECT pg_backend_pid() AS id" : "SELECT CONNECTION_ID() AS id";

  test("a connection to a former primary → replaced (promise 8)", async () => {
    await using created = await migrated(database);
    await using one = single(database, created.table);
    vi.useFakeTimers({ toFake: ["performance"] });
    await one.store.insert([randomRow()]);
    vi.advanceTimersByTime(1_000);
    await one.query(readOnly);
    const refused = one.store.insert([randomRow()]);
    await expect(refused).rejects.toThrow(StoreReadOnlyError);
    await expect(refused).rejects.toMatchObject({ outcome: "none" });
    expect(await one.store.insert([randomRow()])).toEqual([true]);
  });

  test("a server that is always read-only → not reconnected for each write", async () => {
    await using created = await migrated(database);
    await using one = single(database, created.table);
    vi.useFakeTimers({ toFake: ["performance"] });
    await one.query(readOnly);
    const [before] = await one.query(connectionId);
    for (let write = 0; write < 3; write++) {
      await expect(one.store.insert([randomRow()])).rejects.toThrow(StoreReadOnlyError);
    }
    expect(await one.query(connectionId)).toEqual([before]);
  });

  test("a locked row in a batch → fails alone, and the others are written", async () => {
    await using created = await migrated(database);
    const { table } = created;
    // What an operator sets for PostgreSQL, the store sets on its own connections to MySQL and MariaDB.
    const pool =
      kind === "postgres" ? new Pool({ connectionString: url, options: "-c lock_timeout=500" }) : null;
    const below = pool ? postgresStore(pool, { table }) : mysqlStore(url, { table });
    const sizes: number[] = [];
    const store = new BatchingStore(below, {
      storeTimeout: 4_000,
      onBatch: (sent, size) => void (sent === "update" && sizes.push(size)),
    });
    const rows = randomRows(8);
    await created.store.insert(rows);
    await Promise.all([1, 2].map(() => store.touch(rows[0]!))); // both lanes have a connection
    const postgres = kind === "postgres" ? new Client({ connectionString: url }) : null;
    await postgres?.connect();
    const other = postgres ? null : await mysql.createConnection(url);
    const query = (text: string): Promise<unknown> => (postgres ? postgres.query(text) : other!.query(text));
    const hex = Buffer.from(rows[3]!.id).toString("hex");
    await query(kind === "postgres" ? "BEGIN" : "START TRANSACTION");
    await query(`SELECT 1 FROM ${table} WHERE id = ${postgres ? `'\\x${hex}'` : `x'${hex}'`} FOR UPDATE`);
    const told = await Promise.allSettled([
      store.update(rows[7]!, nextRow(rows[7]!)),
      ...rows.slice(0, 7).map((row) => store.update(row, nextRow(row))),
    ]);
    await (postgres ?? other)!.end();
    expect(sizes.slice(0, 2)).toEqual([1, 7]);
    const [locked] = told.splice(4, 1);
    expect(locked).toMatchObject({ status: "rejected", reason: { outcome: "none" } });
    expect(told).toEqual(told.map(() => ({ status: "fulfilled", value: true })));
    await store.close();
    await pool?.end();
  });

  test("a migration fails → its lock is released", async () => {
    await using created = await migrated(database);
    const { exclusively } = (created.store as SqlStore).database;
    const failing = exclusively.call((created.store as SqlStore).database, async () => {
      throw new Error("the reason");
    });
    await expect(failing).rejects.toThrow(/the reason/);
    const held = await execute(
      url,
      kind,
      `SELECT name FROM ${created.table}_leases WHERE held_until > ${Date.now()}`,
    );
    expect(held).toEqual([]);
  });
});

describe.each(servers.filter(({ kind }) => kind === "postgres"))("$name alone", (database) => {
  test.each(["repeatable read", "serializable"])(
    "several migrate at once where the default is %s → all succeed",
    async (level) => {
      await using created = await database.createStore();
      const options = `-c default_transaction_isolation=${level.replace(" ", "\\ ")}`;
      const pools = [1, 2, 3].map(() => new Pool({ connectionString: database.url, options, max: 1 }));
      const [first, second, third] = pools.map((pool) => postgresStore(pool, { table: created.table }));
      const gate = Promise.withResolvers<void>();
      const entered = Promise.withResolvers<void>();
      const holding = first!.database.exclusively(async () => {
        entered.resolve();
        await gate.promise;
      });
      await entered.promise;
      const migrating = [second!.migrate(), third!.migrate()];
      await vi.waitFor(
        async () => {
          const waiting = await execute(
            database.url,
            "postgres",
            `SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND NOT l.granted AND (l.classid, l.objid) IN (SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND granted)`,
          );
          expect(waiting.length).toBeGreaterThanOrEqual(2);
        },
        { timeout: 20_000 },
      );
      gate.resolve();
      await Promise.all([holding, ...migrating]);
      expect(await third!.insert([randomRow()])).toEqual([true]);
      await Promise.all(pools.map((pool) => pool.end()));
    },
  );

  test("migrate: a missing schema → named", async () => {
    const store = postgresStore(database.url, { table: "not_there.stored_sessions" });
    await expect(store.migrate()).rejects.toThrow(/CREATE SCHEMA/);
    await store.close();
  });

  test("an unlogged table → a durability warning, at the first use and when inspected (R33)", async () => {
    await using created = await migrated(database);
    await execute(database.url, "postgres", `ALTER TABLE ${created.table} SET UNLOGGED`);
    const { database: inspected } = created.store as SqlStore;
    const { durability } = await inspectDatabase(inspected);
    expect(durability.filter(({ durabilityWarning }) => durabilityWarning !== null)).toMatchObject([
      { value: "unlogged" },
    ]);
    expect(await inspected.durabilityWarnings?.()).toEqual([expect.stringMatching(/is unlogged/)]);
  });
});

describe.each(servers.filter(({ kind }) => kind !== "postgres"))("$name alone", (database) => {
  const turnedOff = (): mysql.Pool => {
    const pool = mysql.createPool({ uri: database.url, connectionLimit: 1 });
    pool.pool.on("connection", (connection: { query(sql: string): void }) =>
      connection.query("SET autocommit = 0"),
    );
    return pool;
  };

  test("a pool with autocommit off → an error, and no write is acknowledged (promise 7)", async () => {
    await using created = await migrated(database);
    const pool = turnedOff();
    const store = mysqlStore(pool, { table: created.table });
    const row = randomRow();
    for (const attempt of [
      () => store.insert([row]),
      () => store.read([row.id]),
      () => store.insert([row]),
    ]) {
      await expect(attempt()).rejects.toThrow(/autocommit is off/);
    }
    expect(await created.store.read([row.id])).toEqual([null]);
    await pool.end();
  });

  test("the owner turns autocommit off later → refused from then on (promise 7)", async () => {
    await using created = await migrated(database);
    await using one = single(database, created.table);
    const [before, after] = [randomRow(), randomRow()];
    expect(await one.store.insert([before])).toEqual([true]);
    await one.query("SET autocommit = 0");
    await expect(one.store.insert([after])).rejects.toThrow(/autocommit is off/);
    await expect(one.store.read([after.id])).rejects.toThrow(/autocommit is off/);
    expect(await created.store.read([before.id, after.id])).toEqual([before, null]);
    await one.query("SET autocommit = 1");
    expect(await one.store.insert([after])).toEqual([true]);
    expect(await created.store.read([after.id])).toEqual([after]);
  });

  test("the wait for a locked row → shorter than storeTimeout, or what the server says if that is shorter", async () => {
    await using created = await migrated(database);
    const { table } = created;
    const waits = async (storeTimeout: number | null, options: { owned: boolean; before?: string }) => {
      const pool = mysql.createPool({ uri: database.url, connectionLimit: 1 });
      const { before } = options;
      if (before) pool.pool.on("connection", (one: { query(sql: string): void }) => one.query(before));
      const opened = new MysqlDatabase(async () => pool, {
        dialect: new MysqlDialect({ table }),
        ...options,
      });
      if (storeTimeout !== null) opened.giveUpAfter(storeTimeout);
      const text = "SELECT @@innodb_lock_wait_timeout AS seconds, @@autocommit AS autocommit";
      const { rows } = await opened.run({ text, values: [], writes: false });
      await pool.end();
      return rows[0];
    };
    const usual = await waits(null, { owned: true });
    expect(Number(usual?.["seconds"])).toBeGreaterThan(4);
    expect(await waits(10_000, { owned: true })).toEqual({ ...usual, seconds: 4 });
    expect(await waits(500, { owned: true })).toEqual({ ...usual, seconds: 1 });
    expect(await waits(10_000, { owned: true, before: "SET innodb_lock_wait_timeout = 2" })).toEqual({
      ...usual,
      seconds: 2,
    });
    expect(await waits(10_000, { owned: true, before: "SET autocommit = 0" })).toEqual({
      ...usual,
      seconds: 4,
    });
    expect(await waits(10_000, { owned: false }), "a pool of the application's stays as it is").toEqual(
      usual,
    );
  });

  test("a pool opened by the store: the server's default is autocommit=0 → connections use autocommit", async () => {
    await using created = await migrated(database);
    const dialect = new MysqlDialect({ table: created.table });
    const store = new SqlStore(new MysqlDatabase(async () => turnedOff(), { dialect, owned: true }));
    const row = randomRow();
    expect(await store.insert([row])).toEqual([true]);
    await store.close();
    expect(await created.store.read([row.id])).toEqual([row]);
  });
});

describe.each(servers.filter(({ kind }) => kind === "postgres"))("repairing $name", (database) => {
  const query = (text: string) => execute(database.url, "postgres", text);
  const broken = async () => {
    const created = await migrated(database);
    await query(`DROP INDEX ${created.table}_user_ref`);
    return { created, store: created.store as SqlStore };
  };

  test("an invalid index → named, and the application starts all the same", async () => {
    const { created, store } = await broken();
    await using _ = created;
    const { table } = created;
    const userRef = Buffer.alloc(32);
    await store.insert([
      { ...randomRow(), userRef },
      { ...randomRow(), userRef },
    ]);
    // Fails for the two equal ones, and leaves an index that is not valid.
    const failing = query(`CREATE UNIQUE INDEX CONCURRENTLY ${table}_user_ref ON ${table} (user_ref)`);
    await expect(failing).rejects.toThrow(/unique/);
    await store.migrate();
    const status = await migrationStatus(store.database);
    expect(status).toMatchObject({ repair: [], missing: ["an index that starts with user_ref"] });
    expect(status.obstacles).toEqual([expect.stringMatching(`${table}_user_ref is not valid`)]);
    const refused = migrateDatabase(store.database, { repair: true });
    await expect(refused).rejects.toThrow(TableError);
    await expect(refused).rejects.toThrow(/still building it, or has failed\. .*run the migration again/);
    await query(`DROP INDEX ${table}_user_ref`);
    await migrateDatabase(store.database, { repair: true });
    expect((await migrationStatus(store.database)).missing).toEqual([]);
  });

  test("migrate → does not alter the table itself", async () => {
    const { created, store } = await broken();
    await using _ = created;
    await query(`ALTER TABLE ${created.table} ALTER COLUMN data SET STORAGE MAIN`);
    await migrateDatabase(store.database, { repair: true });
    const [column] = await query(
      `SELECT attstorage AS kept FROM pg_attribute WHERE attrelid = '${created.table}'::regclass AND attname = 'data'`,
    );
    expect(column).toMatchObject({ kept: "m" });
  });

  test("another transaction holds a table → the migration times out, so that statements do not queue behind it", async () => {
    const { created, store } = await broken();
    await using _ = created;
    const pool = new Pool({ connectionString: database.url, max: 1 });
    const holder = await pool.connect();
    await holder.query("BEGIN");
    await holder.query(`LOCK TABLE ${created.table} IN ROW EXCLUSIVE MODE`);
    try {
      const refused = migrateDatabase(store.database, { repair: true });
      await expect(refused).rejects.toThrow(StoreTimeoutError);
      await expect(refused).rejects.toThrow(/pg_stat_activity.*run the migration again/);
      expect(await store.insert([randomRow()])).toEqual([true]);
    } finally {
      await holder.query("ROLLBACK");
      holder.release();
      await pool.end();
    }
    await migrateDatabase(store.database, { repair: true });
    const { rows } = await store.database.run({ text: "SHOW lock_timeout", values: [], writes: false });
    expect(rows, "only of that transaction").toEqual([{ lock_timeout: "0" }]);
  });
});

describe.each(servers.filter(({ kind }) => kind !== "postgres"))("repairing $name", (database) => {
  test("an index of that name on another column → an error each time, also for adopted tables", async () => {
    await using created = await migrated(database);
    const { database: opened } = created.store as SqlStore;
    const { table } = created;
    const query = (text: string) => execute(database.url, database.kind, text);
    await query(`DROP INDEX ${table}_user_ref ON ${table}`);
    await query(`CREATE INDEX ${table}_user_ref ON ${table} (created_at)`);
    const taken = /The table .* already has an index of that name on another column/;
    await expect(migrateDatabase(opened, { repair: true })).rejects.toThrow(TableError);
    await expect(migrateDatabase(opened, { repair: true })).rejects.toThrow(taken);
    await query(`DROP TABLE ${table}_migrations`);
    for (let start = 0; start < 2; start++) await expect(migrateDatabase(opened)).rejects.toThrow(taken);
    await query(`ALTER TABLE ${table} RENAME INDEX ${table}_user_ref TO other`);
    await migrateDatabase(opened);
    expect(await migrationStatus(opened)).toMatchObject({
      missing: [],
      applied: MIGRATIONS.map(({ version }) => ({ version })),
    });
  });
});

describe.each(servers)("tables that are not what the journal says: $name", ({ kind, url, createStore }) => {
  const drop = (index: string, table: string): string =>
    kind === "postgres" ? `DROP INDEX ${index}` : `DROP INDEX ${index} ON ${table}`;

  test("missing objects → named, and recreated on request only", async () => {
    await using created = await createStore();
    const store = created.store as SqlStore;
    const { table } = created;
    await store.migrate();
    const losses = [
      [`DROP TABLE ${table}`, /^the table .*[^s]$/],
      [`DROP TABLE ${table}_leases`, /^the table .*_leases/],
      [drop(`${table}_user_ref`, table), /^an index that starts with user_ref$/],
      [drop(`${table}_expires_bucket`, table), /^an index that starts with expires_bucket$/],
    ] as const;
    for (const [loss, what] of losses) {
      await execute(url, kind, loss);
      expect(await migrationStatus(store.database)).toMatchObject({
        pending: [],
        missing: [expect.stringMatching(what)],
      });
      await store.migrate();
      expect((await migrationStatus(store.database)).missing, "as an application starts").toHaveLength(1);
      await migrateDatabase(store.database, { repair: true, empty: true });
      expect(await migrationStatus(store.database)).toMatchObject({
        missing: [],
        applied: MIGRATIONS.map(({ version }) => ({ version })),
      });
      expect(await store.insert([randomRow()])).toEqual([true]);
    }
    await execute(url, kind, `ALTER TABLE ${table} DROP COLUMN expires_bucket`);
    await expect(migrationStatus(store.database)).rejects.toThrow(/lacks .*expires_bucket/);
    await expect(store.migrate()).rejects.toThrow(TableError);
  });

  test("a renamed table → its indexes keep their names", async () => {
    await using created = await createStore();
    const store = created.store as SqlStore;
    const { table } = created;
    await store.migrate();
    const old = `old_${table.slice(0, 30)}`;
    await execute(url, kind, `ALTER TABLE ${table} RENAME TO ${old}`);
    await execute(url, kind, `DROP TABLE ${table}_migrations`);
    try {
      if (kind === "postgres") {
        await expect(store.migrate()).rejects.toThrow(/keeps the names of its indexes/);
        await execute(url, kind, `ALTER INDEX ${table}_user_ref RENAME TO ${old}_u`);
        await execute(url, kind, `ALTER INDEX ${table}_expires_bucket RENAME TO ${old}_e`);
      }
      await store.migrate();
      expect((await migrationStatus(store.database)).missing).toEqual([]);
    } finally {
      await execute(url, kind, `DROP TABLE ${old}`);
    }
  });

  test("a role that may only read and write → starts, and creating an index names the missing privilege", async () => {
    await using created = await createStore();
    await created.store.migrate();
    const { table } = created;
    const role = `w${randomBytes(6).toString("hex")}`;
    const account = kind === "postgres" ? role : `'${role}'@'%'`;
    await execute(
      url,
      kind,
      kind === "postgres"
        ? `CREATE ROLE ${role} LOGIN PASSWORD 'p'`
        : `CREATE USER ${account} IDENTIFIED BY 'p'`,
    );
    const companions = [
      "leases",
      "migrations",
      "audit",
      "audit_subjects",
      "audit_checkpoints",
      "audit_days",
      "links",
    ];
    for (const name of [table, ...companions.map((companion) => `${table}_${companion}`)]) {
      await execute(url, kind, `GRANT SELECT, INSERT, UPDATE, DELETE ON ${name} TO ${account}`);
    }
    const address = new URL(url);
    [address.username, address.password] = [role, "p"];
    const store = (kind === "postgres" ? postgresStore : mysqlStore)(address.href, { table });
    try {
      expect(await migrationStatus(store.database)).toMatchObject({ pending: [], missing: [] });
      await store.migrate();
      await execute(url, kind, drop(`${table}_user_ref`, table));
      await store.migrate();
      expect(await store.insert([randomRow()])).toEqual([true]);
      await expect(migrateDatabase(store.database, { repair: true })).rejects.toThrow(
        /may not create or alter the tables .*migrate --print/,
      );
    } finally {
      await store.close();
      if (kind === "postgres") await execute(url, kind, `DROP OWNED BY ${role}`);
      await execute(url, kind, kind === "postgres" ? `DROP ROLE ${role}` : `DROP USER ${account}`);
    }
  });
});
