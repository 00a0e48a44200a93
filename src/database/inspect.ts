import type { Database } from "./dialect.ts";

/** A setting on which "acknowledged is kept" rests (R33). */
export interface DurabilitySetting {
  readonly name: string;
  readonly value: string;
  /** What can be lost with this value; null when nothing can. */
  readonly weakness: string | null;
}

/** What a database tells about itself. */
export interface Inspection {
  /** "PostgreSQL 15.8". */
  readonly server: string;
  /** Its clock in milliseconds since the epoch; null where it runs in this process. */
  readonly clock: number | null;
  readonly readOnly: boolean;
  readonly durability: readonly DurabilitySetting[];
  /** Bytes that one statement may have; null where there is no such limit. */
  readonly largestStatement: number | null;
}

type Row = Readonly<Record<string, unknown>>;

/** Asks for version, clock and settings. Changes nothing. */
export async function inspectDatabase(database: Database): Promise<Inspection> {
  const ask = async (text: string): Promise<Row> =>
    (await database.run({ text, values: [], writes: false })).rows[0] ?? {};
  switch (database.dialect.name) {
    case "sqlite":
      return inspectSqlite(ask);
    case "postgres":
      return inspectPostgres(ask);
    default:
      return inspectMysql(ask);
  }
}

type Ask = (text: string) => Promise<Row>;

async function inspectSqlite(ask: Ask): Promise<Inspection> {
  const first = async (text: string) => String(Object.values(await ask(text))[0]);
  const level = Number(await first("PRAGMA synchronous"));
  const journal = (await first("PRAGMA journal_mode")).toUpperCase();
  const file = (await ask("PRAGMA database_list"))["file"];
  const durability: DurabilitySetting[] = [
    {
      name: "synchronous",
      value: ["OFF", "NORMAL", "FULL", "EXTRA"][level] ?? String(level),
      weakness: level < 2 ? "a loss of power can undo commits that were acknowledged" : null,
    },
    {
      name: "journal_mode",
      value: journal,
      weakness: /^(OFF|MEMORY)$/.test(journal) ? "a crash while writing can destroy the file" : null,
    },
  ];
  return {
    server: `SQLite ${await first("SELECT sqlite_version()")}`,
    clock: null,
    readOnly: (await first("PRAGMA query_only")) === "1",
    durability: file ? durability : [],
    largestStatement: null,
  };
}

async function inspectPostgres(ask: Ask): Promise<Inspection> {
  const row = await ask(
    `SELECT current_setting('server_version') AS version, (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS clock, pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS read_only, current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes`,
  );
  const off = (name: string, weakness: string): DurabilitySetting => {
    const value = String(row[name]);
    return { name, value, weakness: value === "off" ? weakness : null };
  };
  return {
    server: `PostgreSQL ${String(row["version"]).split(" ")[0]!}`,
    clock: Number(row["clock"]),
    readOnly: row["standby"] === true || row["read_only"] === "on",
    durability: [
      off(
        "synchronous_commit",
        "a crash of the server can undo commits of the last moment that were acknowledged",
      ),
      off("fsync", "a loss of power can destroy the database"),
      off("full_page_writes", "a loss of power can damage the database"),
    ],
    largestStatement: null,
  };
}

async function inspectMysql(ask: Ask): Promise<Inspection> {
  const row = await ask(
    `SELECT version() AS version, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS DOUBLE) AS clock, @@global.read_only AS read_only, @@global.innodb_flush_log_at_trx_commit AS flush_log, @@global.log_bin AS log_bin, @@global.sync_binlog AS sync_binlog, @@global.innodb_doublewrite AS doublewrite, @@session.max_allowed_packet AS packet`,
  );
  const flush = String(row["flush_log"]);
  const doublewrite = String(row["doublewrite"]);
  const durability: DurabilitySetting[] = [
    {
      name: "innodb_flush_log_at_trx_commit",
      value: flush,
      weakness:
        flush === "1" || flush === "3"
          ? null
          : "a loss of power can undo commits of the last second that were acknowledged",
    },
    {
      name: "innodb_doublewrite",
      value: doublewrite,
      weakness: /^(0|off)$/i.test(doublewrite) ? "a loss of power can damage the database" : null,
    },
  ];
  if (Number(row["log_bin"]) === 1) {
    const value = String(row["sync_binlog"]);
    const weakness =
      value === "1"
        ? null
        : "a loss of power can undo commits that were acknowledged, and leave replicas apart";
    durability.push({ name: "sync_binlog", value, weakness });
  }
  const version = String(row["version"]);
  return {
    server: /mariadb/i.test(version) ? `MariaDB ${version.split("-")[0]!}` : `MySQL ${version}`,
    clock: Number(row["clock"]),
    readOnly: Number(row["read_only"]) === 1,
    durability,
    largestStatement: Number(row["packet"]),
  };
}
