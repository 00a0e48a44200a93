/** What Citus' coordinator learns from its workers, for `check`: its own settings say nothing about theirs. */
import { query, type Statement } from "../statement.ts";
import { durabilityOf, SETTINGS } from "./durability.ts";
import type { DurabilitySetting } from "../durability.ts";
import type { ShardLayout } from "../inspection.ts";
import type { Names } from "../dialect.ts";

/** Asks every worker that the coordinator knows; a worker that does not answer has a row all the same. */
export function workersQuery({ sessions }: Names): Statement {
  const settings = SETTINGS.map((name) => `'${name}', current_setting('${name}', true)`).join(", ");
  return query(
    "SELECT coalesce(json_agg(json_build_object('node', nodename || ':' || nodeport, 'success', success, 'result', result))::text, '[]') AS workers, " +
      "(SELECT count(*)::text FROM pg_dist_shard WHERE logicalrelid = to_regclass($1)) AS shards FROM run_command_on_workers($2)",
    sessions,
    `SELECT json_build_object(${settings})::text`,
  );
}

interface Worker {
  readonly node: string;
  readonly success: boolean;
  readonly result: string;
}

export function workersIn(
  row: Readonly<Record<string, unknown>>,
  names: Names,
): { readonly durability: readonly DurabilitySetting[]; readonly layout: ShardLayout } {
  const workers = JSON.parse(String(row["workers"])) as readonly Worker[];
  const durability = workers.flatMap(({ node, success, result }): readonly DurabilitySetting[] => {
    if (!success) {
      const durabilityWarning = "it is unknown whether a crash of it loses acknowledged commits";
      return [{ name: `the worker ${node}`, value: `unreachable (${result})`, durabilityWarning }];
    }
    const settings = durabilityOf(JSON.parse(result) as Record<string, unknown>, names);
    return settings.map((setting) => ({ ...setting, name: `${setting.name} of ${node}` }));
  });
  return { durability, layout: { shards: Number(row["shards"]), workers: workers.length } };
}
