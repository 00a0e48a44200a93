/** Links on each SQL database: transactions under way, a database of an earlier release, and what is sent (R63). */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { describe, test } from "vitest";
import { createSessionManager, KeyRing, NotMigratedError } from "../../src/index.ts";
import type { Database } from "../../src/sql/dialect.ts";
import { SqlStore } from "../../src/sql/sql-store.ts";
import { databases } from "../servers/databases.ts";
import { cookieOf, testKeys } from "./doubles.ts";

const idp = "https://idp.example|08a5019c-17e1-4977-8f42-65a12843ea02";

/** One connection of its own, to hold a transaction open. */
async function connect(kind: string, url: string) {
  if (kind === "postgres") {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return { run: (text: string) => client.query(text), close: () => client.end() };
  }
  const connection = await createConnection({ uri: url });
  return { run: (text: string) => connection.query(text), close: () => connection.end() };
}

/** Records the text of every statement that the store sends. */
function recording(below: Database): { store: SqlStore; texts: string[] } {
  const texts: string[] = [];
  const database = new Proxy(below, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name === "run") {
        return (statement: { text: string }) => {
          texts.push(statement.text);
          return target.run(statement as never);
        };
      }
      if (name === "transaction") {
        return (statements: readonly { text: string }[]) => {
          texts.push("BEGIN", ...statements.map(({ text }) => text));
          return target.transaction(statements as never);
        };
      }
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  return { store: new SqlStore(database), texts };
}

for (const { name, kind, url, createStore } of databases) {
  describe(name, () => {
    const open = async () => {
      const created = await createStore();
      await created.store.migrate();
      return created;
    };

    // SQLite has one writer at a time.
    test.runIf(url !== null)(
      "R63 promise 3: a session that is getting a new id in a transaction under way → revokeByLink ends it",
      async () => {
        await using created = await open();
        const { table } = created;
        const sessions = createSessionManager({ store: created.another(), keys: testKeys });
        const session = await sessions.load(null);
        session.login("42", { links: { idp } });
        const cookie = cookieOf(await sessions.commit(session));
        const connection = await connect(kind, url!);
        try {
          // what a regenerate does, stopped before its end: the same row moves to another id, and its link with it
          const columns =
            "data, version, user_ref, created_at, updated_at, absolute_expires_at, expires_at, expires_bucket, client";
          const id = kind === "postgres" ? "decode(repeat('ab', 32), 'hex')" : "unhex(repeat('ab', 32))";
          const other = kind === "postgres" ? "decode(repeat('cd', 32), 'hex')" : "unhex(repeat('cd', 32))";
          await connection.run(kind === "postgres" ? "BEGIN" : "START TRANSACTION");
          await connection.run(
            `INSERT INTO ${table} (id, ${columns}) SELECT ${id}, ${columns} FROM ${table}`,
          );
          await connection.run(`DELETE FROM ${table} WHERE id <> ${id} AND id <> ${other}`);
          await connection.run(`UPDATE ${table}_links SET session_id = ${id}`);
          const revoking = sessions.revokeByLink({ idp });
          await new Promise((resolve) => setTimeout(resolve, 200)); // it waits for the row
          await connection.run("COMMIT");
          assert.equal(await revoking, 1);
          assert.equal((await created.store.scan(null, 10)).length, 0);
          assert.equal((await sessions.load(cookie)).isNew, true);
        } finally {
          await connection.close();
        }
      },
    );

    test("R63: tables of the release before → sessions work, and links say what to run", async () => {
      await using created = await open();
      const store = created.another() as SqlStore;
      const { links } = store.database.dialect.names;
      await store.migrate();
      await store.database.run({ text: `DROP TABLE ${links}`, values: [], writes: true });
      const sessions = createSessionManager({ store, keys: testKeys });
      const session = await sessions.load(null);
      session.login("42");
      const cookie = cookieOf(await sessions.commit(session));
      const again = await sessions.load(cookie);
      again.regenerate();
      assert.ok(await sessions.commit(again));
      assert.equal(await sessions.expire(), 0);
      assert.equal(await sessions.eraseUser("42"), 1);
      const linked = await sessions.load(null);
      linked.login("42", { links: { idp } });
      const asks = (error: unknown): boolean =>
        error instanceof NotMigratedError && /stored-session migrate/.test(error.message);
      await assert.rejects(sessions.commit(linked), asks);
      await assert.rejects(sessions.revokeByLink({ idp }), asks);
      assert.equal(await sessions.count(), 0, "no session without its links");
    });

    test("R63: a manager without links → sends the statements that it always sent, and not one more", async () => {
      await using created = await open();
      const { store, texts } = recording((created.store as SqlStore).database);
      const sessions = createSessionManager({ store, keys: testKeys });
      const sent: number[] = [];
      let cookie = "";
      const step = async (act: (session: Awaited<ReturnType<typeof sessions.load>>) => void) => {
        const session = await sessions.load(cookie === "" ? null : cookie);
        act(session);
        texts.length = 0;
        const setCookie = await sessions.commit(session);
        if (setCookie !== null) cookie = cookieOf(setCookie);
        sent.push(texts.filter((text) => text !== "BEGIN").length);
        assert.deepEqual(
          texts.filter((text) => text.includes("_links")),
          [],
        );
      };
      await step((session) => session.login("42"));
      await step((session) => session.flash("a", 1));
      await step((session) => session.elevate({ level: "aal2" }));
      await step((session) => session.destroy());
      const replace = (created.store as SqlStore).database.dialect.name === "postgres" ? 1 : 2;
      assert.deepEqual(sent, [1, 1, replace, 1]);
    });

    test("R63 promise 6: a dump of the table → shows neither links nor users, and no hash without the key", async () => {
      await using created = await open();
      const sessions = createSessionManager({ store: created.store, keys: testKeys });
      const session = await sessions.load(null);
      session.login("42", { links: { idp } });
      await sessions.commit(session);
      const { database } = created.store as SqlStore;
      const { hex, names } = database.dialect;
      const text = `SELECT ${hex("link")} AS shown FROM ${names.links}`;
      const { rows } = await database.run({ text, values: [], writes: false });
      const shown = String(rows[0]!["shown"]).toLowerCase();
      const expected = Buffer.from(KeyRing.from(testKeys).linkRefs("idp", idp, "")[0]!).toString("hex");
      assert.deepEqual([rows.length, shown], [1, expected]);
      for (const plain of [idp, `idp\0${idp}`, "42"]) {
        assert.notEqual(shown, createHash("sha256").update(plain).digest("hex"));
      }
    });
  });
}
