import type { DurabilitySetting } from "../durability.ts";
import type { Names, Statement } from "../dialect.ts";

type Row = Readonly<Record<string, unknown>>;

/** Asks PostgreSQL for what {@link durabilityOf} reads. */
export function durabilityQuery({ sessions }: Names): Statement {
  const settings = ["synchronous_commit", "synchronous_standby_names", "fsync", "full_page_writes"];
  const text =
    `SELECT ${settings.map((name) => `current_setting('${name}', true) AS ${name}`).join(", ")}, ` +
    "(SELECT relpersistence::text FROM pg_catalog.pg_class WHERE oid = to_regclass($1)) AS persistence";
  return { text, values: [sessions], writes: false };
}

export function durabilityOf(row: Row, { sessions }: Names): DurabilitySetting[] {
  const setting = (name: string, weak: Readonly<Record<string, string>>): DurabilitySetting => {
    const value = String(row[name]);
    return { name, value, durabilityWarning: weak[value] ?? null };
  };
  const settings = [
    setting("synchronous_commit", {
      off: "a crash of the server can undo commits of the last moment that were acknowledged",
      ...(Boolean(row["synchronous_standby_names"]) && {
        local: "commits do not wait for the synchronous standby, and a failover can undo acknowledged ones",
      }),
    }),
    setting("fsync", { off: "a loss of power can destroy the database" }),
    setting("full_page_writes", { off: "a loss of power can damage the database" }),
  ];
  if (row["persistence"] === "u") {
    settings.push({
      name: `the table ${sessions}`,
      value: "unlogged",
      durabilityWarning: "a crash of the server empties it",
    });
  }
  return settings;
}
