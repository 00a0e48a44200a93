import type { DurabilitySetting } from "../durability.ts";
import type { Statement } from "../statement.ts";

type Row = Readonly<Record<string, unknown>>;

/** Queries MySQL or MariaDB for what {@link durabilityOf} reads. */
export const DURABILITY_QUERY: Statement = {
  text:
    "SELECT @@global.innodb_flush_log_at_trx_commit AS flush_log, @@global.innodb_doublewrite AS doublewrite, " +
    "@@global.log_bin AS log_bin, @@global.sync_binlog AS sync_binlog LIMIT 1",
  values: [],
  writes: false,
};

export function durabilityOf(row: Row): DurabilitySetting[] {
  const flush = String(row["flush_log"]);
  const doublewrite = String(row["doublewrite"]);
  const settings: DurabilitySetting[] = [
    {
      name: "innodb_flush_log_at_trx_commit",
      value: flush,
      // MariaDB's 3 also flushes when a commit is prepared, so it is no weaker than 1.
      durabilityWarning: /^[13]$/.test(flush)
        ? null
        : "a power loss can undo acknowledged commits of the last second",
    },
    {
      name: "innodb_doublewrite",
      value: doublewrite,
      durabilityWarning: /^(0|off)$/i.test(doublewrite) ? "a power loss can corrupt the database" : null,
    },
  ];
  // Recovery rolls back what the storage engine has prepared but the binary log does not contain.
  if (Number(row["log_bin"]) === 1) {
    const value = String(row["sync_binlog"]);
    const durabilityWarning = "a power loss can undo acknowledged commits, and replicas can diverge";
    settings.push({
      name: "sync_binlog",
      value,
      durabilityWarning: value === "1" ? null : durabilityWarning,
    });
  }
  return settings;
}
