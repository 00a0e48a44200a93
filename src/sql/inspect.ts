import { ASK_MYSQL, askPostgres, durabilityOfMysql, durabilityOfPostgres } from "./durability.ts";
import type { Database, Names, Statement } from "./dialect.ts";
import type { DurabilitySetting } from "./durability.ts";

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
  /** What the pool's or handle's owner has set that would change results, a phrase each. The store is immune to it. */
  readonly ownersSettings: readonly string[];
}

type Row = Readonly<Record<string, unknown>>;

/** Asks for version, clock and settings. Changes nothing. */
export async function inspectDatabase(database: Database): Promise<Inspection> {
  await database.locate?.();
  const ownersSettings = (await database.ownersSettings?.()) ?? [];
  return { ...(await inspected(database)), ownersSettings };
}

type Inspected = Omit<Inspection, "ownersSettings">;

async function inspected(database: Database): Promise<Inspected> {
  const ask: Ask = async (asked) => {
    const statement = typeof asked === "string" ? { text: asked, values: [], writes: false } : asked;
    return (await database.run(statement)).rows[0] ?? {};
  };
  switch (database.dialect.name) {
    case "sqlite":
      return inspectSqlite(ask);
    case "postgres":
      return inspectPostgres(ask, database.dialect.names);
    default:
      return inspectMysql(ask);
  }
}

type Ask = (asked: string | Statement) => Promise<Row>;

async function inspectSqlite(ask: Ask): Promise<Inspected> {
  const first = async (text: string) => String(Object.values(await ask(text))[0]);
  const level = Number(await first("PRAGMA synchronous"));
  const journal = (await first("PRAGMA journal_mode")).toUpperCase();
  const file = (await ask("PRAGMA database_list"))["file"];
  const durability: DurabilitySetting[] = [
    {
      name: "synchronous",
      value: ["OFF", "NORMAL", "FULL", "EXTRA"][level] ?? String(level),
      durabilityWarning: level < 2 ? "a loss of power can undo commits that were acknowledged" : null,
    },
    {
      name: "journal_mode",
      value: journal,
      durabilityWarning: /^(OFF|MEMORY)$/.test(journal) ? "a crash while writing can destroy the file" : null,
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

async function inspectPostgres(ask: Ask, names: Names): Promise<Inspected> {
  const row = await ask(
    `SELECT current_setting('server_version') AS version, (extract(epoch FROM clock_timestamp()) * 1000)::int8::text AS clock, pg_is_in_recovery()::text AS standby, current_setting('transaction_read_only') AS read_only`,
  );
  return {
    server: `PostgreSQL ${String(row["version"]).split(" ")[0]!}`,
    clock: Number(row["clock"]),
    readOnly: row["standby"] === "true" || row["read_only"] === "on",
    durability: durabilityOfPostgres(await ask(askPostgres(names)), names),
    largestStatement: null,
  };
}

async function inspectMysql(ask: Ask): Promise<Inspected> {
  const row = await ask(
    `SELECT version() AS version, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS DOUBLE) AS clock, @@global.read_only AS read_only, @@session.max_allowed_packet AS packet LIMIT 1`,
  );
  const version = String(row["version"]);
  return {
    server: /mariadb/i.test(version) ? `MariaDB ${version.split("-")[0]!}` : `MySQL ${version}`,
    clock: Number(row["clock"]),
    readOnly: Number(row["read_only"]) === 1,
    durability: durabilityOfMysql(await ask(ASK_MYSQL)),
    largestStatement: Number(row["packet"]),
  };
}
