/** Pools whose owner releases connections inside a transaction, or goes on with one that was released. */
import mysql from "mysql2/promise";
import { Pool } from "pg";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { StoreError } from "../../src/errors.ts";
import { mysqlStore, type MysqlConnection, type MysqlPool } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { databases, execute } from "../servers/databases.ts";
import type { CreatedStore, TestDatabase } from "../servers/databases.ts";
import { nextRow, randomRow, randomRows } from "../servers/rows.ts";

const servers = databases.filter((database) => database.url !== null) as (TestDatabase & { url: string })[];

interface Held {
  query(text: string): Promise<unknown>;
  release(): void;
}

/** A pool of an application that shares it with its store. */
interface Shared extends AsyncDisposable {
  readonly store: SqlStore;
  connect(): Promise<Held>;
}

function shared({ kind, url }: TestDatabase & { url: string }, table: string, size: number): Shared {
  if (kind === "postgres") {
    const pool = new Pool({ connectionString: url, max: size });
    return {
      store: postgresStore(pool, { table }),
      connect: () => pool.connect(),
      [Symbol.asyncDispose]: () => pool.end(),
    };
  }
  const pool = mysql.createPool({ uri: url, connectionLimit: size });
  return {
    store: mysqlStore(pool, { table }),
    connect: () => pool.getConnection(),
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

async function migrated(database: TestDatabase): Promise<CreatedStore> {
  const created = await database.createStore();
  await created.store.migrate();
  return created;
}

const told: string[] = [];
const listen = (warning: Error & { code?: string }): void => {
  if (warning.code === "STORED_SESSION_OPEN_TRANSACTION") told.push(warning.message);
};
beforeEach(() => {
  told.length = 0;
  process.on("warning", listen);
});
afterEach(() => void process.off("warning", listen));

describe.each(servers)("$name", (database) => {
  const { kind, url } = database;
  const begin = kind === "postgres" ? "BEGIN ISOLATION LEVEL REPEATABLE READ" : "START TRANSACTION";

  /** The application forgets to end transactions, in each of which it has read and written. */
  async function forget(application: Shared, table: string, connections: number): Promise<void> {
    const held = await Promise.all(Array.from({ length: connections }, () => application.connect()));
    for (const [nth, connection] of held.entries()) {
      await connection.query(begin);
      await connection.query(`SELECT * FROM ${table}`);
      await connection.query(
        `INSERT INTO ${table}_leases (name, holder, held_until) VALUES ('${nth}', 'application', 1)`,
      );
    }
    for (const connection of held) connection.release();
  }

  const writes: readonly [
    string,
    (store: SqlStore, row: ReturnType<typeof randomRow>) => Promise<unknown>,
  ][] = [
    ["update", (store, row) => store.update([{ loaded: row, next: nextRow(row) }])],
    ["touch", (store, { id, updatedAt: at }) => store.touch([{ id, updatedAt: at + 5, expiresAt: at + 6 }])],
    ["delete", (store, { id }) => store.delete([id])],
    ["several deletes", (store, { id }) => store.delete([id, randomRow().id])],
    ["replace", (store, row) => store.replace(row, { ...randomRow() })],
    ["insert", (store) => store.insert([randomRow()])],
    ["several inserts", (store) => store.insert(randomRows(3))],
  ];

  test.each(writes)(
    "promise 7 %s through a connection released inside a transaction → kept",
    async (_, write) => {
      await using created = await migrated(database);
      await using application = shared(database, created.table, 1);
      const row = randomRow();
      await application.store.insert([row]);
      await forget(application, created.table, 1);
      const before = await created.store.scan(null, 10);
      await write(application.store, row);
      const after = await created.store.scan(null, 10);
      expect(after, "seen by others at once").not.toEqual(before);
      const held = await application.connect();
      await held.query("ROLLBACK");
      held.release();
      expect(await created.store.scan(null, 10)).toEqual(after);
    },
  );

  test("a leaked transaction with an old snapshot: the session ended → not read from it (promise 3)", async () => {
    await using created = await migrated(database);
    await using application = shared(database, created.table, 1);
    const [row, another] = [randomRow(), randomRow()];
    await created.store.insert([row]);
    expect(await application.store.read([row.id])).toEqual([row]);
    await forget(application, created.table, 1);
    await created.store.delete([row.id]);
    await created.store.insert([another]);
    expect(await application.store.read([row.id])).toEqual([null]);
    await forget(application, created.table, 1);
    expect(await application.store.read([row.id, another.id])).toEqual([null, another]);
  });

  test("every connection has a leaked transaction → the store continues, and the application is warned once", async () => {
    await using created = await migrated(database);
    await using application = shared(database, created.table, 4);
    await forget(application, created.table, 4);
    const row = randomRow();
    expect(await application.store.insert([row])).toEqual([true]);
    expect(await created.store.read([row.id])).toEqual([row]);
    for (let reading = 0; reading < 5; reading++)
      expect(await application.store.read([row.id])).toEqual([row]);
    const leases = await execute(
      url,
      kind,
      `SELECT 1 FROM ${created.table}_leases WHERE holder = 'application'`,
    );
    expect(leases, "nothing of it is half done").toEqual([]);
    await vi.waitFor(() => expect(told).toEqual([expect.stringContaining("inside a transaction")]));
  });
});

describe.each(servers.filter(({ kind }) => kind === "postgres"))("$name alone", (database) => {
  test.each([true, false])(
    "a client released in a failed transaction (reported by pg: %s) → not used again",
    async (tells) => {
      await using created = await migrated(database);
      const pool = new Pool({ connectionString: database.url, max: 3 });
      if (!tells) pool.on("connect", (client) => Object.assign(client, { getTransactionStatus: undefined }));
      const store = postgresStore(pool, { table: created.table });
      const row = randomRow();
      for (const attempt of [
        async () => expect(await store.insert([row])).toEqual([true]),
        async () => expect(await store.read([row.id])).toEqual([row]),
        async () => expect(await store.replace(row, randomRow())).toBe(true),
        async () => expect(await store.lease("a", "b", 10, 5)).toBe(true),
      ]) {
        const client = await pool.connect();
        await client.query("BEGIN");
        await expect(client.query("SELECT nothing")).rejects.toThrow();
        client.release();
        await attempt();
        expect(pool.totalCount).toBeLessThanOrEqual(3);
      }
      await pool.end();
    },
  );

  test("a transaction started on a released client: a write → never reported as committed", async () => {
    await using created = await migrated(database);
    const pool = new Pool({ connectionString: database.url, max: 1 });
    const store = postgresStore(pool, { table: created.table });
    const row = randomRow();
    await store.insert([row]);
    const release = async (): Promise<void> => {
      const client = await pool.connect();
      const beginning = client.query("BEGIN");
      client.release();
      beginning.catch(() => {});
    };
    await release();
    const updating = store.update([{ loaded: row, next: nextRow(row) }]);
    await expect(updating).rejects.toThrow(/left a transaction open/);
    await expect(updating).rejects.toMatchObject({ outcome: "unknown" });
    expect(await created.store.read([row.id])).toEqual([row]);
    await release();
    expect(await store.read([row.id]), "a read is asked again").toEqual([row]);
    await pool.end();
  });

  test("a pool that only returns clients inside a transaction → an error after a bounded number of attempts", async () => {
    await using created = await migrated(database);
    const pool = new Pool({ connectionString: database.url, max: 2 });
    let connected = 0;
    const connect = async () => {
      const client = await pool.connect();
      await client.query("BEGIN");
      connected++;
      return client;
    };
    const given = { options: pool.options, connect, end: () => pool.end() };
    const reading = postgresStore(given, { table: created.table }).read([randomRow().id]);
    await expect(reading).rejects.toThrow(/Commit or roll back before release/);
    await expect(reading).rejects.toMatchObject({ outcome: "none" });
    expect(connected).toBe(3);
    await pool.end();
  });
});

describe.each(servers.filter(({ kind }) => kind !== "postgres"))("$name alone", (database) => {
  test("a write followed by the application's COMMIT → not reported as rolled back", async () => {
    await using created = await migrated(database);
    const pool = mysql.createPool({ uri: database.url, connectionLimit: 1 });
    const store = mysqlStore(pool, { table: created.table });
    const [first, second] = [randomRow(), randomRow()];
    await store.insert([first]);
    const connection = await pool.getConnection();
    await connection.query("START TRANSACTION");
    // what is released goes on, right behind the store's statement
    const core = connection.connection as unknown as { execute(...given: unknown[]): unknown };
    const { execute: sent } = core;
    core.execute = (...given) => {
      core.execute = sent;
      const command = sent.apply(core, given);
      connection.query("COMMIT").catch(() => {});
      return command;
    };
    connection.release();
    await expect(store.insert([second])).rejects.toMatchObject({ outcome: "unknown" });
    expect(await created.store.read([second.id])).toEqual([second]);
    expect(await store.read([second.id])).toEqual([second]);
    await pool.end();
  });

  test("autocommit is turned off later → a read is refused too, and no snapshot is kept", async () => {
    await using created = await migrated(database);
    const pool = mysql.createPool({ uri: database.url, connectionLimit: 1 });
    const store = mysqlStore(pool, { table: created.table });
    const row = randomRow();
    expect(await store.insert([row])).toEqual([true]);
    await pool.query("SET autocommit = 0");
    await expect(store.read([row.id])).rejects.toThrow(/autocommit is off/);
    await pool.query("SET autocommit = 1");
    expect(await store.read([row.id])).toEqual([row]);
    await pool.query("SET autocommit = 0");
    await expect(store.read([randomRow().id]), "also where nothing is found").rejects.toThrow(
      /autocommit is off/,
    );
    await created.store.delete([row.id]);
    const [rows] = await pool.query<mysql.RowDataPacket[]>(`SELECT id FROM ${created.table}`);
    expect(rows).toEqual([]);
    await pool.end();
  });

  test.runIf(database.kind === "mariadb").each([true, false])(
    "autocommit is turned off later, and a batch returns rows (reported by mysql2: %s) → refused too",
    async (tells) => {
      await using created = await migrated(database);
      const pool = mysql.createPool({ uri: database.url, connectionLimit: 1 });
      const store = mysqlStore(tells ? pool : withoutCore(pool), { table: created.table });
      const [before, ...after] = randomRows(4) as [ReturnType<typeof randomRow>];
      expect(await store.insert([before])).toEqual([true]);
      for (const attempt of [() => store.insert(after), () => store.delete([before.id, randomRow().id])]) {
        await pool.query("SET autocommit = 0");
        await expect(attempt()).rejects.toThrow(/autocommit is off/);
        await pool.query("SET autocommit = 1");
      }
      const ids = [before, ...after].map(({ id }) => id);
      expect(await created.store.read(ids)).toEqual([before, null, null, null]);
      expect(await store.insert(after)).toEqual([true, true, true]);
      expect(await created.store.read(ids)).toEqual([before, ...after]);
      await pool.end();
    },
  );

  /** The same connections, which show nothing of mysql2 that is beneath them. */
  function withoutCore(pool: mysql.Pool): MysqlPool {
    const faces = new WeakMap<object, MysqlConnection>();
    return {
      end: () => pool.end(),
      async getConnection() {
        const connection = await pool.getConnection();
        const core = connection.connection;
        let face = faces.get(core);
        if (!face) {
          face = {
            execute: (options, values) => connection.execute(options, values) as never,
            query: (options) => connection.query(options) as never,
            release: () => connection.release(),
            destroy: () => connection.destroy(),
          };
          faces.set(core, face);
        }
        return face;
      },
    };
  }
});

test("error → names the pool and the remedy", async () => {
  const { leakedTransaction } = await import("../../src/sql/leaked-transaction.ts");
  for (const outcome of ["none", "unknown"] as const) {
    const error = leakedTransaction("mysqlStore", outcome);
    expect(error).toBeInstanceOf(StoreError);
    expect(error).toMatchObject({
      outcome,
      message: expect.stringMatching(/pool given to mysqlStore.*Commit or roll back/),
    });
  }
});
