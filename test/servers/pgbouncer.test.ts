import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Pool, type PoolClient } from "pg";
import { afterAll, beforeAll, describe, inject, test } from "vitest";
import { startPgbouncer, type Pooler } from "../../scripts/services/pgbouncer.ts";
import { askedVersion } from "../../scripts/services/versions.ts";
import { MIGRATIONS } from "../../src/sql/migrations/migrator.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { storeContract } from "../../src/testing/store-contract.ts";
import { raceSuite } from "../session/race-suite.ts";
import { empty, type TestStore } from "../session/stores.ts";
import { chosenDatabases } from "./chosen.ts";
import { execute, serverAt, type CreatedStore } from "./databases.ts";
import { randomRow, randomRows } from "./rows.ts";

/** Fewer than the connections of one store, so that its statements change servers all the time. */
const connections = 3;

describe.runIf(chosenDatabases().includes("postgres"))("pgbouncer in transaction mode", () => {
  let folder: string;
  let pooler: Pooler;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "stored-session-pgbouncer-"));
    chmodSync(folder, 0o755);
    pooler = await startPgbouncer(inject("servers").postgres!, join(folder, "pooler"), connections);
  });
  afterAll(async () => {
    await (pooler as Pooler | undefined)?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const createStore = (): Promise<CreatedStore> =>
    serverAt("postgres", pooler.url, { namedStatements: false }).createStore();

  test("version → the one that was asked for", async () => {
    const [{ version } = {}] = await ask(pooler.url, "SHOW VERSION");
    const asked = askedVersion("pgbouncer");
    assert.ok(asked === null || String(version).includes(` ${asked}.`), String(version));
  });

  test("eight clients → share three connections, and one client uses several", async () => {
    const pool = new Pool({ connectionString: pooler.url, max: 8 });
    const clients = await Promise.all(Array.from({ length: 8 }, () => pool.connect()));
    const serverOf = async (client: PoolClient): Promise<number> =>
      (await client.query("SELECT pg_backend_pid() AS id, pg_sleep(0.005)")).rows[0].id;
    try {
      // A transaction keeps its connection, so these three have all there are.
      const keeping = clients.slice(0, connections);
      await Promise.all(keeping.map((client) => client.query("BEGIN")));
      const servers = await Promise.all(keeping.map(serverOf));
      assert.equal(new Set(servers).size, connections);
      const used = new Set<number>();
      const others = clients.slice(connections).map(async (client) => {
        for (let query = 0; query < 16; query++) used.add(await serverOf(client));
      });
      const [first, second] = keeping as [PoolClient, PoolClient];
      await first.query("COMMIT");
      await Promise.all(others);
      assert.deepEqual([...used], [servers[0]]);
      // Another one takes what was the first's, and leaves it what was the second's.
      await clients.at(-1)!.query("BEGIN");
      await second.query("COMMIT");
      assert.equal(await serverOf(first), servers[1]);
    } finally {
      for (const client of clients) client.release(true);
      await pool.end();
    }
  });

  test("named statements → refused with the option that helps, unless the pooler tracks them", async () => {
    await using created = await createStore();
    await created.store.migrate();
    const store = postgresStore(pooler.url, { table: created.table, poolSize: 8 });
    const rows = randomRows(64);
    await created.store.insert(rows);
    const asked = await Promise.allSettled(
      Array.from({ length: 20 }, () => rows.map((row) => store.read([row.id]))).flat(),
    );
    await store.close();
    const refused = asked.filter((result) => result.status === "rejected");
    for (const { reason } of refused) assert.match(String(reason), /Set namedStatements: false/);
    assert.equal(
      refused.length > 0,
      !(await followsStatements(pooler.url)),
      `${refused.length} of ${asked.length} were refused`,
    );
  });

  test("ten processes migrate at once → all succeed", { timeout: 60_000 }, async () => {
    const table = `m_${randomBytes(8).toString("hex")}`;
    const script = new URL("./migrate-once.ts", import.meta.url).pathname;
    const run = (): Promise<unknown> =>
      promisify(execFile)(process.execPath, [script, "postgres", pooler.url, table, "unnamed"]);
    try {
      await Promise.all(Array.from({ length: 10 }, run));
      const journal = await execute(pooler.url, "postgres", `SELECT version FROM ${table}_migrations`);
      assert.equal(journal.length, MIGRATIONS.length);
      const store = postgresStore(pooler.url, { table, namedStatements: false });
      assert.deepEqual(await store.insert([randomRow()]), [true]);
      await store.close();
    } finally {
      const names = [table, `${table}_leases`, `${table}_migrations`].join(", ");
      await execute(pooler.url, "postgres", `DROP TABLE IF EXISTS ${names}`);
    }
  });

  describe("the store", () => {
    let created: CreatedStore;
    storeContract("through it", {
      test,
      async create() {
        created = await createStore();
        await created.store.migrate();
        return created.store;
      },
      destroy: () => created.drop(),
    });
  });

  describe("races", () => {
    let created: CreatedStore | undefined;
    afterAll(async () => created?.drop());
    const create = async (): Promise<TestStore> => {
      if (created === undefined) {
        created = await createStore();
        await created.store.migrate();
      }
      const { store } = created;
      return { store, drop: () => empty(store) };
    };
    raceSuite("pgbouncer", create, 40);
  });
});

/** pgbouncer 1.21 and later can. */
async function followsStatements(url: string): Promise<boolean> {
  const settings = await ask(url, "SHOW CONFIG");
  return settings.some(({ key, value }) => key === "max_prepared_statements" && Number(value) > 0);
}

/** The pooler's own console. */
function ask(url: string, command: string): Promise<Record<string, unknown>[]> {
  const console = new URL(url);
  console.pathname = "/pgbouncer";
  return execute(console.href, "postgres", command);
}
