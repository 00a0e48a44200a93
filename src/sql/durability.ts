import type { Names, Statement } from "./dialect.ts";

/** A setting on which "acknowledged is kept" rests (R33). */
export interface DurabilitySetting {
  readonly name: string;
  readonly value: string;
  /** What can be lost with this value, to be read after "so"; null when nothing can. */
  readonly durabilityWarning: string | null;
}

type Row = Readonly<Record<string, unknown>>;

/** "fsync is off, so a loss of power can destroy the database." for each setting that is too weak. */
export function durabilityWarningsIn(settings: readonly DurabilitySetting[]): string[] {
  return settings
    .filter(({ durabilityWarning }) => durabilityWarning !== null)
    .map(({ name, value, durabilityWarning }) => `${name} is ${value}, so ${durabilityWarning}.`);
}

/** Asks PostgreSQL for what {@link durabilityOfPostgres} reads. */
export function askPostgres({ sessions }: Names): Statement {
  const settings = ["synchronous_commit", "synchronous_standby_names", "fsync", "full_page_writes"];
  const text =
    `SELECT ${settings.map((name) => `current_setting('${name}', true) AS ${name}`).join(", ")}, ` +
    "(SELECT relpersistence::text FROM pg_catalog.pg_class WHERE oid = to_regclass($1)) AS persistence";
  return { text, values: [sessions], writes: false };
}

export function durabilityOfPostgres(row: Row, { sessions }: Names): DurabilitySetting[] {
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

/** Asks MySQL or MariaDB for what {@link durabilityOfMysql} reads. */
export const ASK_MYSQL: Statement = {
  text:
    "SELECT @@global.innodb_flush_log_at_trx_commit AS flush_log, @@global.innodb_doublewrite AS doublewrite, " +
    "@@global.log_bin AS log_bin, @@global.sync_binlog AS sync_binlog LIMIT 1",
  values: [],
  writes: false,
};

export function durabilityOfMysql(row: Row): DurabilitySetting[] {
  const flush = String(row["flush_log"]);
  const doublewrite = String(row["doublewrite"]);
  const settings: DurabilitySetting[] = [
    {
      name: "innodb_flush_log_at_trx_commit",
      value: flush,
      // MariaDB's 3 flushes at the preparation of a commit as well, and so no less than 1.
      durabilityWarning: /^[13]$/.test(flush)
        ? null
        : "a loss of power can undo commits of the last second that were acknowledged",
    },
    {
      name: "innodb_doublewrite",
      value: doublewrite,
      durabilityWarning: /^(0|off)$/i.test(doublewrite) ? "a loss of power can damage the database" : null,
    },
  ];
  // Recovery rolls back what the storage engine had prepared and the binary log has not.
  if (Number(row["log_bin"]) === 1) {
    const value = String(row["sync_binlog"]);
    const durabilityWarning =
      "a loss of power can undo commits that were acknowledged, and leave replicas apart";
    settings.push({
      name: "sync_binlog",
      value,
      durabilityWarning: value === "1" ? null : durabilityWarning,
    });
  }
  return settings;
}
