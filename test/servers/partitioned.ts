import assert from "node:assert/strict";
import { pendingMigrations } from "../../src/sql/migrations/migrator.ts";
import type { PostgresStoreOptions } from "../../src/sql/postgres/store.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { execute, type CreatedStore, type TestDatabase } from "./databases.ts";

/** As docs/going-to-production.md says: the printed SQL with the clause, by hand, and then `migrate`. */
export async function partitioned(
  database: TestDatabase,
  url: string,
  partitions: number,
  options: PostgresStoreOptions = {},
): Promise<CreatedStore> {
  const created = await database.createStore(options);
  const [first] = await pendingMigrations((created.store as SqlStore).database);
  const [table, ...others] = first!.statements as [string, ...string[]];
  for (const text of [...withClause(database.kind, created.table, table, partitions), ...others])
    await execute(url, database.kind, text);
  await created.store.migrate();
  return created;
}

function withClause(kind: string, name: string, text: string, partitions: number): string[] {
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

export async function rowsOfPartitions(
  kind: string,
  url: string,
  table: string,
  partitions: number,
): Promise<number[]> {
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
