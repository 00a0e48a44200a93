/**
 * The suites on a distributed engine: TEST_POSTGRES_URL leads to Citus, CockroachDB or YugabyteDB, or a stand-in for
 * Citus takes the place of one. EXPLAIN names one shard for each statement by id.
 */
import assert from "node:assert/strict";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { binaryValues } from "../../src/sql/postgres/arrays.ts";
import { partitionOf } from "../../src/sql/postgres/hash-bytes.ts";
import type { PostgresEngine } from "../../src/sql/postgres/engine.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import type { Statement } from "../../src/sql/statement.ts";
import { storeContract } from "../../src/testing/store-contract.ts";
import { emptyStandIn } from "../servers/citus-stand-in.ts";
import { engineAt, shardsIn, shardsInCommands } from "../servers/cluster.ts";
import { databases, execute, serverAt, type CreatedStore } from "../servers/databases.ts";
import { nextRow, randomRow, randomRows } from "../servers/rows.ts";

const postgres = databases.find(({ kind }) => kind === "postgres");
const isGiven = inject("postgresEngine") !== "postgres";

describe.skipIf(postgres === undefined)(
  `statements on ${isGiven ? inject("postgresEngine") : "a stand-in for Citus"}`,
  () => {
    let standIn: Awaited<ReturnType<typeof emptyStandIn>> | undefined;
    let url: string;
    let engine: PostgresEngine;
    let created: CreatedStore;

    beforeAll(async () => {
      if (!isGiven) standIn = await emptyStandIn(postgres!.url!);
      url = standIn?.url ?? postgres!.url!;
      engine = await engineAt(url);
      created = await serverAt("postgres", url, {}, engine).createStore();
      await created.store.migrate();
    });
    afterAll(async () => {
      await created?.drop();
      await standIn?.[Symbol.asyncDispose]();
    });

    test("migrate → finds the engine, and leaves the table distributed", async () => {
      expect((created.store as SqlStore).database.dialect.name).toBe("postgres");
      if (engine !== "citus") return;
      const text = `SELECT 1 FROM pg_dist_shard WHERE logicalrelid = '${created.table}'::regclass`;
      expect((await execute(url, "postgres", text)).length).toBeGreaterThan(1);
      await created.store.migrate();
    });

    // On a cluster of the caller's, test/store/servers-contract.test.ts runs it.
    if (!isGiven) {
      storeContract("a distributed table", {
        test,
        create: async () => created.another(),
        async destroy() {
          for (const table of [created.table, `${created.table}_leases`])
            await execute(url, "postgres", `DELETE FROM ${table}`);
        },
      });
    }

    test(
      "statements by id, of one row and of many of a shard → one shard each",
      { timeout: 120_000 },
      async () => {
        const store = created.store as SqlStore;
        await store.count(0);
        const rows = randomRows(400);
        await store.insert(rows);
        // The stand-in places rows as PostgreSQL's partitions do, whose hash is another.
        const shardOf = (id: Uint8Array) => (isGiven ? store.shardOf(id) : partitionOf(id, 8));
        const shards = new Map<number | null, typeof rows>();
        for (const row of rows) {
          const shard = shardOf(row.id);
          shards.set(shard, [...(shards.get(shard) ?? []), row]);
        }
        if (engine === "citus")
          assert.ok(shards.size > 1 && !shards.has(null), "where rows are is not known");
        const client = new Client({ connectionString: url });
        await client.connect();
        try {
          for (const [shard, own] of shards) {
            let next = randomRow();
            while (shardOf(next.id) !== shard) next = randomRow();
            for (const some of [own.slice(0, 30), own.slice(0, 1)])
              for (const statement of statementsFor(store, some, next))
                expect(await shardsOf(client, engine, created.table, statement), statement.text).toBe(1);
          }
        } finally {
          await client.end();
        }
      },
    );
  },
);

function statementsFor(
  store: SqlStore,
  some: ReturnType<typeof randomRows>,
  next: ReturnType<typeof randomRow>,
) {
  const { dialect } = store.database;
  const ids = some.map(({ id }) => id);
  const touches = some.map(({ id }, index) => ({ id, updatedAt: 1, expiresAt: 2 + index }));
  return [
    dialect.read(ids),
    dialect.readSmall(ids),
    ...(dialect.comparesData === false
      ? []
      : [dialect.readChanged(some.map((known) => ({ id: known.id, known })))]),
    ...dialect.insert(some),
    ...dialect.update(some.map((loaded) => ({ loaded, next: nextRow(loaded) }))),
    ...dialect.replace(some[0]!, next),
    dialect.touch(touches),
    dialect.touch(touches.map((touch) => ({ ...touch, expiresAt: 2 }))),
    ...dialect.delete(ids),
    dialect.deleteByUser([new Uint8Array(32)], { only: ids[0]! }),
  ];
}

/** How many shards a statement asks: by EXPLAIN, or, where Citus does not explain it, by what it sends when it runs. */
async function shardsOf(
  client: Client,
  engine: PostgresEngine,
  table: string,
  { text, values }: Statement,
): Promise<number> {
  const bound = binaryValues(values);
  try {
    const { rows } = await client.query({ text: `EXPLAIN ${text}`, values: bound });
    const plan = rows.map((row) => String(Object.values(row)[0])).join("\n");
    // The stand-in's INSERT names the parent only; each of its rows is of this shard.
    if (text.startsWith("INSERT") && !plan.includes("Task Count")) return 1;
    return shardsIn(plan, engine, table);
  } catch (error) {
    if ((error as { code?: string }).code !== "0A000") throw error;
  }
  const commands: string[] = [];
  const note = ({ message }: { message?: string | undefined }): void => void commands.push(message ?? "");
  client.on("notice", note);
  try {
    await client.query("BEGIN");
    await client.query("SET LOCAL client_min_messages TO log");
    await client.query("SET LOCAL citus.log_remote_commands TO on");
    await client.query({ text, values: bound });
  } finally {
    client.off("notice", note);
    await client.query("ROLLBACK");
  }
  return shardsInCommands(commands, table);
}

test("plans of Citus: several task counts, also of subplans → the largest", () => {
  const one = "Custom Scan (Citus Adaptive)\n  Task Count: 1\n  Tasks Shown: All";
  expect(shardsIn(one, "citus", "t")).toBe(1);
  const two = `Custom Scan (Citus INSERT ... SELECT)\n  INSERT/SELECT method: pull to coordinator\n  ->  Distributed Subplan 1_1\n    Task Count: 32\n${one}`;
  expect(shardsIn(two, "citus", "t")).toBe(32);
  expect(shardsIn("Append\n -> Index Scan on t_3 s\n -> Index Scan on t_4 s", "citus", "t")).toBe(2);
  expect(shardsIn("• scan\n  spans: FULL SCAN", "cockroachdb", "t")).toBe(Infinity);
  expect(shardsIn("Seq Scan on t s", "yugabytedb", "t")).toBe(Infinity);
});

test("commands that Citus sends → each shard is counted once", () => {
  const commands = [
    "issuing DELETE FROM public.t_102008 t",
    "issuing COPY public.t_102008 FROM STDIN",
    "issuing BEGIN",
  ];
  expect(shardsInCommands(commands, "t")).toBe(1);
  expect(shardsInCommands([...commands, "issuing COPY public.t_102009 FROM STDIN"], "t")).toBe(2);
});
