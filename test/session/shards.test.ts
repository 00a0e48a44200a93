/** A session stays on its shard, and a shard that is full of waiting batches leaves lanes to the others. */
import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { memoryStore, type SessionStore } from "../../src/index.ts";
import { settingsOf } from "../../src/manager.ts";
import { BatchingStore } from "../../src/batching/batching-store.ts";
import { cookieOf, manage, visit } from "../jobs/sessions.ts";
import { databases } from "../servers/databases.ts";
import { nextRow, randomRow, randomRows } from "../servers/rows.ts";
import { wiredPostgres } from "../servers/wire.ts";
import { testKeys } from "./doubles.ts";

const shards = 64;
const shardOf = (id: Uint8Array): number => id[0]! % shards;

function sharded(store: SessionStore): SessionStore {
  return new Proxy(store, {
    get(below, name) {
      if (name === "shardOf") return shardOf;
      const value: unknown = Reflect.get(below, name, below);
      return typeof value === "function" ? (value as () => void).bind(below) : value;
    },
  });
}

describe("shards", () => {
  test("login and regenerate: 64 shards → the new id is on the shard of the old one", async () => {
    const app = manage(sharded(memoryStore()), testKeys);
    const idOf = (cookie: string): Uint8Array =>
      settingsOf(app as never).format.read(cookie.slice(cookie.indexOf("=") + 1))!.id;
    for (let nth = 0; nth < 20; nth++) {
      let cookie = await visit(app);
      const shard = shardOf(idOf(cookie));
      for (const change of ["login", "regenerate", "login"] as const) {
        const session = await app.load(cookie);
        if (change === "login") session.login(`user ${nth}`);
        else session.regenerate();
        cookie = cookieOf(await app.commit(session));
        assert.equal(shardOf(idOf(cookie)), shard);
      }
    }
  });

  test("batches: rows of several shards wait → each batch is of one shard, and a shard that hangs holds a quarter of the lanes", async () => {
    const calls: Uint8Array[][] = [];
    const hang = Promise.withResolvers<void>();
    const rows = Array.from({ length: 4_000 }, () => randomRow());
    const down = shardOf(rows[0]!.id);
    const below = memoryStore();
    const store = new Proxy(sharded(below), {
      get(target, name) {
        if (name === "lanes") return { read: 8, write: 8, maxBatch: 16, gather: "busy" };
        if (name !== "read") return Reflect.get(target, name) as unknown;
        return async (ids: Uint8Array[]) => {
          calls.push(ids);
          if (ids.some((id) => shardOf(id) === down)) await hang.promise;
          return below.read(ids);
        };
      },
    });
    const batching = new BatchingStore(store, { storeTimeout: 60_000 });
    const onDown = rows.filter(({ id }) => shardOf(id) === down).slice(0, 60);
    const others = rows.filter(({ id }) => shardOf(id) !== down).slice(0, 200);
    const waiting = onDown.map(({ id }) => batching.read(id));
    await Promise.all(others.map(({ id }) => batching.read(id)));
    for (const ids of calls) assert.equal(new Set(ids.map(shardOf)).size, 1);
    assert.equal(calls.filter((ids) => shardOf(ids[0]!) === down).length, 2);
    hang.resolve();
    await Promise.all(waiting);
    await batching.close();
  });
});

const postgres = databases.find(({ kind }) => kind === "postgres");

describe.skipIf(postgres === undefined)("an engine whose transactions are serializable", () => {
  test("rivals write, replace and delete the same rows (real 40001) → retried, and each change is applied once or told", async () => {
    await using created = await postgres!.createStore();
    await created.store.migrate();
    const url = new URL(postgres!.url!);
    url.searchParams.set("options", "-c default_transaction_isolation=serializable");
    const wire = await wiredPostgres(url.href, { table: created.table, engine: "cockroachdb" }, (text) =>
      text.startsWith("BEGIN") ? { send: "BEGIN ISOLATION LEVEL SERIALIZABLE" } : null,
    );
    const stores = [wire.another(), wire.another(), wire.another()];
    try {
      for (let round = 0; round < 20; round++) {
        const rows = randomRows(8);
        await wire.store.insert(rows);
        const answers = await Promise.all(
          stores.map((store) => store.update(rows.map((loaded) => ({ loaded, next: nextRow(loaded) })))),
        );
        for (let at = 0; at < rows.length; at++)
          assert.equal(answers.filter((told) => told[at]).length, 1, "one of three writes wins");
        const now = await wire.store.read(rows.map(({ id }) => id));
        const replaced = await Promise.all(stores.map((store) => store.replace(now[0]!, randomRow())));
        expect(replaced.filter(Boolean)).toHaveLength(1);
        const deleted = await Promise.all(stores.map((store) => store.delete(rows.map(({ id }) => id))));
        for (let at = 1; at < rows.length; at++)
          assert.equal(deleted.filter((told) => told[at]).length, 1, "one of three deletes is told");
      }
    } finally {
      await wire.close();
    }
  });
});
