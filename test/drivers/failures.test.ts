import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ClosedError,
  NotMigratedError,
  StoreError,
  StoreTimeoutError,
  StoreUnavailableError,
} from "../../src/errors.ts";
import { MIGRATIONS } from "../../src/sql/migrations/migrator.ts";
import { write } from "../../src/sql/statement.ts";
import { Switch } from "../campaigns/switch.ts";
import { execute } from "../servers/execute.ts";
import { randomRow } from "../servers/rows.ts";
import { drivers, dropTables, ownTable, urlOf, type OpenedDriver, type TestDriver } from "./drivers.ts";
import { facts } from "./facts.ts";
import { lockTable } from "./lock.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";

if (drivers.length === 0)
  test.skip("TEST_DATABASES without a database that has further drivers → skipped", () => {});

describe.each(drivers)("$name", (driver) => {
  const table = ownTable();
  let opened: OpenedDriver;
  let store: SqlStore;
  beforeAll(async () => {
    opened = await driver.open(urlOf(driver));
    store = opened.store(table) as SqlStore;
    await Promise.all([1, 2, 3, 4].map(() => (opened.store(table) as SqlStore).migrate()));
  });
  afterAll(async () => {
    await dropTables(opened, table);
    await opened.close();
  });

  test("migrate: four at once → the tables are there once, and a fifth finds nothing to do", async () => {
    await store.migrate();
    const { rows } = await store.database.run(store.database.dialect.journal.read());
    expect(rows).toHaveLength(MIGRATIONS.length);
  });

  test("missing tables → a NotMigratedError, and the store works once they are there", async () => {
    const other = ownTable();
    const unmigrated = opened.store(other);
    try {
      await expect(unmigrated.read([randomRow().id])).rejects.toBeInstanceOf(NotMigratedError);
      await unmigrated.migrate!();
      expect(await unmigrated.read([randomRow().id])).toEqual([null]);
    } finally {
      await dropTables(opened, other);
    }
  });

  test("transaction: a statement fails → nothing of it is kept, and the handle works on (R40)", async () => {
    const { database } = store;
    const row = randomRow();
    const failing = database.transaction([...database.dialect.insert([row]), write("no statement at all")]);
    await expect(failing).rejects.toMatchObject({ outcome: "none" });
    expect(await store.read([row.id])).toEqual([null]);
    expect(await store.insert([row])).toEqual([true]);
  });

  test("transaction: fewer rows change than must → null, and nothing of it is kept (R40)", async () => {
    const { database } = store;
    const [row, gone] = [randomRow(), randomRow()];
    const [ended] = database.dialect.delete([gone.id]);
    expect(
      await database.transaction([...database.dialect.insert([row]), { ...ended!, atLeast: 1 }]),
    ).toBeNull();
    expect(await store.read([row.id])).toEqual([null]);
  });

  test("replace: the new id is taken → nothing is replaced and nothing ends (R40)", async () => {
    const [row, taken] = [randomRow(), randomRow()];
    await store.insert([row, taken]);
    expect(await store.replace(row, { ...randomRow(), id: taken.id })).toBe(false);
    const versions = (await store.read([row.id, taken.id])).map((each) => each?.version);
    expect(versions).toEqual([row.version, taken.version]);
  });

  test("a batch of 128 rows → written and read at once, whole", async () => {
    const rows = Array.from({ length: 128 }, () => randomRow());
    expect(await store.insert(rows)).toEqual(rows.map(() => true));
    const read = await store.read(rows.map(({ id }) => id));
    expect(read.map((row) => row?.version)).toEqual(rows.map(({ version }) => version));
    expect(await store.delete(rows.map(({ id }) => id))).toEqual(rows.map(() => true));
  });

  test.runIf(driver.ends !== false)(
    "the handle is closed by its owner → a ClosedError that says what to end first",
    async () => {
      const own = await driver.open(urlOf(driver));
      const orphan = own.store(table);
      await orphan.migrate!();
      expect(await orphan.read([randomRow().id])).toHaveLength(1);
      await own.close();
      await expect(orphan.read([randomRow().id])).rejects.toBeInstanceOf(ClosedError);
    },
  );
});

const connecting = drivers.filter(({ connects }) => connects);

describe.each(connecting)("$name: a server that fails (promise 8, R37)", (driver) => {
  const table = ownTable();
  let url: string;
  beforeAll(async () => {
    url = urlOf(driver);
    const opened = await driver.open(url);
    await (opened.store(table) as SqlStore).migrate();
    await opened.close();
  });
  afterAll(async () => {
    const opened = await driver.open(url);
    await dropTables(opened, table);
    await opened.close();
  });

  async function through(way: Switch, of: TestDriver): Promise<{ store: SqlStore; opened: OpenedDriver }> {
    const address = new URL(url);
    address.port = String(way.port);
    const opened = await of.open(address.href);
    return { opened, store: opened.store(table) as SqlStore };
  }

  test("it is not there → an outage whose writes did not happen", async () => {
    const address = new URL(url);
    // Nobody listens there.
    address.port = "1";
    const opened = await driver.open(address.href);
    const store = opened.store(table) as SqlStore;
    store.giveUpAfter(5_000);
    await expect(store.insert([randomRow()])).rejects.toMatchObject({ status: 503, outcome: "none" });
    await opened.close();
  });

  test("it goes away and comes back → an outage, and then the store works on", async () => {
    await using way = await Switch.to(Number(new URL(url).port));
    const { store, opened } = await through(way, driver);
    await works(store);
    store.giveUpAfter(1_000);
    way.lead(null);
    await expect(store.read([randomRow().id])).rejects.toMatchObject({ status: 503, outcome: "none" });
    way.lead(Number(new URL(url).port));
    await expect.poll(() => works(store), { timeout: 15_000 }).toBe(true);
    await opened.close();
  });

  test("its connections break while nobody uses them → a read is repeated and nothing is felt", async () => {
    await using way = await Switch.to(Number(new URL(url).port));
    const { store, opened } = await through(way, driver);
    const row = randomRow();
    await store.insert([row]);
    await Promise.all([1, 2, 3, 4].map(() => store.read([row.id])));
    way.lead(Number(new URL(url).port));
    const [found] = await store.read([row.id]);
    expect(found?.version).toBe(row.version);
    await opened.close();
  });

  test("a connection breaks under a write → the outcome is unknown, and the store works on", async () => {
    await using way = await Switch.to(Number(new URL(url).port));
    const { store, opened } = await through(way, driver);
    const row = randomRow();
    await store.insert([row]);
    await using lock = await locked(url, driver, table);
    const writing = store.touch([{ ...row, updatedAt: row.updatedAt + 1 }]);
    writing.catch(() => {});
    await lock.isWaitedFor();
    way.lead(Number(new URL(url).port));
    await expect(writing).rejects.toMatchObject({ status: 503, outcome: "unknown" });
    await expect(writing).rejects.toBeInstanceOf(StoreUnavailableError);
    await lock.free();
    await expect.poll(() => works(store), { timeout: 15_000 }).toBe(true);
    await opened.close();
  });

  test("somebody locks the table → a timeout; once it is free every connection of the pool works again", async () => {
    const opened = await driver.open(url);
    const store = opened.store(table) as SqlStore;
    await works(store);
    store.giveUpAfter(300);
    {
      await using lock = await locked(url, driver, table);
      for (let tries = 0; tries < 6; tries++)
        await expect(store.read([randomRow().id])).rejects.toBeInstanceOf(StoreTimeoutError);
      await lock.free();
    }
    store.giveUpAfter(10_000);
    const eight = Array.from({ length: 8 }, () => store.read([randomRow().id]));
    expect(await Promise.all(eight)).toEqual(eight.map(() => [null]));
    await opened.close();
  });

  test("it says nothing any more → every operation ends in time, with an outcome", async () => {
    await using way = await Switch.to(Number(new URL(url).port));
    const { store, opened } = await through(way, driver);
    const row = randomRow();
    await store.insert([row]);
    store.giveUpAfter(400);
    way.silence();
    const failures = await Promise.allSettled([store.read([row.id]), store.insert([randomRow()])]);
    for (const failure of failures) {
      if (failure.status === "rejected") expect(failure.reason).toBeInstanceOf(StoreError);
    }
    expect(failures.some(({ status }) => status === "rejected")).toBe(true);
    way.lead(Number(new URL(url).port));
    store.giveUpAfter(10_000);
    await expect.poll(() => works(store), { timeout: 15_000 }).toBe(true);
    await opened.close();
  });

  test.runIf(facts.some((fact) => fact.driver === driver.fact && fact.late === "closed"))(
    "it vanishes, and its connections stay open → they are replaced, and the store works on",
    async () => {
      await using way = await Switch.to(Number(new URL(url).port));
      const { store, opened } = await through(way, driver);
      await Promise.all([1, 2, 3, 4].map(() => store.read([randomRow().id])));
      store.giveUpAfter(400);
      way.silence();
      await expect(store.insert([randomRow()])).rejects.toMatchObject({ status: 503, outcome: "unknown" });
      await expect.poll(() => works(store), { timeout: 15_000 }).toBe(true);
      store.giveUpAfter(10_000);
      const eight = Array.from({ length: 8 }, () => store.read([randomRow().id]));
      expect(await Promise.all(eight)).toEqual(eight.map(() => [null]));
      await opened.close();
    },
  );
});

async function works(store: SqlStore): Promise<boolean> {
  const row = randomRow();
  return store.insert([row]).then(
    () => true,
    () => false,
  );
}

/** Keeps everybody away from a table. */
async function locked(url: string, { kind }: TestDriver, table: string) {
  const lock = await lockTable(url, kind, table);
  const waiting =
    kind === "postgres"
      ? `SELECT 1 FROM pg_stat_activity WHERE query LIKE '%${table}%' AND wait_event_type = 'Lock'`
      : "SHOW FULL PROCESSLIST";
  const waits = (row: Record<string, unknown>): boolean =>
    kind === "postgres" ||
    (String(row["State"]).startsWith("Waiting for table") &&
      Buffer.from(String(row["Info"])).includes(table));
  return {
    ...lock,
    isWaitedFor: () =>
      expect
        .poll(async () => (await execute(url, kind, waiting)).filter(waits).length, { timeout: 10_000 })
        .toBeGreaterThan(0),
  };
}
