import type { DurabilitySetting } from "../durability.ts";
import type { Names, Statement } from "../dialect.ts";

/** The settings that {@link durabilityOf} reads. */
export const SETTINGS = [
  "synchronous_commit",
  "synchronous_standby_names",
  "fsync",
  "full_page_writes",
] as const;

type Row = Readonly<Record<string, unknown>>;

/** Queries PostgreSQL for what {@link durabilityOf} reads, and for its version. */
export function durabilityQuery({ sessions }: Names): Statement {
  const text =
    `SELECT ${SETTINGS.map((name) => `current_setting('${name}', true) AS ${name}`).join(", ")}, ` +
    "(SELECT relpersistence::text FROM pg_catalog.pg_class WHERE oid = to_regclass($1)) AS persistence, " +
    "version() AS version, (to_regclass('pg_dist_shard') IS NOT NULL)::int4::text AS citus";
  return { text, values: [sessions], writes: false };
}

export function durabilityOf(row: Row, { sessions }: Names): DurabilitySetting[] {
  const setting = (name: string, weak: Readonly<Record<string, string>>): DurabilitySetting => {
    const value = String(row[name]);
    return { name, value, durabilityWarning: weak[value] ?? null };
  };
  const settings = [
    setting("synchronous_commit", {
      off: "a server crash can undo the most recent acknowledged commits",
      ...(Boolean(row["synchronous_standby_names"]) && {
        local: "commits do not wait for the synchronous standby, so a failover can undo acknowledged ones",
      }),
    }),
    setting("fsync", { off: "a power loss can destroy the database" }),
    setting("full_page_writes", { off: "a power loss can corrupt the database" }),
  ];
  if (row["persistence"] === "u") {
    settings.push({
      name: `the table ${sessions}`,
      value: "unlogged",
      durabilityWarning: "a server crash empties it",
    });
  }
  return settings;
}
