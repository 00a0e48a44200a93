/**
 * Longer than 300 lines: one short method for each member of `Dialect`. Independent parts are in the other files of this folder.
 */
/** MySQL and MariaDB: statement texts. */
import { StoreError } from "../../errors.ts";
import { asBuffer } from "../../shared/bytes.ts";
import { bytesIn, integerIn, isUnchanged, SAME, rowIn, rowInfoIn } from "../columns.ts";
import { isLockWait, isTransientError, isUnsupported } from "./errors.ts";
import { TRAITS, type EngineTraits, type MysqlEngine } from "./engine.ts";
import { lanesOf, LEFT_OUT_ABOVE } from "../dialect.ts";
import { namesIn, namesOf } from "../names.ts";
import { query, write } from "../statement.ts";
import { deleteExpired, findExpired, findFuture } from "./expiry.ts";
import { importLedger } from "./import-ledger.ts";
import { digestOf, WORTH_ASKING, type KnownId } from "../known-rows.ts";
import { importSource } from "./import-source.ts";
import { inspect } from "./inspect.ts";
import { journalOf } from "./journal.ts";
import { ALL, BEFORE_ALL, inList, limitOf, padList } from "./lists.ts";
import { mysqlPortable } from "./portable.ts";
import { railsTable } from "./rails-table.ts";
import { COLUMNS, insertRows, touchRows, updateRows, updateRowsAtOnce } from "./writes.ts";
import type { ImportLedger } from "../import-ledger.ts";
import type { Ask, Inspected } from "../inspection.ts";
import { HEAD_BYTES } from "../../store/row.ts";
import type {
  ExpireCursor,
  ExpireQuery,
  FutureQuery,
  RowInfo,
  RowTouch,
  RowUpdate,
  SessionRow,
} from "../../store/row.ts";
import type { Dialect, Names, Statement } from "../dialect.ts";
import type { ServerDialect } from "../pooled-driver.ts";
import type { Lanes } from "../../store/lanes.ts";
import type { INDEXED, TableName } from "../table-shape.ts";

const META = COLUMNS.replace("data, ", "");
const INFO = `${META}, LENGTH(data) AS bytes, SUBSTRING(data, 1, ${HEAD_BYTES}) AS head`;

export interface MysqlDialectOptions {
  readonly table?: string;
  readonly lanes?: Partial<Lanes>;
  readonly engine?: MysqlEngine | undefined;
  readonly shardOf?: ((id: Uint8Array) => number) | undefined;
}

/**
 * The statement texts for one table. Lists are padded to a power of two, because mysql2 caches a prepared statement per
 * text: seven texts instead of sixty-four.
 *
 * Until the server's version is known, only statements that both servers accept are used. MariaDB then uses RETURNING
 * for inserts and deletes; its updates report versions, like MySQL's.
 */
export class MysqlDialect implements ServerDialect {
  readonly batches = "statement";
  readonly affectedRowsBy = "versions";
  readonly idBytes = 32;
  readonly expiry: Dialect["expiry"] = { maxDelete: 1_000, maxScan: 5_000 };
  readonly lanes: Lanes;
  readonly journal: Dialect["journal"];
  readonly importSource: Dialect["importSource"] = importSource;
  readonly railsTable: Dialect["railsTable"] = railsTable;
  readonly portable: Dialect["portable"] = mysqlPortable;
  #names: Names;
  #engine: MysqlEngine;
  readonly #isGiven: boolean;
  readonly #shardOf: ((id: Uint8Array) => number) | undefined;
  #refusesAtOnce = false;

  constructor(options: MysqlDialectOptions = {}) {
    this.#engine = options.engine ?? "mysql";
    this.#isGiven = options.engine !== undefined;
    this.#shardOf = options.shardOf;
    this.#names = namesOf(options.table, quote, { schemas: true });
    this.lanes = lanesOf(options.lanes, 64, options.shardOf !== undefined);
    this.journal = journalOf(() => this.#names);
  }

  get names(): Names {
    return this.#names;
  }

  /** From now on, qualifies table names with their database. */
  locatedIn(schema: string): boolean {
    // Names with a dot or a backtick are not qualified, because other code splits them there.
    if (/[.`]/.test(schema)) return false;
    this.#names = namesIn([schema], this.#names.sessions.slice(1, -1), quote);
    return true;
  }

  get name(): "mysql" | "mariadb" {
    return this.#engine === "mariadb" ? "mariadb" : "mysql";
  }

  get traits(): EngineTraits {
    return TRAITS[this.#engine];
  }

  get refusesAtOnce(): boolean {
    return this.#refusesAtOnce || !this.traits.subqueries;
  }

  /** Detected from each connection, unless the application names it. */
  isEngine(engine: MysqlEngine): void {
    if (!this.#isGiven) this.#engine = engine;
  }

  shardOf(id: Uint8Array): number | null {
    return this.#shardOf?.(id) ?? null;
  }

  read(ids: readonly Uint8Array[]): Statement {
    const padded = padList(ids);
    return query(
      `SELECT ${COLUMNS} FROM ${this.names.sessions} WHERE ${inList("id", padded)} LIMIT ${padded.length}`,
      ...padded.map(asBuffer),
    );
  }

  readSmall(ids: readonly Uint8Array[]): Statement {
    const padded = padList(ids);
    return query(
      `SELECT ${META}, LENGTH(data) AS bytes, IF(LENGTH(data) <= ${LEFT_OUT_ABOVE}, data, NULL) AS data FROM ${this.names.sessions} WHERE ${inList("id", padded)} LIMIT ${padded.length}`,
      ...padded.map(asBuffer),
    );
  }

  readChanged(ids: readonly KnownId[]): Statement {
    const padded = padList(ids.map(({ id }) => id));
    const digests = padList(ids.flatMap(({ known }) => (known === null ? [] : [digestOf(known)])));
    const marks = digests.map(() => "?").join(", ");
    const same = `LENGTH(data) > ${WORTH_ASKING} AND UNHEX(SHA2(CONCAT(id, data), 256)) IN (${marks})`;
    return query(
      `SELECT ${META}, LENGTH(data) AS bytes, CASE WHEN ${same} THEN ${SAME} WHEN LENGTH(data) <= ${LEFT_OUT_ABOVE} THEN data END AS data FROM ${this.names.sessions} WHERE ${inList("id", padded)} LIMIT ${padded.length}`,
      ...digests,
      ...padded.map(asBuffer),
    );
  }

  isUnchanged(row: Record<string, unknown>): boolean {
    return isUnchanged(row);
  }

  leftOut(row: Record<string, unknown>): { id: Uint8Array; bytes: number } | null {
    return row["data"] === null ? { id: bytesIn(row, "id"), bytes: integerIn(row, "bytes") } : null;
  }

  insert(rows: readonly SessionRow[]): readonly Statement[] {
    return insertRows(this.names.sessions, rows, this.name === "mariadb");
  }

  update(updates: readonly RowUpdate[]): readonly Statement[] {
    return updateRows(this.names.sessions, updates);
  }

  updateAtOnce(updates: readonly RowUpdate[]): { write: Statement; look: Statement } {
    return updateRowsAtOnce(this.names.sessions, updates);
  }

  isRefusal(error: unknown): boolean {
    // Also if the server has no such statement. A statement that timed out waiting for a lock is not retried at once.
    const isPlain = error instanceof StoreError && error.code === StoreError.code && error.outcome === "none";
    if (!isPlain || isTransientError(error.cause) || isLockWait(error.cause)) return false;
    // Not sent again to a server that takes no such statement, or every batch would be refused first.
    this.#refusesAtOnce ||= isUnsupported(error.cause);
    return true;
  }

  replace(loaded: SessionRow, next: SessionRow): readonly Statement[] {
    const ended = write(
      `DELETE FROM ${this.names.sessions} WHERE id = ? AND version = ?`,
      asBuffer(loaded.id),
      loaded.version,
    );
    return [
      { ...ended, atLeast: 1 },
      { ...(this.insert([next])[0] as Statement), atLeast: 1 },
    ];
  }

  touch(touches: readonly RowTouch[]): Statement {
    return touchRows(this.names.sessions, touches);
  }

  delete(ids: readonly Uint8Array[]): readonly Statement[] {
    const { sessions } = this.names;
    const padded = padList(ids);
    const values = padded.map(asBuffer);
    const text = `DELETE FROM ${sessions} WHERE ${inList("id", padded)}`;
    if (ids.length === 1) return [write(text, ...values)];
    if (this.name === "mariadb") return [write(`${text} RETURNING id`, ...values)];
    return [
      query(
        `SELECT id FROM ${sessions} WHERE ${inList("id", padded)} ORDER BY id LIMIT ${padded.length} FOR UPDATE`,
        ...values,
      ),
      write(text, ...values),
    ];
  }

  listByUser(userRefs: readonly Uint8Array[], limit: number): Statement {
    const padded = padList(userRefs);
    return query(
      `SELECT ${INFO} FROM ${this.names.sessions} WHERE ${inList("user_ref", padded)} ORDER BY created_at DESC, id LIMIT ?`,
      ...padded.map(asBuffer),
      limitOf(limit),
    );
  }

  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Statement {
    const users = padList(userRefs);
    const except = padList(filter.except ?? []);
    return write(
      `DELETE FROM ${this.names.sessions} WHERE ${inList("user_ref", users)}` +
        (filter.only ? " AND id = ?" : "") +
        (except.length > 0 ? ` AND NOT (${inList("id", except)})` : ""),
      ...users.map(asBuffer),
      ...(filter.only ? [asBuffer(filter.only)] : []),
      ...except.map(asBuffer),
    );
  }

  findExpired(expire: ExpireQuery, scan: number): Statement {
    return findExpired(this.names.sessions, expire, scan);
  }

  expireCursor(row: Record<string, unknown>): ExpireCursor {
    return { bucket: integerIn(row, "bucket"), id: bytesIn(row, "id") };
  }

  findFuture(future: FutureQuery, limit: number): Statement {
    return findFuture(this.names.sessions, future, limit);
  }

  deleteExpired(ids: readonly Uint8Array[], expire: ExpireQuery): Statement {
    return deleteExpired(this.names.sessions, ids, expire);
  }

  count(now: number): Statement {
    return query(`SELECT COUNT(*) AS count FROM ${this.names.sessions} WHERE expires_at > ? ${ALL}`, now);
  }

  scan(after: Uint8Array | null, limit: number): Statement {
    return query(
      `SELECT ${COLUMNS} FROM ${this.names.sessions} WHERE id > ? ORDER BY id LIMIT ?`,
      asBuffer(after ?? BEFORE_ALL),
      limitOf(limit),
    );
  }

  scanInfo(after: Uint8Array | null, limit: number): Statement {
    return query(
      `SELECT ${INFO} FROM ${this.names.sessions} WHERE id > ? ORDER BY id LIMIT ?`,
      asBuffer(after ?? new Uint8Array()),
      limitOf(limit),
    );
  }

  lease(name: string, holder: string, until: number, now: number): readonly Statement[] {
    const { leases } = this.names;
    // In one statement, which locks an existing row at once: an INSERT and an UPDATE after it would first share the lock,
    // and rivals would deadlock. The condition holds for the second assignment whether it sees the old holder or, as MySQL
    // assigns from left to right unless sql_mode says otherwise, the new one.
    const isFree = "holder = VALUES(holder) OR held_until <= CAST(? AS SIGNED)";
    return [
      write(
        `INSERT INTO ${leases} (name, holder, held_until) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE ` +
          `holder = IF(${isFree}, VALUES(holder), holder), held_until = IF(${isFree}, VALUES(held_until), held_until)`,
        name,
        holder,
        until,
        now,
        now,
      ),
      // Not by the changed rows: without the flag FOUND_ROWS, a pool does not count a row that already
      // has these values.
      query(
        `SELECT 1 AS held FROM ${leases} WHERE name = ? AND holder = ? AND held_until = ? LIMIT 1`,
        name,
        holder,
        until,
      ),
    ];
  }

  lockLogin(name: string): Statement {
    return write(
      `INSERT INTO ${this.names.leases} (name, holder, held_until) VALUES (?, 'login', 0) ON DUPLICATE KEY UPDATE held_until = held_until + 1`,
      name,
    );
  }

  get readsBehindLocks(): boolean {
    return this.traits.readsBehindLocks;
  }

  columns(table: TableName): Statement {
    const { where, parts } = this.#inSchema(table);
    return query(
      `SELECT column_name AS name FROM information_schema.columns WHERE ${where} ${ALL}`,
      ...parts,
    );
  }

  indexes(): Statement {
    const { where, parts } = this.#inSchema("sessions");
    return query(
      `SELECT MAX(CASE seq_in_index WHEN 1 THEN column_name END) AS name, MAX(non_unique) = 0 AND COUNT(*) = 1 AS alone FROM information_schema.statistics WHERE ${where} GROUP BY index_name ${ALL}`,
      ...parts,
    );
  }

  addIndex(column: (typeof INDEXED)[number]): Statement {
    const { sessions, userIndex, expiryIndex } = this.names;
    const index = column === "user_ref" ? userIndex : expiryIndex;
    return write(`CREATE INDEX ${index} ON ${sessions} (${column})`);
  }

  decode(row: Record<string, unknown>): SessionRow {
    return rowIn(row);
  }

  decodeInfo(row: Record<string, unknown>): RowInfo {
    return rowInfoIn(row);
  }

  #inSchema(table: TableName): { where: string; parts: readonly string[] } {
    const parts = this.names[table].split(".").map((part) => part.slice(1, -1));
    const schema = parts.length > 1 ? "?" : "DATABASE()";
    return { where: `table_schema = ${schema} AND table_name = ?`, parts };
  }

  importLedger(): ImportLedger {
    return importLedger(this.names.imports);
  }

  hex(expression: string): string {
    return `HEX(${expression})`;
  }

  inspect(ask: Ask): Promise<Inspected> {
    return inspect(ask);
  }
}

function quote(identifier: string): string {
  return `\`${identifier}\``;
}
