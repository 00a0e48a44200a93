import assert from "node:assert/strict";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { describe, test } from "vitest";
import { createSessionManager } from "../../src/index.ts";
import { databases } from "../servers/databases.ts";
import { cookieOf, testKeys } from "./doubles.ts";

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

for (const { name, kind, url, createStore } of databases) {
  // SQLite has one writer at a time.
  describe.runIf(url !== null)(name, () => {
    test("promise 3, R44: revokeAll while the session gets a new id in an open transaction → the session ends", async () => {
      await using created = await createStore();
      await created.store.migrate();
      const { table } = created;
      const sessions = createSessionManager({ store: created.another(), keys: testKeys });
      const session = await sessions.load(null);
      session.login("42");
      const cookie = cookieOf(await sessions.commit(session));
      const connection = await connect(kind, url!);
      try {
        // what a regenerate does, stopped before its end: the same row moves to another id
        const columns =
          "data, version, user_ref, created_at, updated_at, absolute_expires_at, expires_at, expires_bucket, client";
        const id = kind === "postgres" ? "decode(repeat('ab', 32), 'hex')" : "unhex(repeat('ab', 32))";
        const other = kind === "postgres" ? "decode(repeat('cd', 32), 'hex')" : "unhex(repeat('cd', 32))";
        await connection.run(kind === "postgres" ? "BEGIN" : "START TRANSACTION");
        await connection.run(`INSERT INTO ${table} (id, ${columns}) SELECT ${id}, ${columns} FROM ${table}`);
        await connection.run(`DELETE FROM ${table} WHERE id <> ${id} AND id <> ${other}`);
        const revoking = sessions.forUser("42").revokeAll();
        await new Promise((resolve) => setTimeout(resolve, 200)); // it waits for the row
        await connection.run("COMMIT");
        await revoking;
        assert.equal((await created.store.scan(null, 10)).length, 0);
        assert.equal((await sessions.load(cookie)).isNew, true);
      } finally {
        await connection.close();
      }
    });
  });
}
