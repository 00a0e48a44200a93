/** Promise 10: what one statement brings is bounded in bytes, and what needs no data reads none. */
import { describe, expect, test } from "vitest";
import type { Database, Result } from "../../src/sql/dialect.ts";
import { BatchingStore } from "../../src/batching/batching-store.ts";
import { SqlStore } from "../../src/sql/sql-store.ts";
import { manage } from "../jobs/sessions.ts";
import { databases } from "../servers/databases.ts";
import { randomRow } from "../servers/rows.ts";
import { cookieOf, olderKey, testKeys } from "../session/doubles.ts";

const MiB = 2 ** 20;

/** The same database, told of the bytes of every answer. */
function weighed(database: Database, onAnswer: (bytes: number) => void): Database {
  const weigh = (results: readonly Result[]) => {
    const values = results.flatMap(({ rows }) => rows.flatMap((row) => Object.values(row)));
    const lengths = values.map((value) =>
      value instanceof Uint8Array || typeof value === "string" ? value.length : 8,
    );
    onAnswer(lengths.reduce((sum, length) => sum + length, 0));
  };
  return new Proxy(database, {
    get(target, name) {
      if (name === "run")
        return async (...args: Parameters<Database["run"]>) => {
          const result = await target.run(...args);
          weigh([result]);
          return result;
        };
      if (name === "transaction")
        return async (...args: Parameters<Database["transaction"]>) => {
          const results = await target.transaction(...args);
          weigh(results ?? []);
          return results;
        };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}

describe.each(databases.map((database) => [database.name, database] as const))("%s", (_name, database) => {
  test("promise 10: 64 sessions of 1 MB are read at once → no statement brings more than 4 MiB of them", async () => {
    await using created = await database.createStore();
    await created.store.migrate();
    const rows = Array.from({ length: 64 }, (_, nth) => ({ ...randomRow(), data: Buffer.alloc(1e6, nth) }));
    for (const row of rows) await created.store.insert([row]);
    let largest = 0;
    const below = weighed((created.store as SqlStore).database, (bytes) => {
      largest = Math.max(largest, bytes);
    });
    const store = new BatchingStore(new SqlStore(below), { storeTimeout: 60_000 });
    const read = await Promise.all(rows.map(({ id }) => store.read(id)));
    expect(read.map((row) => [row?.data.length, row?.data[0]])).toEqual(
      rows.map(({ data }) => [1e6, data[0]]),
    );
    // As text, where a driver has it so, 4 bytes for 3.
    expect(largest).toBeLessThan((4 * MiB * 4) / 3 + 100_000);
  });

  test("promise 10: lists, counts and revocations of large sessions → their data stays in the database", async () => {
    await using created = await database.createStore();
    await created.store.migrate();
    const before = manage(created.store, olderKey, { maxBytes: MiB, compressAbove: false });
    const cookies: string[] = [];
    for (let nth = 0; nth < 12; nth++) {
      const session = await before.load(null, { address: "192.0.2.7" });
      session.login("42");
      session.data.items = ["x".repeat(300_000 + nth)];
      cookies.push(cookieOf(await before.commit(session)));
    }
    let all = 0;
    let largest = 0;
    const below = weighed((created.store as SqlStore).database, (bytes) => {
      all += bytes;
      largest = Math.max(largest, bytes);
    });
    const app = manage(new SqlStore(below), [testKeys, olderKey], { maxBytes: MiB, compressAbove: false });
    const listed = await app.forUser("42").list();
    expect(listed).toHaveLength(12);
    expect(listed[0]!.client?.address).toBe("192.0.2.7");
    const stats = await app.stats();
    expect(stats).toMatchObject({ total: 12, live: 12, signedIn: 12 });
    expect(stats.keys).toMatchObject([{ live: 0 }, { live: 12 }]);
    expect(await app.forUser("42").revoke(listed[0]!.handle)).toBe(true);
    expect(all).toBeLessThan(100_000);

    await app.reseal({ maxPerSecond: Infinity, share: 1, batchSize: 1_000 });
    const lengths: number[] = [];
    for await (const session of app.exportUserStream("42"))
      lengths.push((session.data!["items"] as string[])[0]!.length);
    expect(lengths.toSorted((a, b) => a - b)[10]).toBe(300_010);
    expect(lengths).toEqual(
      (await app.exportUser("42")).map(({ data }) => (data!["items"] as string[])[0]!.length),
    );
    expect(largest).toBeLessThan((4 * MiB * 4) / 3 + 100_000);

    all = 0;
    await app.reseal({ maxPerSecond: Infinity, share: 1 });
    expect(all, "what is under the newest key already is not read").toBeLessThan(100_000);
    expect(await app.forUser("42").revokeAll()).toBe(11);
    expect(all).toBeLessThan(100_000);
  });
});
