/**
 * What becomes of a database that fails, in a runtime that is not Node: `outages.ts [URL]`. Prints a line for each failure
 * of libSQL's client, and on Bun, with a URL of PostgreSQL, of Bun's own.
 */
import { createClient } from "@libsql/client/http";
import { randomBytes } from "node:crypto";
import { Client } from "pg";
import { freePort } from "../../../scripts/services/processes.ts";
import { libsqlStore } from "../../../src/sql/sqlite/libsql.ts";
import { postgresStore } from "../../../src/sql/postgres/store.ts";
import { Switch } from "../../campaigns/switch.ts";
import { randomRow } from "../../servers/rows.ts";
import type { SqlStore } from "../../../src/sql/sql-store.ts";

async function tell(name: string, failing: Promise<unknown>): Promise<void> {
  const error = await failing.then(
    () => ({}),
    (failure: unknown) => failure,
  );
  const { code, status, outcome } = error as Record<string, unknown>;
  console.log(`${name}: ${[code, status, outcome].map(String).join(" ")}`);
}

await tell(
  "libSQL, nobody listens",
  libsqlStore(createClient({ url: `http://127.0.0.1:${await freePort()}` })).insert([randomRow()]),
);

const [url] = process.argv.slice(2);
if (url !== undefined) {
  const { SQL } = (await import("bun" as string)) as { SQL: new (url: string, options?: object) => never };
  const table = `d_bun_${randomBytes(6).toString("hex")}`;
  const open = (to: string, options?: object): SqlStore => postgresStore(new SQL(to, options), { table });
  const store = open(url);
  await store.migrate();
  const lock = async (): Promise<() => Promise<void>> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    return () => client.end();
  };
  const at = (port: number): string => Object.assign(new URL(url), { port: String(port) }).href;
  const waited = async (): Promise<void> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    for (;;) {
      const { rows } = await client.query(
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE $1 AND wait_event_type = 'Lock'",
        [`%${table}%`],
      );
      if (rows.length > 0) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await client.end();
  };

  await tell("Bun.SQL, nobody listens", open(at(1)).insert([randomRow()]));

  {
    await using way = await Switch.to(Number(new URL(url).port));
    const through = open(at(way.port));
    await through.insert([randomRow()]);
    const free = await lock();
    const writing = through.insert([randomRow()]);
    writing.catch(() => {});
    await waited();
    way.lead(Number(new URL(url).port));
    await tell("Bun.SQL, a connection breaks under a write", writing);
    await free();
    console.log("Bun.SQL, afterwards:", (await through.insert([randomRow()]))[0]);
  }

  {
    const late = open(url);
    late.giveUpAfter(500);
    const free = await lock();
    const pair = [randomRow(), randomRow()];
    const { database } = late;
    const sending = database.transaction(pair.map((row) => database.dialect.insert([row])[0]!));
    await tell("Bun.SQL, a late transaction", sending);
    await free();
    late.giveUpAfter(10_000);
    for (let rounds = 0; rounds < 5; rounds++)
      await Promise.all(Array.from({ length: 16 }, () => late.insert([randomRow()])));
    const found = await late.read(pair.map(({ id }) => id));
    const half = found.filter((row) => row !== null).length === 1;
    console.log("Bun.SQL, of a late transaction:", half ? "one half" : "all or nothing");
  }

  const client = new Client({ connectionString: url });
  await client.connect();
  for (const suffix of ["", "_leases", "_migrations", "_imports"])
    await client.query(`DROP TABLE IF EXISTS ${table}${suffix}`);
  await client.end();
}
process.exit(0);
