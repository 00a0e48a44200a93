/**
 * A distributed engine behind TEST_POSTGRES_URL: what it is, how tables are made distributed there, and how many shards
 * a plan names.
 */
import { engineOf, type PostgresEngine } from "../../src/sql/postgres/engine.ts";
import { execute } from "./execute.ts";

/** Shards of the sessions' table: few, so that the suites' small batches are still batches. */
const SHARDS = Number(process.env["TEST_CITUS_SHARDS"] ?? 8);

/** What a PostgreSQL server says it is; "citus" where the extension is in this database. */
export async function engineAt(url: string): Promise<PostgresEngine> {
  const [row] = await execute(
    url,
    "postgres",
    "SELECT version() AS version, (to_regclass('pg_dist_shard') IS NOT NULL)::int AS citus",
  );
  return engineOf(String(row!["version"]), Number(row!["citus"]) === 1);
}

/**
 * Makes the tables distributed, as docs/scaling.md says. Only Citus needs it: the sessions by their id, the small tables
 * that every node may ask as reference tables. The tables of imports and of the audit trail stay on the coordinator.
 */
export async function distribute(url: string, engine: PostgresEngine, table: string): Promise<void> {
  if (engine !== "citus") return;
  const done = `SELECT 1 FROM pg_dist_shard WHERE logicalrelid = '${table}'::regclass LIMIT 1`;
  if ((await execute(url, "postgres", done)).length > 0) return;
  for (const text of distribution(table, SHARDS)) await execute(url, "postgres", text);
}

export function distribution(table: string, shards: number): readonly string[] {
  return [
    `SELECT create_distributed_table('${table}', 'id', shard_count => ${shards}, colocate_with => 'none')`,
    `SELECT create_reference_table('${table}_leases')`,
  ];
}

/**
 * How many shards a plan of EXPLAIN names. On Citus the largest task count of the plan and its subplans. CockroachDB and
 * YugabyteDB do not name shards: there it is one for a plan that looks up keys, and infinitely many for one that reads
 * the whole table.
 */
export function shardsIn(plan: string, engine: PostgresEngine, table: string): number {
  if (engine === "cockroachdb") return /FULL SCAN/i.test(plan) ? Infinity : 1;
  if (engine === "yugabytedb") return new RegExp(`Seq Scan on ${table}\\b`).test(plan) ? Infinity : 1;
  const tasks = [...plan.matchAll(/\bTask Count: (\d+)/g)].map(([, count]) => Number(count));
  if (tasks.length > 0) return Math.max(...tasks);
  // The stand-in: partitions of the table.
  return new Set([...plan.matchAll(new RegExp(` on ${table}_(\\d+)\\b`, "g"))].map(([, nth]) => nth)).size;
}

/** The shards that the commands name that Citus' coordinator has logged (`citus.log_remote_commands`). */
export function shardsInCommands(commands: readonly string[], table: string): number {
  const named = commands.flatMap((command) => [
    ...command.matchAll(new RegExp(`\\b${table}_(\\d+)\\b`, "g")),
  ]);
  return new Set(named.map(([, shard]) => shard)).size;
}
