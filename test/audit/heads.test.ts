/** The heads of the chains, which every checkpoint reads: each by an index, however many events there are. */
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { describe, expect, test } from "vitest";
import { migrate } from "../../src/store/migrate.ts";
import { databases } from "../servers/databases.ts";
import { login, world } from "./world.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import type { Statement } from "../../src/sql/statement.ts";

describe.each(databases.filter(({ kind }) => kind === "mysql" || kind === "mariadb"))(
  "audit trail on $name",
  ({ url, createStore }) => {
    test("heads of 5 chains with 400 events → no statement reads more than a few rows", async () => {
      await using created = await createStore();
      await migrate(created.store);
      const store = created.store as SqlStore;
      const it = world();
      for (let chain = 0; chain < 5; chain++) {
        const trail = it.trail(created.another());
        await trail.record(...Array.from({ length: 80 }, () => login("42")));
        await trail.close();
      }
      const sent: Statement[] = [];
      const { run } = store.database;
      Object.assign(store.database, {
        run(statement: Statement) {
          sent.push(statement);
          return run.call(store.database, statement);
        },
      });
      expect(await store.audit!.heads()).toHaveLength(5);

      const connection = await createConnection({ uri: url! });
      for (const { text, values } of sent) {
        await connection.query("FLUSH STATUS");
        await connection.query(text, [...values]);
        const [counts] = await connection.query<RowDataPacket[]>("SHOW SESSION STATUS LIKE 'Handler_read%'");
        const read = counts.reduce((sum, { Value }) => sum + Number(Value), 0);
        // Three rows and temporary tables of two.
        expect(read).toBeLessThan(20);
      }
      await connection.end();
    });
  },
);
