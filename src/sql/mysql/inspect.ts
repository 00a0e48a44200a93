import { DURABILITY_QUERY, durabilityOf } from "./durability.ts";
import type { Ask, Inspected } from "../inspection.ts";

export async function inspect(ask: Ask): Promise<Inspected> {
  const row = await ask(
    `SELECT version() AS version, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS DOUBLE) AS clock, @@global.read_only AS read_only, @@session.max_allowed_packet AS packet LIMIT 1`,
  );
  const version = String(row["version"]);
  return {
    server: /mariadb/i.test(version) ? `MariaDB ${version.split("-")[0]!}` : `MySQL ${version}`,
    clock: Number(row["clock"]),
    readOnly: Number(row["read_only"]) === 1,
    durability: durabilityOf(await ask(DURABILITY_QUERY)),
    largestStatement: Number(row["packet"]),
  };
}
