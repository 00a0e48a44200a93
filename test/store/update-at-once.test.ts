/**
 * Batches of updates where the server cannot say which rows it wrote: all in one statement when nothing stands in the
 * way, and row by row when something does (promise 2). MySQL and MariaDB have such statements; what a batch answers is
 * the same everywhere.
 */
import assert from "node:assert/strict";
import mysql from "mysql2/promise";
import { describe, test } from "vitest";
import type { Statement } from "../../src/sql/dialect.ts";
import { migrate, StoreError } from "../../src/index.ts";
import type { SessionRow } from "../../src/store/row.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { SqlStore } from "../../src/sql/sql-store.ts";
import { databases, type CreatedStore } from "../servers/databases.ts";
import { nextRow, randomRows } from "../servers/rows.ts";

interface Sent {
  readonly alone: string[];
  readonly transactions: number;
}

/**
 * Another store on the same tables, which keeps what it sent; `after` happens behind each statement, and `found` is what
 * queries then find.
 */
function watched(
  created: CreatedStore,
  after: (statement: Statement) => Promise<void> = async () => {},
  found?: readonly Record<string, unknown>[],
): { store: SqlStore; sent: Sent } {
  const { database } = created.another() as SqlStore;
  const sent = { alone: [] as string[], transactions: 0 };
  const store = new SqlStore({
    dialect: database.dialect,
    async run(statement) {
      sent.alone.push(statement.text.slice(0, 6));
      const result = await database.run(statement);
      await after(statement);
      return found && !statement.writes ? { rows: found, changes: 0 } : result;
    },
    transaction(statements) {
      sent.transactions++;
      return database.transaction(statements);
    },
    exclusively: (work) => database.exclusively(work),
    close: () => database.close(),
  });
  return { store, sent };
}

const updatesOf = (rows: readonly SessionRow[]) => rows.map((loaded) => ({ loaded, next: nextRow(loaded) }));
const isMysql = (kind: string) => kind === "mysql" || kind === "mariadb";

for (const database of databases) {
  const { kind } = database;
  describe(database.name, () => {
    const filled = async (count: number): Promise<{ created: CreatedStore; rows: SessionRow[] }> => {
      const created = await database.createStore();
      await migrate(created.store);
      const rows = randomRows(count);
      await created.store.insert(rows);
      return { created, rows };
    };

    test.each([2, 3, 31, 64])(
      "a batch of %i that finds its versions → one statement on servers",
      async (size) => {
        const { created, rows } = await filled(size);
        await using _ = created;
        // The first statement of a MySQL store asks for the server's name.
        const { store, sent } = watched(created);
        const updates = updatesOf(rows);
        assert.deepEqual(
          await store.update(updates),
          rows.map(() => true),
        );
        assert.deepEqual(
          await created.store.read(rows.map(({ id }) => id)),
          updates.map(({ next }) => next),
        );
        if (kind !== "sqlite") assert.deepEqual(sent, { alone: ["UPDATE"], transactions: 0 });
      },
    );

    test.each([0, 1, 4])("row %i of five was changed → only that row is not applied", async (place) => {
      const { created, rows } = await filled(5);
      await using _ = created;
      const meanwhile = nextRow(rows[place]!);
      await created.store.update([{ loaded: rows[place]!, next: meanwhile }]);
      const { store, sent } = watched(created);
      const updates = updatesOf(rows);
      assert.deepEqual(
        await store.update(updates),
        rows.map((_row, index) => index !== place),
      );
      assert.deepEqual(
        await created.store.read(rows.map(({ id }) => id)),
        updates.map(({ next }, index) => (index === place ? meanwhile : next)),
      );
      if (isMysql(kind)) assert.deepEqual(sent, { alone: ["UPDATE"], transactions: 1 });
    });

    test("deleted rows in a batch → reported as gone, the others are written, and none comes back (promise 3)", async () => {
      const { created, rows } = await filled(6);
      await using _ = created;
      await created.store.delete([rows[1]!.id, rows[4]!.id]);
      const { store, sent } = watched(created);
      assert.deepEqual(await store.update(updatesOf(rows)), [true, false, true, true, false, true]);
      assert.equal(await created.store.count(0), 4);
      if (isMysql(kind)) assert.deepEqual(sent, { alone: ["UPDATE", "SELECT"], transactions: 0 });
      await created.store.delete(rows.map(({ id }) => id));
      assert.deepEqual(
        await watched(created).store.update(updatesOf(rows)),
        rows.map(() => false),
      );
      assert.equal(await created.store.count(0), 0);
    });

    test("a deleted and a changed row in one batch → distinguished from the written ones", async () => {
      const { created, rows } = await filled(4);
      await using _ = created;
      await created.store.delete([rows[0]!.id]);
      await created.store.update([{ loaded: rows[3]!, next: nextRow(rows[3]!) }]);
      assert.deepEqual(await created.store.update(updatesOf(rows)), [false, true, true, false]);
    });
  });
}

for (const database of databases.filter(({ kind }) => isMysql(kind))) {
  describe(`${database.name}: between a batch and the look at what was gone`, () => {
    const interrupted = async (
      meanwhile: (store: CreatedStore["store"], updates: ReturnType<typeof updatesOf>) => Promise<unknown>,
    ): Promise<boolean[]> => {
      await using created = await database.createStore();
      await migrate(created.store);
      const rows = randomRows(4);
      await created.store.insert(rows.slice(1));
      const updates = updatesOf(rows);
      const { store } = watched(created, async ({ text }) => {
        if (text.startsWith("UPDATE")) await meanwhile(created.store, updates);
      });
      return await store.update(updates);
    };

    test("a row overwritten by another before the verification query → counts as written (promise 2)", async () => {
      const answers = await interrupted((store, updates) =>
        store.update([{ loaded: updates[2]!.next, next: nextRow(updates[2]!.next) }]),
      );
      assert.deepEqual(answers, [false, true, true, true]);
    });

    test("a row deleted before the verification query → counts as gone (promise 3)", async () => {
      const answers = await interrupted((store, updates) => store.delete([updates[2]!.next.id]));
      assert.deepEqual(answers, [false, true, false, true]);
    });

    test("an id that is used again → not written, whatever happens to the others", async () => {
      const again = (updates: ReturnType<typeof updatesOf>) => {
        const { loaded } = updates[0]!;
        return { ...nextRow(loaded), createdAt: loaded.createdAt + 1 };
      };
      const alone = await interrupted((store, updates) => store.insert([again(updates)]));
      assert.deepEqual(alone, [false, true, true, true]);
      const oneEnds = await interrupted(async (store, updates) => {
        await store.insert([again(updates)]);
        await store.delete([updates[3]!.next.id]);
      });
      assert.deepEqual(oneEnds, [false, true, true, false]);
      const oneGoesOn = await interrupted(async (store, updates) => {
        await store.insert([again(updates)]);
        await store.update([{ loaded: updates[2]!.next, next: nextRow(updates[2]!.next) }]);
      });
      assert.deepEqual(oneGoesOn, [false, true, true, true]);
    });

    test("a verification query older than the batch → outcome unknown (promises 2, 8)", async () => {
      await using created = await database.createStore();
      await migrate(created.store);
      const rows = randomRows(3);
      await created.store.insert(rows);
      const { database: there } = created.another() as SqlStore;
      const older = (await there.run(there.dialect.updateAtOnce!(updatesOf(rows)).look)).rows;
      await created.store.delete([rows[0]!.id]);
      const { store } = watched(created, async () => {}, older);
      await assert.rejects(store.update(updatesOf(rows)), { outcome: "unknown" });
    });

    test("the verification query: another transaction deletes a row and rolls back → waits for it (promise 2)", async () => {
      await using created = await database.createStore();
      await migrate(created.store);
      const rows = randomRows(3);
      await created.store.insert(rows.slice(1));
      const rival = await mysql.createConnection(database.url!);
      const { store } = watched(created, async ({ text }) => {
        if (!text.startsWith("UPDATE")) return;
        await rival.query("START TRANSACTION");
        await rival.query(`DELETE FROM ${created.table} WHERE id = ?`, [Buffer.from(rows[1]!.id)]);
        setTimeout(() => void rival.query("ROLLBACK"), 200);
      });
      assert.deepEqual(await store.update(updatesOf(rows)), [false, true, true]);
      await rival.end();
    });

    test("after a conflict → the next batch goes row by row, the one after it as one statement again", async () => {
      await using created = await database.createStore();
      await migrate(created.store);
      const rows = randomRows(2);
      await created.store.insert(rows);
      const { store, sent } = watched(created);
      const meanwhile = nextRow(rows[0]!);
      await created.store.update([{ loaded: rows[0]!, next: meanwhile }]);
      const first = updatesOf(rows);
      assert.deepEqual(await store.update(first), [false, true]);
      assert.deepEqual(sent, { alone: ["UPDATE"], transactions: 1 });
      const second = updatesOf([meanwhile, first[1]!.next]);
      assert.deepEqual(await store.update(second), [true, true]);
      assert.deepEqual(sent, { alone: ["UPDATE"], transactions: 2 });
      assert.deepEqual(await store.update(updatesOf(second.map(({ next }) => next))), [true, true]);
      assert.deepEqual(sent, { alone: ["UPDATE", "UPDATE"], transactions: 2 });
    });

    test("the verification query fails → outcome unknown (promise 8)", async () => {
      await using created = await database.createStore();
      await migrate(created.store);
      const rows = randomRows(3);
      await created.store.insert(rows.slice(1));
      const { store } = watched(created, async ({ text }) => {
        if (text.startsWith("SELECT")) throw new StoreError("The connection broke.", { outcome: "none" });
      });
      await assert.rejects(store.update(updatesOf(rows)), { outcome: "unknown" });
    });
  });

  test(`${database.name}: autocommit is off and a row has changed → no locks are left`, async () => {
    await using created = await database.createStore();
    await migrate(created.store);
    const rows = randomRows(3);
    await created.store.insert(rows);
    const pool = mysql.createPool({ uri: database.url!, connectionLimit: 1 });
    const store = mysqlStore(pool, { table: created.table });
    await store.read([rows[0]!.id]);
    const meanwhile = nextRow(rows[0]!);
    await created.store.update([{ loaded: rows[0]!, next: meanwhile }]);
    await pool.query("SET autocommit = 0");
    try {
      await assert.rejects(store.update(updatesOf(rows)), /autocommit is off/);
      // Nobody waits for a lock of the other's.
      const after = [meanwhile, ...rows.slice(1)];
      assert.deepEqual(await created.store.update(updatesOf(after)), [true, true, true]);
    } finally {
      await pool.end();
    }
  });

  test.each(["", "TRADITIONAL", "ANSI_QUOTES,PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES"])(
    `${database.name}: a row has changed under sql_mode '%s' → the whole statement is undone`,
    async (mode) => {
      await using created = await database.createStore();
      await migrate(created.store);
      const rows = randomRows(8);
      await created.store.insert(rows);
      const meanwhile = nextRow(rows[7]!);
      await created.store.update([{ loaded: rows[7]!, next: meanwhile }]);
      const pool = mysql.createPool({ uri: database.url!, connectionLimit: 1 });
      await pool.query(`SET SESSION sql_mode = '${mode}'`);
      const { database: under } = mysqlStore(pool, { table: created.table });
      try {
        const { write } = under.dialect.updateAtOnce!(updatesOf(rows));
        await assert.rejects(under.run(write), { name: "StoreError", outcome: "none" });
        assert.deepEqual(await created.store.read(rows.map(({ id }) => id)), [
          ...rows.slice(0, 7),
          meanwhile,
        ]);
      } finally {
        await pool.end();
      }
    },
  );
}
