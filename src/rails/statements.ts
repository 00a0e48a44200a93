/** Every statement on the gem's table. What differs between databases is a flag here. */
import { asBuffer } from "../shared/bytes.ts";
import type { Dialect, Statement } from "../sql/dialect.ts";
import { timeText } from "./times.ts";

interface Flavour {
  /** Placeholders are `$1`, `$2`, … instead of `?`. */
  readonly numbered: boolean;
  /** Equality under which NULL equals NULL. */
  readonly is: string;
  /** A time given as text. */
  readonly time: string;
  /** A time read as text in UTC. */
  readonly timeText: (column: string) => string;
  readonly bytes: string;
  readonly bytesText: (column: string) => string;
  /** What an insert does with an id that is taken: leaves it, or fails with an error that {@link isTaken} knows. */
  readonly whenTaken: string;
  /** Column types that hold UTC times whatever the connection's time zone is; undefined for any. */
  readonly timeTypes?: RegExp;
  readonly columns: string;
  /** Answers a row for each unique index over `sid` alone. */
  readonly sidIndexes: string;
  readonly create: (table: string, index: (column: string) => string) => readonly string[];
}

const indexes = (table: string, index: (column: string) => string, when: string): readonly string[] => [
  `CREATE UNIQUE INDEX ${when}${index("sid")} ON ${table} (sid)`,
  `CREATE INDEX ${when}${index("created_at")} ON ${table} (created_at)`,
  `CREATE INDEX ${when}${index("updated_at")} ON ${table} (updated_at)`,
];

const mysql: Flavour = {
  numbered: false,
  is: "<=>",
  time: "CAST(? AS DATETIME(6))",
  timeText: (column) => `DATE_FORMAT(${column}, '%Y-%m-%d %H:%i:%s.%f')`,
  bytes: "?",
  bytesText: (column) => column,
  // Not IGNORE, which would cut what does not fit as well.
  whenTaken: "",
  timeTypes: /^datetime/i,
  columns: `SELECT column_name AS name, column_type AS type FROM information_schema.columns WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? LIMIT 1000`,
  sidIndexes: `SELECT index_name AS name FROM information_schema.statistics WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND non_unique = 0 GROUP BY index_name HAVING COUNT(*) = 1 AND MAX(column_name) = 'sid' AND MAX(sub_part) IS NULL LIMIT 1`,
  create: (table, index) => [
    `CREATE TABLE IF NOT EXISTS ${table} (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, created_at datetime(6) NOT NULL, updated_at datetime(6) NOT NULL, sid varchar(255) NOT NULL, data longblob, ` +
      `UNIQUE INDEX ${index("sid")} (sid), INDEX ${index("created_at")} (created_at), INDEX ${index("updated_at")} (updated_at)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`,
  ],
};

const flavours: Readonly<Record<Dialect["name"], Flavour>> = {
  sqlite: {
    numbered: false,
    is: "IS",
    time: "?",
    timeText: (column) => column,
    bytes: "?",
    bytesText: (column) => column,
    whenTaken: " ON CONFLICT (sid) DO NOTHING",
    columns: "SELECT name, type FROM pragma_table_info(?)",
    sidIndexes: `SELECT l.name FROM pragma_index_list(?) l WHERE l."unique" = 1 AND l.partial = 0 AND (SELECT group_concat(i.name) FROM pragma_index_info(l.name) i) = 'sid'`,
    create: (table, index) => [
      `CREATE TABLE IF NOT EXISTS ${table} (id integer PRIMARY KEY AUTOINCREMENT NOT NULL, created_at datetime(6) NOT NULL, updated_at datetime(6) NOT NULL, sid varchar NOT NULL, data blob(536870912))`,
      ...indexes(table, index, "IF NOT EXISTS "),
    ],
  },
  postgres: {
    numbered: true,
    is: "IS NOT DISTINCT FROM",
    time: "?::timestamp",
    timeText: (column) => `to_char(${column}, 'YYYY-MM-DD HH24:MI:SS.US')`,
    bytes: "?::bytea",
    bytesText: (column) => `encode(${column}, 'base64')`,
    whenTaken: " ON CONFLICT (sid) DO NOTHING",
    timeTypes: /^timestamp(\(\d\))? without time zone$/,
    columns:
      "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped",
    sidIndexes:
      "SELECT x.indexrelid::text AS name FROM pg_catalog.pg_index x JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0] " +
      "WHERE x.indrelid = to_regclass(?) AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indnkeyatts = 1 AND a.attname = 'sid'",
    create: (table, index) => [
      `CREATE TABLE IF NOT EXISTS ${table} (id bigserial PRIMARY KEY, created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL, sid character varying NOT NULL, data bytea)`,
      ...indexes(table, index, "IF NOT EXISTS "),
    ],
  },
  mysql,
  mariadb: mysql,
};

/** A row of the gem's table on its way there: an empty `data` is SQL NULL. */
export interface RailsWrite {
  readonly sid: string;
  readonly data: Uint8Array;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** The texts for one table, named as in a statement (validated and quoted). */
export class RailsStatements {
  readonly #table: string;
  readonly #flavour: Flavour;
  readonly #columns: string;

  constructor(table: string, database: Dialect["name"]) {
    this.#table = table;
    this.#flavour = flavours[database];
    const { timeText: text, bytesText } = this.#flavour;
    this.#columns = `sid, ${bytesText("data")} AS data, ${text("created_at")} AS created_at, ${text("updated_at")} AS updated_at`;
  }

  read(sids: readonly string[]): Statement {
    const padded = padded2(sids);
    return this.#query(
      `SELECT ${this.#columns} FROM ${this.#table} WHERE sid IN (${marks(padded)}) LIMIT ${padded.length}`,
      ...padded,
    );
  }

  insert({ sid, data, createdAt, updatedAt }: RailsWrite): Statement {
    const { time, bytes, whenTaken } = this.#flavour;
    return this.#write(
      `INSERT INTO ${this.#table} (sid, data, created_at, updated_at) VALUES (?, ${bytes}, ${time}, ${time})${whenTaken}`,
      sid,
      orNull(data),
      timeText(createdAt),
      timeText(updatedAt),
    );
  }

  /** Where `data` is still what was loaded, byte for byte: every write of either side draws a new iv. */
  update(loaded: { readonly sid: string; readonly data: Uint8Array }, next: RailsWrite): Statement {
    const { time, bytes, is } = this.#flavour;
    return this.#write(
      `UPDATE ${this.#table} SET data = ${bytes}, updated_at = ${time} WHERE sid = ? AND data ${is} ${bytes}`,
      orNull(next.data),
      timeText(next.updatedAt),
      loaded.sid,
      orNull(loaded.data),
    );
  }

  deleteLoaded({ sid, data }: { readonly sid: string; readonly data: Uint8Array }): Statement {
    const { bytes, is } = this.#flavour;
    return this.#write(`DELETE FROM ${this.#table} WHERE sid = ? AND data ${is} ${bytes}`, sid, orNull(data));
  }

  /** Never backwards: Rails' clock may be ahead of ours. */
  touch(sids: readonly string[], updatedAt: number): Statement {
    const padded = padded2(sids);
    const { time } = this.#flavour;
    return this.#write(
      `UPDATE ${this.#table} SET updated_at = ${time} WHERE sid IN (${marks(padded)}) AND updated_at < ${time}`,
      timeText(updatedAt),
      ...padded,
      timeText(updatedAt),
    );
  }

  delete(sid: string): Statement {
    return this.#write(`DELETE FROM ${this.#table} WHERE sid = ?`, sid);
  }

  /** The oldest rows by one of the two times, which have an index each. */
  findBefore(column: "created_at" | "updated_at", before: number, limit: number): Statement {
    return this.#query(
      `SELECT sid FROM ${this.#table} WHERE ${column} < ${this.#flavour.time} ORDER BY ${column} LIMIT ${integer(limit)}`,
      timeText(before),
    );
  }

  /** Rows that were created later than this. */
  findCreatedAfter(after: number, limit: number): Statement {
    return this.#query(
      `SELECT sid FROM ${this.#table} WHERE created_at > ${this.#flavour.time} ORDER BY created_at DESC LIMIT ${integer(limit)}`,
      timeText(after),
    );
  }

  deleteBefore(column: "created_at" | "updated_at", before: number, sids: readonly string[]): Statement {
    const padded = padded2(sids.toSorted());
    return this.#write(
      `DELETE FROM ${this.#table} WHERE sid IN (${marks(padded)}) AND ${column} < ${this.#flavour.time}`,
      ...padded,
      timeText(before),
    );
  }

  count(): Statement {
    return this.#query(`SELECT COUNT(*) AS count FROM ${this.#table} LIMIT 1`);
  }

  /** In the order of the column's collation, which is that of the bytes for the ids that stores of Rails make. */
  scan(after: string, limit: number): Statement {
    return this.#query(
      `SELECT ${this.#columns} FROM ${this.#table} WHERE sid > ? ORDER BY sid LIMIT ${integer(limit)}`,
      after,
    );
  }

  /** Columns of the table, with `name` and `type`; none when there is no such table. */
  columns(): Statement {
    return this.#query(this.#flavour.columns, ...this.#tableName());
  }

  sidIndexes(): Statement {
    return this.#query(this.#flavour.sidIndexes, ...this.#tableName());
  }

  get timeTypes(): RegExp | undefined {
    return this.#flavour.timeTypes;
  }

  /** The table as the gem's own migration makes it. */
  create(): readonly Statement[] {
    const parts = this.#table.split(".");
    const quote = this.#table.charAt(0);
    const bare = parts.at(-1)?.slice(1, -1) ?? "";
    const index = (column: string): string => `${quote}index_${bare}_on_${column}${quote}`;
    return this.#flavour.create(this.#table, index).map((text) => ({ text, values: [], writes: true }));
  }

  /** The table's name as the database's catalog is asked for it. */
  #tableName(): (string | null)[] {
    if (this.#flavour.numbered) return [this.#table];
    const parts = this.#table.split(".").map((part) => part.slice(1, -1));
    return this.#flavour === mysql ? [parts.at(-2) ?? null, parts.at(-1) ?? ""] : [parts.at(-1) ?? ""];
  }

  #query(text: string, ...values: unknown[]): Statement {
    return { text: this.#placed(text), values, writes: false };
  }

  #write(text: string, ...values: unknown[]): Statement {
    return { text: this.#placed(text), values, writes: true };
  }

  #placed(text: string): string {
    let place = 0;
    return this.#flavour.numbered ? text.replaceAll("?", () => `$${++place}`) : text;
  }
}

/** Whether an insert failed because its id is taken: error 1062 of MySQL, where that is not part of the statement. */
export function isTaken(error: unknown): boolean {
  return ((error as Error | null)?.cause as { errno?: unknown } | undefined)?.errno === 1062;
}

function orNull(data: Uint8Array): Buffer | null {
  return data.length === 0 ? null : asBuffer(data);
}

/** Repeats the last up to a power of two, so that few texts are prepared. */
function padded2(sids: readonly string[]): readonly string[] {
  const padded = [...sids];
  while (padded.length & (padded.length - 1)) padded.push(sids.at(-1) ?? "");
  return padded;
}

function marks(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
}

/** Drivers disagree on how a bound limit travels; this one is never text from outside. */
function integer(limit: number): string {
  return String(Math.max(1, Math.floor(limit)));
}
