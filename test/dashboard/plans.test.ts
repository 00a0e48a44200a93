import pg from "pg";
import { describe, expect, test } from "vitest";
import { binaryValues } from "../../src/sql/postgres/arrays.ts";
import { SqlStore } from "../../src/sql/sql-store.ts";
import type { Statement } from "../../src/sql/statement.ts";
import { migrate } from "../../src/store/migrate.ts";
import { databases } from "../servers/databases.ts";
import { Browser, world } from "./world.ts";

/** Explains a statement as the database would run it on a large table. */
type Explain = (statement: Statement) => Promise<string>;

interface Explaining {
  explain: Explain;
  close(): Promise<void>;
}

const explaining: Readonly<Record<string, (store: SqlStore, url: string | null) => Promise<Explaining>>> = {
  sqlite: async (store) => ({
    async explain({ text, values }) {
      const { rows } = await store.database.run({
        text: `EXPLAIN QUERY PLAN ${text}`,
        values,
        writes: false,
      });
      return rows.map(({ detail }) => String(detail)).join("\n");
    },
    async close() {},
  }),
  async postgres(_, url) {
    const client = new pg.Client(url!);
    await client.connect();
    // On a small table reading all of it is the best plan. With this, it is one only where no index can serve.
    await client.query("SET enable_seqscan = off; SET enable_sort = off");
    return {
      async explain({ text, values }) {
        const { rows } = await client.query({
          text: `EXPLAIN ${text}`,
          values: binaryValues(values) as unknown[],
        });
        return rows.map((row) => String(row["QUERY PLAN"])).join("\n");
      },
      close: () => client.end(),
    };
  },
};

/** What a plan says when it reads a whole table: the leases are the only small one. */
const whole = [/\bSCAN (?!\(|.*\b(USING|CONSTANT|VIRTUAL)\b)(?!.*_leases)/, /Seq Scan on (?!\S*_leases)/];

const pages = (handle: string): readonly string[] => [
  "/",
  "/?period=hour",
  "/?period=month",
  "/live",
  "/user?id=alice",
  `/session?handle=${handle}`,
  "/audit",
  "/audit?type=login.failed",
  "/audit?user=alice&since=2026-11-01T00:00",
  "/keys",
];

describe.each(databases.filter(({ name }) => name in explaining))(
  "statements of the dashboard on $name",
  (database) => {
    test("each page → at most ten statements, each of them by an index", { timeout: 120_000 }, async () => {
      await using created = await database.createStore();
      await migrate(created.store);
      const store = created.store as SqlStore;
      const it = world({ store });
      const handle = await it.login("alice");
      for (let at = 0; at < 60; at++)
        await it.sessions.audit.record("login.failed", { identifier: `n${at}` });
      const sent: Statement[] = [];
      const { run } = store.database;
      Object.assign(store.database, {
        run(statement: Statement) {
          sent.push(statement);
          return run.call(store.database, statement);
        },
      });
      const browser = new Browser(it.handler);
      const { explain, close } = await explaining[database.name]!(store, database.url);
      try {
        for (const path of pages(handle)) {
          await browser.text(path);
          // Until nothing is counted in the background any more.
          await expect
            .poll(() => browser.text(path), { timeout: 20_000 })
            .not.toContain("still being counted");
          sent.length = 0;
          await browser.text(path);
          const statements = sent.splice(0);
          expect(statements.length, path).toBeLessThanOrEqual(10);
          expect(statements.length, path).toBeGreaterThan(0);
          for (const statement of statements.filter(({ writes }) => !writes)) {
            const plan = await explain(statement);
            for (const sign of whole) expect(plan, `${path}\n${statement.text}`).not.toMatch(sign);
          }
        }
      } finally {
        await close();
        await it.sessions.close();
      }
    });
  },
);
