/** Where a row lies, as this process computes it and as PostgreSQL does. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "vitest";
import { hashBytes, partitionOf } from "../../src/sql/postgres/hash-bytes.ts";
import { databases } from "../servers/databases.ts";

const postgres = databases.find(({ kind }) => kind === "postgres");

describe.skipIf(postgres === undefined)("shards by hash", () => {
  test("hashBytes and partitionOf: keys of any length → PostgreSQL's own hash and the partition of the row", async () => {
    const { Client } = await import("pg");
    const client = new Client({ connectionString: postgres!.url! });
    await client.connect();
    try {
      await client.query("CREATE TEMP TABLE hashed (id bytea) PARTITION BY HASH (id)");
      for (let nth = 0; nth < 8; nth++)
        await client.query(
          `CREATE TEMP TABLE hashed_${nth} PARTITION OF hashed FOR VALUES WITH (MODULUS 8, REMAINDER ${nth})`,
        );
      // A function of SQL hashes text by the same bytes; that of bytea is an internal one before PostgreSQL 18.
      for (let nth = 0; nth < 120; nth++) {
        const key = randomBytes(nth < 60 ? nth : 32);
        const { rows } = await client.query(
          "SELECT hashtext($2) AS hash, (SELECT min(n) FROM generate_series(0, 7) n WHERE satisfies_hash_partition('hashed'::regclass, 8, n, $1::bytea)) AS partition",
          [key, key.toString("hex")],
        );
        assert.deepEqual(
          { hash: hashBytes(Buffer.from(key.toString("hex"))), partition: partitionOf(key, 8) },
          { hash: Number(rows[0].hash), partition: Number(rows[0].partition) },
          `${key.length} bytes`,
        );
      }
    } finally {
      await client.end();
    }
  });
});
