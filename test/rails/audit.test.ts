/** docs/rails.md: a second manager keeps the audit trail beside the table of Rails. */
import { describe, expect, test } from "vitest";
import { createSessionManager, generateKey, migrate, OptionsError } from "../../src/index.ts";
import { railsFormat } from "../../src/rails/index.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { SUFFIXES } from "../servers/databases.ts";
import { cookieOf } from "../session/doubles.ts";
import { railsKeys } from "./gem.ts";
import { createTable, databases, type RailsTable } from "./tables.ts";

const format = railsFormat({
  ...railsKeys,
  userOf: (data: Record<string, unknown>) =>
    data["user_id"] === undefined ? undefined : String(data["user_id"]),
});

describe.each(databases)("audit trail beside Rails on $name", (database) => {
  async function beside(work: (rails: RailsTable, store: SqlStore) => Promise<void>): Promise<void> {
    const rails = await createTable(database);
    const table = `node_${rails.table}`.slice(0, 40);
    const at = database.url ?? (await rails.ask("PRAGMA database_list"))[0]!["file"];
    const open = { sqlite: sqliteStore, postgres: postgresStore, mysql: mysqlStore, mariadb: mysqlStore };
    const store = (open[database.kind] as (at: string, options: object) => SqlStore)(String(at), {
      table,
      ...(database.kind === "sqlite" && {
        driver: database.name === "sqlite" ? "node:sqlite" : database.name,
      }),
    });
    try {
      await work(rails, store);
    } finally {
      if (database.url !== null)
        for (const suffix of SUFFIXES) await rails.ask(`DROP TABLE IF EXISTS ${table}${suffix}`);
      await rails.drop();
    }
  }

  test("R48, R49: a login and a logout in Rails mode, recorded by a second manager → listed and verified, and the table of Rails is as Rails made it", () =>
    beside(async (rails, store) => {
      await migrate(store);
      const { audit, ...trail } = trailOf(store);
      const sessions = createSessionManager<Record<string, unknown>>({ store: rails.store, format });
      const session = await sessions.load(null);
      session.login("42");
      session.data["user_id"] = "42";
      await audit.record("login", {
        user: "42",
        method: "password",
        client: { address: "203.0.113.9" },
        details: { session: session.handle },
      });
      const cookie = cookieOf(await sessions.commit(session));
      const later = await sessions.load(cookie);
      expect(later.user).toBe("42");
      later.destroy();
      await sessions.commit(later);
      await audit.record("logout", { user: "42", details: { session: later.handle } });

      const events = [];
      for await (const event of audit.list({ user: "42" })) events.push(event);
      expect(events.map(({ type, user, address, details }) => [type, user, address, details])).toEqual([
        ["login", "42", "203.0.113.9", { session: session.handle }],
        ["logout", "42", undefined, { session: later.handle }],
      ]);
      await audit.checkpoint();
      expect(await audit.verify()).toMatchObject({ ok: true, uncovered: 0 });
      expect(await rails.ask(`SELECT * FROM ${rails.table}`)).toEqual([]);
      await rails.store.migrate(); // checks the columns
      await trail.close();
    }));
});

function trailOf(store: SqlStore) {
  const sessions = createSessionManager({ store, keys: generateKey(), audit: { checkpointEvery: "1 h" } });
  return { audit: sessions.audit, close: () => sessions.close() };
}

test("`audit` in Rails mode → refused at start, with the page that says how", () => {
  const store = sqliteStore(":memory:");
  expect(() => createSessionManager({ store, format, audit: true } as never)).toThrow(OptionsError);
  expect(() => createSessionManager({ store, format, audit: true } as never)).toThrow(/docs\/rails\.md/);
});
