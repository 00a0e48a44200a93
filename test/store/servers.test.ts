import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import mysql from "mysql2/promise";
import { Client, Pool } from "pg";
import { describe, expect, test } from "vitest";
import {
  NotMigratedError,
  OptionsError,
  StoreError,
  StoreReadOnlyError,
  StoreUnavailableError,
  TableError,
} from "../../src/errors.ts";
import { checksumOf } from "../../src/sql/migrations/migration.ts";
import { sessions } from "../../src/sql/migrations/0001-sessions.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { binaryValues } from "../../src/sql/postgres/arrays.ts";
import { MIGRATIONS } from "../../src/sql/migrations/migrator.ts";
import { databases, execute } from "../servers/databases.ts";
import type { CreatedStore, TestDatabase } from "../servers/databases.ts";
import { nextRow, randomRow, randomRows } from "../servers/rows.ts";

const servers = databases.filter((database) => database.url !== null) as (TestDatabase & { url: string })[];
const storeFor = (database: TestDatabase, url: string, options = {}): SqlStore =>
  (database.kind === "postgres" ? postgresStore : mysqlStore)(url, options);

/** What stands in journals everywhere. A red test here means: restore the text and write a further migration. */
const FROZEN = {
  postgres: "25307dde2478899f47be790c721b27b015d0ba9df0f5635ecf3f32ee86e17d4b",
  mysql: "f48fcb5192a0e1c3728b148a54e956db904cb045f5725acd67202d217a86097a",
  mariadb: "f48fcb5192a0e1c3728b148a54e956db904cb045f5725acd67202d217a86097a",
};

test.each(["postgres", "mysql", "mariadb"] as const)("the first migration for %s → frozen", (kind) => {
  expect(checksumOf(sessions, kind)).toBe(FROZEN[kind]);
});

for (const database of servers) {
  describe(database.name, () => {
    const { kind, url } = database;
    const migrated = async (options = {}): Promise<CreatedStore> => {
      const created = await database.createStore(options);
      await created.store.migrate();
      return created;
    };

    test("ten processes migrate at once → all succeed", { timeout: 60_000 }, async () => {
      const table = `m_${randomBytes(8).toString("hex")}`;
      const script = new URL("../servers/migrate-once.ts", import.meta.url).pathname;
      const run = (): Promise<unknown> => promisify(execFile)(process.execPath, [script, kind, url, table]);
      try {
        await Promise.all(Array.from({ length: 10 }, run));
        const journal = await execute(url, kind, `SELECT version FROM ${table}_migrations`);
        expect(journal).toHaveLength(MIGRATIONS.length);
        const store = storeFor(database, url, { table });
        expect(await store.insert(randomRows(3))).toEqual([true, true, true]);
        await store.close();
      } finally {
        await execute(url, kind, `DROP TABLE IF EXISTS ${table}, ${table}_leases, ${table}_migrations`);
      }
    });

    test("concurrent batches of the same rows → each caller learns exactly which rows it wrote (promise 2)", async () => {
      await using created = await migrated();
      const rows = randomRows(40);
      await created.store.insert(rows);
      const rivals = [created.store, created.another(), created.another()];
      const won = new Map<string, number>();
      const rounds = rivals.map(async (store) => {
        for (let round = 0; round < 8; round++) {
          const loaded = (await store.read(rows.map(({ id }) => id))).filter((row) => row !== null);
          const updates = loaded.map((row) => ({ loaded: row, next: nextRow(row) }));
          const answers = await store.update(updates);
          updates.forEach(({ next }, index) => {
            if (!answers[index]) return;
            const key = Buffer.from(next.id).toString("hex");
            won.set(key, (won.get(key) ?? 0) + 1);
            written.set(`${key}:${next.version}`, next.data);
          });
        }
      });
      const written = new Map<string, Uint8Array>();
      await Promise.all(rounds);
      // Whatever stands there at the end was acknowledged to somebody, with those bytes.
      for (const row of await created.store.read(rows.map(({ id }) => id))) {
        const key = `${Buffer.from(row!.id).toString("hex")}:${row!.version}`;
        expect(Buffer.from(written.get(key)!)).toEqual(Buffer.from(row!.data));
      }
      expect(won.size).toBe(40);
    });

    test("concurrent writes of the same rows in any order → all end, and no caller sees a deadlock", async () => {
      await using created = await migrated();
      const rows = randomRows(30);
      await created.store.insert(rows);
      const shuffled = <Item>(items: readonly Item[]): Item[] => items.toSorted(() => Math.random() - 0.5);
      const rival = async (store: typeof created.store): Promise<void> => {
        for (let round = 0; round < 8; round++) {
          const some = shuffled(rows).slice(0, 20);
          const now = Date.now();
          await Promise.all([
            store.touch(
              some.map(({ id }, index) => ({ id, updatedAt: now + (round % 2) * index, expiresAt: now })),
            ),
            store.update(shuffled(rows).map((loaded) => ({ loaded, next: { ...loaded, updatedAt: now } }))),
            store.delete([rows[round]!.id, rows[round + 8]!.id]),
          ]);
        }
      };
      await Promise.all([rival(created.store), rival(created.another()), rival(created.another())]);
      expect(await created.store.count(0)).toBe(14);
    });

    test("missing tables → reported at each call; after migrating → works", async () => {
      await using created = await database.createStore();
      const row = randomRow();
      for (const attempt of [() => created.store.read([row.id]), () => created.store.insert([row])]) {
        await expect(attempt()).rejects.toThrow(NotMigratedError);
      }
      await created.store.migrate();
      expect(await created.store.insert([row])).toEqual([true]);
    });

    test("a table with other columns → unchanged, and reported", async () => {
      const table = `s_${randomBytes(8).toString("hex")}`;
      await execute(url, kind, `CREATE TABLE ${table} (id INT, name INT)`);
      const store = storeFor(database, url, { table });
      try {
        await expect(store.migrate()).rejects.toThrow(TableError);
        await expect(store.read([randomRow().id])).rejects.toThrow(TableError);
      } finally {
        await store.close();
        await execute(url, kind, `DROP TABLE ${table}`);
      }
    });

    test("an unreachable server → StoreUnavailableError, outcome none (promise 8)", async () => {
      const away = new URL(url);
      away.port = "9";
      const store = storeFor(database, away.href);
      for (const attempt of [() => store.read([randomRow().id]), () => store.insert([randomRow()])]) {
        const error = await attempt().then(undefined, (thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(StoreUnavailableError);
        expect(error).toMatchObject({ outcome: "none", status: 503 });
        expect(String(error)).not.toContain(away.password);
      }
      await store.close();
    });

    test("a wrong password → an error without the password", async () => {
      const wrong = new URL(url);
      wrong.password = "wrong-password";
      const store = storeFor(database, wrong.href);
      const error = await store.read([randomRow().id]).then(undefined, (thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect(String(error)).toMatch(/refused the connection/);
      expect(String(error)).not.toContain("wrong-password");
      await store.close();
    });

    test("a connection cut during a write → outcome unknown, and the pool goes on", async () => {
      await using created = await migrated({ poolSize: 2 });
      const { store } = created;
      const [row] = randomRows(1) as [ReturnType<typeof randomRow>];
      await store.insert([row]);
      const table = (store as SqlStore).database.dialect.names.sessions;
      await using blocker = await connect(database, url);
      await blocker.query(kind === "postgres" ? "BEGIN" : "START TRANSACTION");
      await blocker.query(`UPDATE ${table} SET version = version + 1`);

      const waiting = store
        .update([{ loaded: row, next: nextRow(row) }])
        .then(undefined, (thrown: unknown) => thrown);
      // Not by the blocker: within a transaction PostgreSQL shows the same activity for ever.
      await using killer = await connect(database, url);
      await killWaiting(killer, kind, table);
      const error = await waiting;
      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect(error).toMatchObject({ outcome: "unknown" });

      await blocker.query("ROLLBACK");
      expect(await store.read([row.id])).toEqual([row]);
      expect(await store.update([{ loaded: row, next: nextRow(row) }])).toEqual([true]);
    });

    test("an idle connection was cut → the next read succeeds", async () => {
      await using created = await migrated();
      const row = randomRow();
      await created.store.insert([row]);
      const table = (created.store as SqlStore).database.dialect.names.sessions.replaceAll(/["`]/g, "");
      await using killer = await connect(database, url);
      if (kind === "postgres") {
        const pool = new Pool({ connectionString: url, max: 1 });
        pool.on("error", () => {});
        const { rows } = await pool.query("SELECT pg_backend_pid() AS id");
        await killer.query(`SELECT pg_terminate_backend(${rows[0].id})`);
        expect(await postgresStore(pool, { table }).read([row.id])).toEqual([row]);
        await pool.end();
      } else {
        const pool = mysql.createPool({ uri: url, connectionLimit: 1 });
        const [rows] = await pool.query<mysql.RowDataPacket[]>("SELECT CONNECTION_ID() AS id");
        await killer.query(`KILL ${rows[0]!["id"]}`);
        expect(await mysqlStore(pool, { table }).read([row.id])).toEqual([row]);
        await pool.end();
      }
    });

    test("a pool without a free connection → StoreUnavailableError", async () => {
      const pool =
        kind === "postgres"
          ? new Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 4_000 })
          : mysql.createPool({ uri: url, connectionLimit: 1, waitForConnections: false });
      const held =
        kind === "postgres" ? await (pool as Pool).connect() : await (pool as mysql.Pool).getConnection();
      const store = kind === "postgres" ? postgresStore(pool as Pool) : mysqlStore(pool as mysql.Pool);
      await expect(store.insert([randomRow()])).rejects.toMatchObject({
        code: "ERR_STORED_SESSION_STORE_UNAVAILABLE",
        outcome: "none",
      });
      held.release();
      await store.close();
      // The caller's pool is the caller's: it still works, and is theirs to end.
      await (kind === "postgres" ? (pool as Pool).query("SELECT 1") : (pool as mysql.Pool).query("SELECT 1"));
      await pool.end();
    });

    test("a read-only role → an error that names the missing privileges", async () => {
      await using created = await migrated();
      const name = `r${randomBytes(6).toString("hex")}`;
      const table = (created.store as SqlStore).database.dialect.names.sessions;
      const account = kind === "postgres" ? name : `'${name}'@'%'`;
      await execute(
        url,
        kind,
        kind === "postgres"
          ? `CREATE ROLE ${name} LOGIN PASSWORD 'p'`
          : `CREATE USER ${account} IDENTIFIED BY 'p'`,
      );
      await execute(url, kind, `GRANT SELECT ON ${table} TO ${account}`);
      const reader = new URL(url);
      reader.username = name;
      reader.password = "p";
      const store = storeFor(database, reader.href, { table: table.replaceAll(/["`]/g, "") });
      try {
        expect(await store.read([randomRow().id])).toEqual([null]);
        const error = await store.insert([randomRow()]).then(undefined, (thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(StoreError);
        expect(String(error)).toMatch(/Grant it/);
      } finally {
        await store.close();
        await execute(url, kind, kind === "postgres" ? `DROP OWNED BY ${name}` : "SELECT 1");
        await execute(url, kind, kind === "postgres" ? `DROP ROLE ${name}` : `DROP USER ${account}`);
      }
    });

    test("a read-only server → StoreReadOnlyError, outcome none", async () => {
      await using created = await migrated();
      const table = (created.store as SqlStore).database.dialect.names.sessions.replaceAll(/["`]/g, "");
      if (kind === "postgres") {
        const pool = new Pool({ connectionString: url, options: "-c default_transaction_read_only=on" });
        await expect(postgresStore(pool, { table }).insert([randomRow()])).rejects.toThrow(
          StoreReadOnlyError,
        );
        await pool.end();
      } else {
        const pool = mysql.createPool({ uri: url });
        pool.pool.on("connection", (connection: { query(sql: string): void }) =>
          connection.query("SET SESSION TRANSACTION READ ONLY"),
        );
        await expect(mysqlStore(pool, { table }).insert([randomRow()])).rejects.toThrow(StoreReadOnlyError);
        await pool.end();
      }
    });

    test("durable settings → no durability warning (R33)", async () => {
      await using created = await migrated();
      expect(await (created.store as SqlStore).database.durabilityWarnings?.()).toEqual([]);
    });

    test("a table in another schema → works", async () => {
      const schema = `app_${randomBytes(6).toString("hex")}`;
      await execute(url, kind, `CREATE SCHEMA ${schema}`);
      const store = storeFor(database, url, { table: `${schema}.stored_sessions` });
      try {
        await store.migrate();
        await store.migrate();
        const rows = randomRows(5);
        expect(await store.insert(rows)).toEqual(rows.map(() => true));
        expect(await store.read(rows.map(({ id }) => id))).toEqual(rows);
        expect(await store.lease("a", "b", 10, 5)).toBe(true);
      } finally {
        await store.close();
        await execute(
          url,
          kind,
          kind === "postgres" ? `DROP SCHEMA ${schema} CASCADE` : `DROP SCHEMA ${schema}`,
        );
      }
    });
  });
}

describe.runIf(servers.some(({ kind }) => kind === "postgres"))("postgres alone", () => {
  const database = servers.find(({ kind }) => kind === "postgres")!;
  test("query plans of one row and of many → by primary key, in the order of the batch", async () => {
    await using made = await database.createStore();
    await made.store.migrate();
    const rows = randomRows(32);
    await made.store.insert(rows);
    const { dialect } = (made.store as SqlStore).database;
    const touches = rows.map(({ id }) => ({ id, updatedAt: 1, expiresAt: 2 }));
    const client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query("SET plan_cache_mode = force_generic_plan");
    const statements = [
      dialect.read(rows.map(({ id }) => id)),
      ...dialect.update(rows.map((loaded) => ({ loaded, next: nextRow(loaded) }))),
      dialect.touch(touches),
      dialect.touch(touches.map((touch, index) => ({ ...touch, expiresAt: 2 + index }))),
      ...dialect.delete(rows.map(({ id }) => id)),
    ];
    // A small table may be scanned, as long as the batch leads; a large one must be entered by its key.
    for (const scans of ["on", "off"]) {
      await client.query(`SET enable_seqscan = ${scans}`);
      await client.query(`VACUUM ANALYZE ${dialect.names.sessions}`);
      for (const { text, values } of statements) {
        const { rows: lines } = await client.query({ text: `EXPLAIN ${text}`, values: binaryValues(values) });
        const plan = lines.map((line) => line["QUERY PLAN"]).join("\n");
        expect(plan).toMatch(/Nested Loop.*\n(.*Join Filter.*\n)?.*-> +Function Scan on/);
        if (scans === "off") expect(plan).toMatch(/Index Scan using \S+_pkey/);
      }
    }
    await client.end();
  });

  test("weaker durability settings → one warning each (R33)", async () => {
    await using made = await database.createStore();
    await made.store.migrate();
    const warnings: string[] = [];
    const listen = (warning: Error & { code?: string }): void => {
      if (warning.code === "STORED_SESSION_WEAK_DURABILITY") warnings.push(warning.message);
    };
    process.on("warning", listen);
    const pool = new Pool({ connectionString: database.url, options: "-c synchronous_commit=off" });
    const table = (made.store as SqlStore).database.dialect.names.sessions.slice(1, -1);
    const store = postgresStore(pool, { table });
    await store.insert([randomRow()]);
    await store.insert([randomRow()]);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", listen);
    await pool.end();
    expect(warnings).toEqual([expect.stringContaining("synchronous_commit is off")]);
  });
});

describe("options", () => {
  test.each(["a b", 'a"; DROP TABLE x', "a.b.c", "", "é", "a".repeat(41)])(
    "a table called %j → refused (R31)",
    (table) => {
      expect(() => postgresStore("postgres://127.0.0.1/test", { table })).toThrow(OptionsError);
      expect(() => mysqlStore("mysql://127.0.0.1/test", { table })).toThrow(OptionsError);
    },
  );

  test("several problems → all reported at once", () => {
    const options = { poolSize: 0, lanes: { read: -1 } };
    expect(() => postgresStore("mysql://127.0.0.1/test", options)).toThrow(/3 problems/);
    expect(() => mysqlStore({} as never, options)).toThrow(/3 problems/);
  });

  test("lanes: missing or undefined → the default", () => {
    const lanes = { read: undefined, write: 1, maxBatch: undefined } as unknown as { write: number };
    expect(postgresStore("postgres://h/d", { lanes }).lanes).toEqual({
      read: 4,
      write: 1,
      maxBatch: 128,
      gather: "busy",
    });
    expect(mysqlStore("mysql://h/d", { lanes }).lanes).toMatchObject({ read: 4, write: 1, maxBatch: 64 });
    expect(postgresStore("postgres://h/d").lanes).toMatchObject({ read: 4, write: 2 });
  });
});

interface Connection extends AsyncDisposable {
  query(text: string): Promise<Record<string, unknown>[]>;
}

async function connect(database: TestDatabase, url: string): Promise<Connection> {
  if (database.kind === "postgres") {
    const client = new Client({ connectionString: url });
    await client.connect();
    return {
      query: async (text) => (await client.query(text)).rows,
      [Symbol.asyncDispose]: () => client.end(),
    };
  }
  const connection = await mysql.createConnection({ uri: url });
  return {
    query: async (text) => (await connection.query(text))[0] as Record<string, unknown>[],
    [Symbol.asyncDispose]: () => connection.end(),
  };
}

/** Waits until a statement on the table waits for a lock, and cuts its connection. */
async function killWaiting(by: Connection, kind: string, table: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    // MySQL's own tables of processes cannot be filtered by statements that hold bytes.
    const rows = await by.query(
      kind === "postgres"
        ? `SELECT pid AS id, query AS info FROM pg_stat_activity WHERE wait_event_type = 'Lock'`
        : "SHOW PROCESSLIST",
    );
    const row = rows.find(({ info, Info }) => String(info ?? Info).startsWith(`UPDATE ${table} SET data`));
    const id = row?.["id"] ?? row?.["Id"];
    if (id !== undefined) {
      await by.query(
        kind === "postgres" ? `SELECT pg_terminate_backend(${String(id)})` : `KILL ${String(id)}`,
      );
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("No statement ever waited.");
}
