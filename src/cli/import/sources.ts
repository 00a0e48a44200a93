/** The address of the other database, for those who keep its password out of the list of processes. */
export const urlVariable = "STORED_SESSION_IMPORT_URL";

/** How another library keeps its sessions in a table. */
export interface Source {
  readonly name: string;
  /** Its table, unless `--from-table` names another. */
  readonly table: string;
  readonly databases: readonly ("sqlite" | "postgres" | "mysql" | "mariadb")[];
  /** Columns: the id, the session, and what tells its end. */
  readonly id: string;
  readonly data: string;
  readonly end: string;
  /** Whether a time without a zone is in UTC; otherwise it is in the zone of the connection, which wrote it. */
  readonly endInUtc?: boolean;
  /** Milliseconds of the end column, which was read as text or number; `lifetime` is added where it tells a start. */
  readonly endsAt: (value: unknown, lifetime: number) => number;
}

/** Seconds, milliseconds, ISO text, or text in UTC without a zone. */
export function moment(value: unknown): number {
  if (typeof value === "bigint") return moment(Number(value));
  if (typeof value === "number") return value < 1e11 ? value * 1_000 : value;
  if (value instanceof Date) return value.getTime();
  if (typeof value !== "string") return NaN;
  if (/^\d+(\.\d+)?$/.test(value)) return moment(Number(value));
  const iso = value.replace(" ", "T");
  return Date.parse(/(z|[+-]\d\d(:?\d\d)?)$/i.test(iso) ? iso : `${iso}Z`);
}

export const sources: readonly Source[] = [
  {
    name: "connect-pg-simple",
    table: "session",
    databases: ["postgres"],
    id: "sid",
    data: "sess",
    end: "expire",
    endsAt: moment,
  },
  {
    name: "express-mysql-session",
    table: "sessions",
    databases: ["mysql", "mariadb"],
    id: "session_id",
    data: "data",
    end: "expires",
    endsAt: moment,
  },
  {
    name: "better-sqlite3-session-store",
    table: "sessions",
    databases: ["sqlite"],
    id: "sid",
    data: "sess",
    end: "expire",
    endsAt: moment,
  },
  {
    name: "connect-session-knex",
    table: "sessions",
    databases: ["sqlite", "postgres", "mysql", "mariadb"],
    id: "sid",
    data: "sess",
    end: "expired",
    endsAt: moment,
  },
  {
    name: "activerecord-session_store",
    table: "sessions",
    databases: ["sqlite", "postgres", "mysql", "mariadb"],
    id: "session_id",
    data: "data",
    end: "updated_at",
    endInUtc: true,
    // It keeps no end: the application decides, as ours does from the last use on.
    endsAt: (value, lifetime) => moment(value) + lifetime,
  },
];

export function sourceNamed(name: string): Source {
  return sources.find((one) => one.name === name)!;
}
