/** A transaction that has no answer within `storeTimeout`, through every driver that connects to a server. */
import postgres from "postgres";
import { describe, expect, test } from "vitest";
import { textValues } from "../../src/sql/postgres/arrays.ts";
import { PostgresDialect } from "../../src/sql/postgres/dialect.ts";
import { PostgresDatabase } from "../../src/sql/postgres/driver.ts";
import { stepwisePool } from "../../src/sql/postgres/stepwise.ts";
import { SqlStore } from "../../src/sql/sql-store.ts";
import { Switch } from "../campaigns/switch.ts";
import { randomRow } from "../servers/rows.ts";
import { drivers, dropTables, ownTable, urlOf, type TestDriver } from "./drivers.ts";
import { lockTable } from "./lock.ts";

/** A driver made of `stepwisePool` that cannot cancel a statement, as that of Bun's SQL. */
const withoutCancel: TestDriver = {
  name: "stepwisePool without cancel",
  fact: "postgres.js",
  kind: "postgres",
  connects: true,
  open: async (url) => {
    const sql = postgres(url, { max: 4, onnotice: () => {} });
    const pool = stepwisePool<Pick<postgres.Sql, "unsafe">>({
      max: 4,
      send: async ({ text, values }, transaction) => {
        const rows = await (transaction ?? sql).unsafe(text, values as never[]);
        return { rows: [...rows], rowCount: rows.count };
      },
      transaction: (work) => sql.begin(work),
      endsTransaction: () => false,
      end: () => sql.end(),
    });
    return {
      store: (table) =>
        new SqlStore(
          new PostgresDatabase(async () => pool, {
            dialect: new PostgresDialect({ table }),
            namedStatements: true,
            owned: false,
            encode: textValues,
          }),
        ),
      execute: async (text) => await sql.unsafe(text),
      close: () => sql.end({ timeout: 1 }),
    };
  },
};

const connecting = drivers.filter(({ connects }) => connects);
const all = connecting.some(({ kind }) => kind === "postgres") ? [...connecting, withoutCancel] : connecting;

if (all.length === 0) test.skip("TEST_DATABASES without a server → skipped", () => {});

describe.each(all)("$name", (driver) => {
  test("a transaction is late in its first statement → all of it happens or nothing, and every connection works on (R40)", async () => {
    const table = ownTable();
    const url = urlOf(driver);
    const opened = await driver.open(url);
    const store = opened.store(table) as SqlStore;
    await store.migrate();
    const { database } = store;
    const pairs = Array.from({ length: 3 }, () => [randomRow(), randomRow()] as const);
    // Connects first: a busy machine may take longer for it than the limit.
    await Promise.all(pairs.map((pair) => database.transaction(database.dialect.delete([pair[0].id]))));
    store.giveUpAfter(500);
    try {
      // If a test fails, tables under a lock could not be dropped.
      await using lock = await lockTable(url, driver.kind, table);
      const late = pairs.map((pair) =>
        database.transaction(pair.map((row) => database.dialect.insert([row])[0]!)),
      );
      for (const each of late) each.catch(() => {});
      for (const each of late) await expect(each).rejects.toMatchObject({ outcome: "unknown" });
      await lock.free();
      store.giveUpAfter(10_000);
      // Behind what a late transaction sends on.
      for (let rounds = 0; rounds < 5; rounds++) {
        const rows = Array.from({ length: 8 }, () => randomRow());
        expect(await Promise.all(rows.map((row) => store.insert([row])))).toEqual(rows.map(() => [true]));
      }
      for (const pair of pairs) {
        const found = await store.read(pair.map(({ id }) => id));
        expect(found.filter((row) => row !== null).length, "of two rows").not.toBe(1);
      }
    } finally {
      await dropTables(opened, table);
      await opened.close();
    }
  });

  test("a transaction is late, and then its connection breaks → the process goes on, and so does the store (promise 8)", async () => {
    const table = ownTable();
    const port = Number(new URL(urlOf(driver)).port);
    await using way = await Switch.to(port);
    const opened = await driver.open(Object.assign(new URL(urlOf(driver)), { port: String(way.port) }).href);
    const store = opened.store(table) as SqlStore;
    await store.migrate();
    const { database } = store;
    store.giveUpAfter(500);
    const rows = [randomRow(), randomRow()];
    const lock = await lockTable(urlOf(driver), driver.kind, table);
    const late = database.transaction(rows.map((row) => database.dialect.insert([row])[0]!));
    await expect(late).rejects.toMatchObject({ status: 503, outcome: "unknown" });
    way.lead(port);
    await lock.free();
    await lock[Symbol.asyncDispose]();
    store.giveUpAfter(10_000);
    const inserted = () =>
      store.insert([randomRow()]).then(
        ([done]) => done,
        () => false,
      );
    await expect.poll(inserted, { timeout: 15_000 }).toBe(true);
    expect((await store.read(rows.map(({ id }) => id))).filter((row) => row !== null).length).not.toBe(1);
    await dropTables(opened, table);
    await opened.close();
  });

  // A migration is one transaction there, whose statements are sent as its code goes on.
  test.runIf(driver.kind === "postgres").each([0, 300])(
    "a connection breaks %i ms before a further statement of a transaction → an outage, nothing is kept, and the process goes on (promise 8)",
    async (pause) => {
      const table = ownTable();
      const port = Number(new URL(urlOf(driver)).port);
      await using way = await Switch.to(port);
      const opened = await driver.open(
        Object.assign(new URL(urlOf(driver)), { port: String(way.port) }).href,
      );
      const store = opened.store(table) as SqlStore;
      await store.migrate();
      const { database } = store;
      const rows = [randomRow(), randomRow()];
      const [first, second] = rows.map((row) => database.dialect.insert([row])[0]!);
      const breaking = database.exclusively(async (run) => {
        await run(first!);
        way.lead(port);
        await new Promise((resolve) => setTimeout(resolve, pause));
        await run(second!);
      });
      await expect(breaking).rejects.toMatchObject({ status: 503 });
      const found = () => store.read(rows.map(({ id }) => id)).catch(() => []);
      await expect.poll(found, { timeout: 15_000 }).toEqual([null, null]);
      await dropTables(opened, table);
      await opened.close();
    },
  );
});
