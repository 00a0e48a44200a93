import assert from "node:assert/strict";
import { afterAll, describe, test } from "vitest";
import { migrationStatus, pendingMigrations } from "../../src/sql/migrations/migrator.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { storeContract } from "../../src/testing/store-contract.ts";
import { databases, execute, type CreatedStore, type TestDatabase } from "./databases.ts";
import { randomRows } from "./rows.ts";

const partitions = 4;

if (databases.every(({ url }) => url === null)) test.skip("TEST_DATABASES names no server", () => {});

for (const database of databases) {
  const { kind, url } = database;
  if (kind === "sqlite" || url === null) continue;
  describe(`${database.name}, partitioned by hash of id`, () => {
    // One table for all of the contract: with its partitions it is slow to make.
    let created: CreatedStore | undefined;
    afterAll(async () => created?.drop());
    storeContract(`${database.name}, partitioned`, {
      test,
      async create() {
        created ??= await partitioned(database, url);
        return created.another();
      },
      async destroy() {
        for (const table of [created!.table, `${created!.table}_leases`])
          await execute(url, kind, `DELETE FROM ${table}`);
      },
    });

    test("migrate notes what was run by hand, and rows lie in all partitions", async () => {
      await using made = await partitioned(database, url);
      assert.deepEqual((await migrationStatus((made.store as SqlStore).database)).pending, []);
      await made.store.insert(randomRows(200));
      const counts = await rowsOfPartitions(kind, url, made.table);
      assert.equal(counts.length, partitions);
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        200,
      );
      assert.ok(counts.every((count) => count > 0));
    });
  });
}

/** As docs/going-to-production.md says: the printed SQL with the clause, by hand, and then `migrate`. */
async function partitioned(database: TestDatabase, url: string): Promise<CreatedStore> {
  const created = await database.createStore();
  const [first] = await pendingMigrations((created.store as SqlStore).database);
  const [table, ...others] = first!.statements as [string, ...string[]];
  for (const text of [...withClause(database.kind, created.table, table), ...others])
    await execute(url, database.kind, text);
  await created.store.migrate();
  return created;
}

function withClause(kind: string, name: string, text: string): string[] {
  if (kind !== "postgres") return [`${text} PARTITION BY KEY (id) PARTITIONS ${partitions}`];
  // PostgreSQL takes storage parameters for each partition, and not for what stands above them.
  const parameters = "WITH (fillfactor = 90)";
  assert.ok(text.endsWith(parameters));
  return [
    `${text.slice(0, -parameters.length)} PARTITION BY HASH (id)`,
    ...Array.from(
      { length: partitions },
      (_, nth) =>
        `CREATE TABLE ${name}_${nth} PARTITION OF ${name} FOR VALUES WITH (MODULUS ${partitions}, REMAINDER ${nth}) ${parameters}`,
    ),
  ];
}

async function rowsOfPartitions(kind: string, url: string, table: string): Promise<number[]> {
  const names = Array.from({ length: partitions }, (_, nth) =>
    kind === "postgres" ? `${table}_${nth}` : `${table} PARTITION (p${nth})`,
  );
  return Promise.all(
    names.map(async (name) => {
      const [row] = await execute(url, kind as "mysql", `SELECT count(*) AS count FROM ${name}`);
      return Number(row?.["count"]);
    }),
  );
}
