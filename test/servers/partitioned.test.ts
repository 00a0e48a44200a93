import assert from "node:assert/strict";
import { afterAll, describe, test } from "vitest";
import { migrationStatus } from "../../src/sql/migrations/migrator.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { storeContract } from "../../src/testing/store-contract.ts";
import { databases, execute, type CreatedStore } from "./databases.ts";
import { partitioned, rowsOfPartitions } from "./partitioned.ts";
import { randomRows } from "./rows.ts";

const partitions = 4;

if (databases.every(({ url }) => url === null)) test.skip("TEST_DATABASES: no server → skipped", () => {});

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
        created ??= await partitioned(database, url, partitions);
        return created.another();
      },
      async destroy() {
        for (const table of [created!.table, `${created!.table}_leases`])
          await execute(url, kind, `DELETE FROM ${table}`);
      },
    });

    test("partitions made by hand → migrate records them, and rows are in all of them", async () => {
      await using made = await partitioned(database, url, partitions);
      assert.deepEqual((await migrationStatus((made.store as SqlStore).database)).pending, []);
      await made.store.insert(randomRows(200));
      const counts = await rowsOfPartitions(kind, url, made.table, partitions);
      assert.equal(counts.length, partitions);
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        200,
      );
      assert.ok(counts.every((count) => count > 0));
    });
  });
}
