/** Promise 3 for imports: what was taken over once never comes back, whatever happens between two runs or during one. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "vitest";
import type { Database } from "../../src/sql/dialect.ts";
import { migrate } from "../../src/index.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { SqlStore } from "../../src/sql/sql-store.ts";
import { databases, execute, type CreatedStore } from "../servers/databases.ts";
import { nextRow, randomRows } from "../servers/rows.ts";

type Transaction = Database["transaction"];

/** Another store on the same tables, with something done to its transactions. */
function tampered(created: CreatedStore, transaction: (below: Transaction) => Transaction): SqlStore {
  const { database } = created.another() as SqlStore;
  const changed = transaction(database.transaction.bind(database));
  return new SqlStore(
    new Proxy(database, {
      get(target, property) {
        if (property === "transaction") return changed;
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
      },
    }),
  );
}

describe.each(databases.map((database) => [database.name, database] as const))("%s", (_name, database) => {
  test("promise 3: another import imported a session that has ended since → it stays ended", async () => {
    await using created = await database.createStore();
    await migrate(created.store);
    const rows = randomRows(5);
    const [first, second] = [rows[0]!, rows[1]!];
    let isFirst = true;
    const late = tampered(created, (below) => async (statements) => {
      if (isFirst) {
        isFirst = false;
        assert.deepEqual(await created.store.takeOver!([first, second]), ["imported", "imported"]);
        await created.store.delete([first.id]);
      }
      return await below(statements);
    });
    // The ledger is there, so that both look before either of them writes.
    await created.store.takeOver!([]);
    const answers = await late.takeOver(rows);
    assert.deepEqual(answers, ["before", "before", "imported", "imported", "imported"]);
    assert.equal(await created.store.count(0), 4);
    assert.deepEqual(await created.store.read([first.id]), [null]);
  });

  test("a page larger than a batch, with existing rows → a result for each row", async () => {
    await using created = await database.createStore();
    await migrate(created.store);
    const rows = randomRows(300);
    const there = rows.filter((_, index) => index % 7 === 0);
    await created.store.insert(there.map(nextRow));
    const answers = await created.store.takeOver!(rows);
    assert.deepEqual(
      answers,
      rows.map((_, index) => (index % 7 === 0 ? "present" : "imported")),
    );
    assert.equal(await created.store.count(0), 300);
    assert.deepEqual(
      new Set(await created.another().takeOver!(rows.toReversed())),
      new Set(["before"]),
      "another process reads the same ledger",
    );
  });

  test("a failed batch → leaves neither rows nor ids, and the next run imports them", async () => {
    await using created = await database.createStore();
    await migrate(created.store);
    const rows = randomRows(3);
    const failing = tampered(
      created,
      (below) => (statements) =>
        below([...statements, { text: "SELECT nothing FROM nowhere", values: [], writes: false }]),
    );
    await assert.rejects(failing.takeOver(rows));
    assert.equal(await created.store.count(0), 0);
    assert.deepEqual(await created.store.takeOver!(rows), ["imported", "imported", "imported"]);
  });
});

const postgres = databases.find(({ kind }) => kind === "postgres");
describe.runIf(postgres !== undefined)("a role that may not create tables", () => {
  test("the ledger is missing → the error names the SQL, and the import works after it ran", async () => {
    const url = postgres!.url!;
    await using created = await postgres!.createStore();
    await migrate(created.store);
    const { table } = created;
    const role = `role_${randomBytes(4).toString("hex")}`;
    const ask = (text: string) => execute(url, "postgres", text);
    await ask(`CREATE ROLE ${role} LOGIN PASSWORD 'p'`);
    const address = new URL(url);
    [address.username, address.password] = [role, "p"];
    const store = postgresStore(address.href, { table });
    const rows = randomRows(2);
    try {
      await ask(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${table}, ${table}_migrations TO ${role}`);
      const error = await store.takeOver(rows).then(
        () => null,
        (reason: Error) => reason,
      );
      const text = `CREATE TABLE IF NOT EXISTS "${table}_imports" (id bytea NOT NULL PRIMARY KEY)`;
      assert.ok(error?.message.endsWith(text), String(error));
      assert.match(String(error), /permission denied for schema public/);
      await ask(text);
      await ask(`GRANT SELECT, INSERT ON ${table}_imports TO ${role}`);
      assert.deepEqual(await store.takeOver(rows), ["imported", "imported"]);
    } finally {
      await store.close();
      await ask(`DROP OWNED BY ${role}`);
      await ask(`DROP ROLE ${role}`);
    }
  });
});
