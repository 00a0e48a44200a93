import { durabilityOf, durabilityQuery } from "./durability.ts";
import { workersIn, workersQuery } from "./workers.ts";
import type { Names } from "../dialect.ts";
import type { Ask, Inspected } from "../inspection.ts";

export async function inspect(ask: Ask, names: Names): Promise<Inspected> {
  const row = await ask(
    `SELECT current_setting('server_version') AS version, (extract(epoch FROM clock_timestamp()) * 1000)::int8::text AS clock, pg_is_in_recovery()::text AS standby, current_setting('transaction_read_only') AS read_only`,
  );
  const settings = await ask(durabilityQuery(names));
  const isCitus = Number(settings["citus"]) === 1;
  const workers = isCitus ? workersIn(await ask(workersQuery(names)), names) : null;
  return {
    server: `PostgreSQL ${String(row["version"]).split(" ")[0]!}`,
    clock: Number(row["clock"]),
    readOnly: row["standby"] === "true" || row["read_only"] === "on",
    durability: [...durabilityOf(settings, names), ...(workers?.durability ?? [])],
    layout: workers?.layout ?? null,
    largestStatement: null,
  };
}
