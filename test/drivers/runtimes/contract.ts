/** The store contract, in a runtime that is not Node: `contract.ts DRIVER [URL]`. Prints the names of what failed. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postgresStore } from "../../../src/sql/postgres/store.ts";
import { sqliteStore } from "../../../src/sql/sqlite/store.ts";
import { write } from "../../../src/sql/statement.ts";
import { storeContract } from "../../../src/testing/store-contract.ts";
import { collect, test } from "../workerd/runner.ts";
import type { SqlStore } from "../../../src/sql/sql-store.ts";

const [driver, url] = process.argv.slice(2) as [string, string?];
const folder = mkdtempSync(join(tmpdir(), "stored-session-"));
let files = 0;
const file = (): string => join(folder, `${files++}.sqlite3`);

async function opener(): Promise<() => SqlStore> {
  if (driver === "node:sqlite") return () => sqliteStore(file());
  const bun = (name: string): Promise<Record<string, new (of: string) => never>> => import(name);
  if (driver === "bun:sqlite") {
    const { Database } = await bun("bun:sqlite");
    return () => sqliteStore(new Database!(file()));
  }
  const { SQL } = await bun("bun");
  const sql = new SQL!(url!);
  return () => postgresStore(sql, { table: `d_bun_${process.pid}_${files++}` });
}

const open = await opener();
let store: SqlStore;
const tests = collect(() =>
  storeContract(driver, {
    test,
    create: async () => {
      store = open();
      await store.migrate();
      return store;
    },
    destroy: async () => {
      if (url === undefined) return;
      const { names } = store.database.dialect;
      const dropping = postgresStore(url, { table: names.sessions.split(".").at(-1)!.slice(1, -1) });
      for (const table of [names.sessions, names.leases, names.migrations, names.imports])
        await dropping.database.run(write(`DROP TABLE IF EXISTS ${table}`));
      await dropping.close();
    },
  }),
);
let failed = 0;
for (const { name, run } of tests) {
  try {
    await run();
  } catch (error) {
    failed++;
    console.log(`FAILED ${name}: ${(error as Error).stack}`);
  }
}
console.log(`${tests.length - failed} of ${tests.length} passed`);
process.exit(failed === 0 ? 0 : 1);
