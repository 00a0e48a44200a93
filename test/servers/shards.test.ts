/**
 * One of eight shards is not available: first locked, then detached, under 64 callers. A table that PostgreSQL partitions
 * by hash of id stands in for a distributed one.
 *
 * One round in the suite; TEST_ROUNDS=20 for the campaign (`npm run test:soak`).
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { describe, expect, test } from "vitest";
import { StoreError, type SessionStore } from "../../src/index.ts";
import { binaryValues } from "../../src/sql/postgres/arrays.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { testKeys } from "../session/doubles.ts";
import { databases, type CreatedStore } from "./databases.ts";
import { partitioned } from "./partitioned.ts";
import { nextRow, randomRow, randomRows } from "./rows.ts";
import { ShardedCallers } from "./shards.ts";

const rounds = Number(process.env["TEST_ROUNDS"] ?? 1);
const shards = 8;
const storeTimeout = 1_000;
const postgres = databases.find(({ kind }) => kind === "postgres");

async function sharded(): Promise<CreatedStore> {
  return partitioned(postgres!, postgres!.url!, shards, { engine: "partitions", poolSize: 40 });
}

/** Every batch that reaches the store is of one shard. */
function watching(store: SessionStore, batches: { mixed: number; several: number }): SessionStore {
  const idsOf: Record<string, (first: never, second: never) => Uint8Array[]> = {
    read: (ids: Uint8Array[]) => ids,
    delete: (ids: Uint8Array[]) => ids,
    insert: (rows: { id: Uint8Array }[]) => rows.map(({ id }) => id),
    touch: (rows: { id: Uint8Array }[]) => rows.map(({ id }) => id),
    update: (updates: { loaded: { id: Uint8Array } }[]) => updates.map(({ loaded }) => loaded.id),
    replace: (loaded: { id: Uint8Array }, next: { id: Uint8Array }) => [loaded.id, next.id],
  };
  return new Proxy(store, {
    get(below, name) {
      const value: unknown = Reflect.get(below, name, below);
      if (typeof value !== "function") return value;
      const ids = idsOf[String(name)];
      return (...args: unknown[]) => {
        const named = ids?.(...(args as [never, never])) ?? [];
        if (named.length > 1) batches.several++;
        if (new Set(named.map((id) => below.shardOf!(id))).size > 1) batches.mixed++;
        return (value as (...all: unknown[]) => unknown).apply(below, args);
      };
    },
  });
}

describe.skipIf(postgres === undefined)("one of eight shards is down", () => {
  test(
    "64 callers → the other seven are served throughout, nothing acknowledged is lost, nothing comes back, and no batch names two shards (promises 2, 3, 7, 8)",
    { timeout: 60_000 + rounds * 20_000 },
    async () => {
      await using created = await sharded();
      const batches = { mixed: 0, several: 0 };
      const callers = new ShardedCallers(watching(created.store, batches), shards, 64, storeTimeout);
      const operator = new Client({ connectionString: postgres!.url! });
      await operator.connect();
      try {
        // The server is asked at the first use where it places rows.
        await callers.app.count();
        for (let round = 0; round < rounds; round++) {
          const down = round % shards;
          const part = `${created.table}_${down}`;
          const running = callers.run();
          await sleep(300);
          await operator.query(`BEGIN; LOCK TABLE ${part} IN ACCESS EXCLUSIVE MODE`);
          callers.period();
          await sleep(2.5 * storeTimeout);
          const locked = callers.period();
          await operator.query("COMMIT");
          await sleep(storeTimeout + 300);
          await operator.query(`ALTER TABLE ${created.table} DETACH PARTITION ${part}`);
          callers.period();
          await sleep(storeTimeout);
          const detached = callers.period();
          await operator.query(
            `ALTER TABLE ${created.table} ATTACH PARTITION ${part} FOR VALUES WITH (MODULUS ${shards}, REMAINDER ${down})`,
          );
          callers.stop();
          await running;
          for (const [how, { answered, failed }] of Object.entries({ locked, detached })) {
            for (let shard = 0; shard < shards; shard++) {
              if (shard === down) continue;
              expect(failed[shard], `round ${round}, ${how}, shard ${shard}`).toEqual([]);
              expect(answered[shard], `round ${round}, ${how}, shard ${shard}`).toBeGreaterThan(0);
            }
            expect(answered[down], `round ${round}, ${how}`).toBe(0);
          }
          await callers.verify();
        }
        expect(batches.several).toBeGreaterThan(0);
        expect(batches.mixed).toBe(0);
      } finally {
        callers.stop();
        await operator.end();
        await callers.app.close();
      }
    },
  );

  test("statements by id, of one row and of many of a shard → EXPLAIN names one partition", async () => {
    await using created = await sharded();
    const store = created.store as SqlStore;
    await store.count(0);
    const rows = randomRows(400);
    await store.insert(rows);
    const { dialect } = store.database;
    const client = new Client({ connectionString: postgres!.url! });
    await client.connect();
    try {
      for (let shard = 0; shard < shards; shard++) {
        const own = rows.filter(({ id }) => store.shardOf(id) === shard);
        assert.ok(own.length > 8);
        let next = randomRow();
        while (store.shardOf(next.id) !== shard) next = randomRow();
        const touches = own.map(({ id }, index) => ({ id, updatedAt: 1, expiresAt: 2 + index }));
        for (const some of [own, own.slice(0, 1)]) {
          const statements = [
            dialect.read(some.map(({ id }) => id)),
            dialect.readSmall(some.map(({ id }) => id)),
            ...dialect.update(some.map((loaded) => ({ loaded, next: nextRow(loaded) }))),
            ...dialect.replace(some[0]!, next),
            dialect.touch(touches.slice(0, some.length)),
            dialect.touch(touches.slice(0, some.length).map((touch) => ({ ...touch, expiresAt: 2 }))),
            ...dialect.delete(some.map(({ id }) => id)),
          ];
          for (const { text, values } of statements) {
            const { rows: lines } = await client.query({
              text: `EXPLAIN ${text}`,
              values: binaryValues(values),
            });
            const plan = lines.map((line) => line["QUERY PLAN"]).join("\n");
            const named = new Set(
              [...plan.matchAll(new RegExp(` on ${created.table}_(\\d+)\\b`, "g"))].map(([, nth]) => nth),
            );
            expect([...named], `${text}\n${plan}`).toEqual([String(shard)]);
          }
        }
      }
    } finally {
      await client.end();
    }
  });

  test("revokeAll of a user → the other shards are done, the error names the one that was not reached, and calling again does the rest", async () => {
    await using created = await sharded();
    const app = manage(created.store, testKeys, { storeTimeout });
    await app.count();
    for (let nth = 0; nth < 60; nth++) await visit(app, "42");
    const [down] = (await created.store.scan(null, 100)).map(({ id }) => created.store.shardOf!(id)!);
    const onDown = (await created.store.scan(null, 100)).filter(
      ({ id }) => created.store.shardOf!(id) === down,
    ).length;
    const operator = new Client({ connectionString: postgres!.url! });
    await operator.connect();
    try {
      await operator.query(`BEGIN; LOCK TABLE ${created.table}_${down} IN ACCESS EXCLUSIVE MODE`);
      const error = await app
        .forUser("42")
        .revokeAll()
        .then(
          () => null,
          (reason: unknown) => reason,
        );
      assert.ok(error instanceof StoreError);
      expect(error).toMatchObject({ outcome: "unknown", changed: 60 - onDown });
      expect(error.unreachable).toHaveLength(1);
      expect(error.unreachable![0]).toContain(`${created.table}_${down}`);
      expect(error.message).toContain(`${created.table}_${down}`);
      await operator.query("ROLLBACK");
      // The deletion that was waiting for the lock may come first.
      expect(await app.forUser("42").revokeAll()).toBeLessThanOrEqual(onDown);
      expect(await app.count()).toBe(0);
    } finally {
      await operator.end();
      await app.close();
    }
  });
});
