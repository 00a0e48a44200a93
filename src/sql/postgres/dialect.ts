import { asBuffer, asBytes } from "../../shared/bytes.ts";
import { lanesOf, LEFT_OUT_ABOVE } from "../dialect.ts";
import { BUCKET, bucketOf } from "../../store/expiry-bucket.ts";
import { boundedOf, bytesIn, integerIn, integerOf, misread, textIn } from "../columns.ts";
import { namesIn, namesOf } from "../names.ts";
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
import type { Dialect, JournalEntry, Names, Statement } from "../dialect.ts";
import type { ServerDialect } from "../pooled-driver.ts";
import type { Lanes } from "../../store/lanes.ts";
import type { TableName } from "../table-shape.ts";

/** A whole row as one text, because node-postgres takes as long for a column as we for reading all nine out of it. */
const ROW =
  "concat_ws(' ', s.version, s.created_at, s.updated_at, s.absolute_expires_at, s.expires_at, encode(s.id, 'base64'), " +
  "encode(s.data, 'base64'), coalesce(encode(s.user_ref, 'base64'), '-'), coalesce(encode(s.client, 'base64'), '-')) AS row";

const DATA = "encode(s.data, 'base64')";
/** Nothing in base64 begins with "!". */
const SMALL_ROW = ROW.replace(
  DATA,
  `CASE WHEN octet_length(s.data) <= ${LEFT_OUT_ABOVE} THEN ${DATA} ELSE '!' || octet_length(s.data) END`,
);
const INFO = ROW.replace(
  DATA,
  `octet_length(s.data) || ':' || encode(substr(s.data, 1, ${HEAD_BYTES}), 'base64')`,
);

/** How long, in milliseconds, making an index waits for the table while all who write to it queue behind it. */
const LOCK_TIMEOUT = 3_000;

/**
 * The texts for one table. Everything is returned as text, which no setting of a pool changes. Bytes travel to the server in binary and come back as base64 text: node-postgres
 * decodes binary results as UTF-8, and base64 is shorter and cheaper to read than bytea's hex. A column `id` is turned
 * into bytes as the result arrives (postgres-database.ts).
 */
export class PostgresDialect implements ServerDialect {
  readonly name = "postgres";
  readonly batches = "statement";
  readonly tells = "returning";
  readonly idBytes = 32;
  readonly expiry: Dialect["expiry"] = { maxDelete: 1_000, maxScan: 5_000 };
  readonly lanes: Lanes;
  readonly journal: Dialect["journal"];
  #names: Names;
  #text: ReturnType<typeof texts>;

  constructor(options: { readonly table?: string; readonly lanes?: Partial<Lanes> } = {}) {
    this.#names = namesOf(options.table, quote, { schemas: true });
    this.lanes = lanesOf(options.lanes, 128);
    this.#text = texts(this.#names);
    this.journal = {
      create: () => write(this.#text.journalCreate),
      read: () => query(this.#text.journalRead),
      add: (entry: JournalEntry) =>
        write(this.#text.journalAdd, entry.version, entry.name, entry.checksum, entry.appliedAt),
    };
  }

  get names(): Names {
    return this.#names;
  }

  /** Names the tables with their schema from now on. */
  locatedIn(schema: string): true {
    this.#names = namesIn([schema], this.#names.sessions.slice(1, -1), quote);
    this.#text = texts(this.#names);
    return true;
  }

  read(ids: readonly Uint8Array[]): Statement {
    const [only] = ids;
    if (ids.length === 1 && only) return query(this.#text.readOne, asBuffer(only));
    return query(this.#text.readMany, bytesArray(ids));
  }

  readSmall(ids: readonly Uint8Array[]): Statement {
    return query(this.#text.readSmall, bytesArray(ids));
  }

  leftOut(row: Record<string, unknown>): { id: Uint8Array; bytes: number } | null {
    const text = textIn(row, "row");
    if (!text.includes("!")) return null;
    const columns = text.split(" ");
    return { id: bytesOf(columns[5]!), bytes: integerOf(columns[6]!.slice(1), "bytes") };
  }

  insert(rows: readonly SessionRow[]): readonly Statement[] {
    const [only] = rows;
    if (rows.length === 1 && only) return [write(this.#text.insertOne, ...rowValues(only))];
    return [
      write(
        this.#text.insertMany,
        bytesArray(rows.map((row) => row.id)),
        bytesArray(rows.map((row) => row.data)),
        integerArray(rows.map((row) => row.version)),
        bytesArray(rows.map((row) => row.userRef)),
        integerArray(rows.map((row) => row.createdAt)),
        integerArray(rows.map((row) => row.updatedAt)),
        integerArray(rows.map((row) => row.absoluteExpiresAt)),
        integerArray(rows.map((row) => row.expiresAt)),
        integerArray(rows.map((row) => bucketOf(row.expiresAt))),
        bytesArray(rows.map((row) => row.client)),
      ),
    ];
  }

  update(batch: readonly RowUpdate[]): readonly Statement[] {
    const updates = inLockOrder(batch, ({ next }) => next.id);
    const [only] = updates;
    if (updates.length === 1 && only) {
      const { loaded, next } = only;
      return [
        write(
          this.#text.updateOne,
          asBuffer(next.id),
          loaded.version,
          asBuffer(next.data),
          next.version,
          next.userRef && asBuffer(next.userRef),
          next.updatedAt,
          next.expiresAt,
          bucketOf(next.expiresAt),
          next.client && asBuffer(next.client),
        ),
      ];
    }
    const next = updates.map((update) => update.next);
    return [
      write(
        this.#text.updateMany,
        bytesArray(next.map((row) => row.id)),
        integerArray(updates.map((update) => update.loaded.version)),
        bytesArray(next.map((row) => row.data)),
        integerArray(next.map((row) => row.version)),
        bytesArray(next.map((row) => row.userRef)),
        integerArray(next.map((row) => row.updatedAt)),
        integerArray(next.map((row) => row.expiresAt)),
        integerArray(next.map((row) => bucketOf(row.expiresAt))),
        bytesArray(next.map((row) => row.client)),
      ),
    ];
  }

  replace(loaded: SessionRow, next: SessionRow): readonly Statement[] {
    return [write(this.#text.replace, ...rowValues(next), asBuffer(loaded.id), loaded.version)];
  }

  touch(batch: readonly RowTouch[]): Statement {
    const touches = inLockOrder(batch, ({ id }) => id);
    const [first] = touches;
    const distance = first ? first.expiresAt - first.updatedAt : 0;
    if (touches.every((touch) => touch.expiresAt - touch.updatedAt === distance)) {
      const updatedAt = touches.reduce((latest, touch) => Math.max(latest, touch.updatedAt), 0);
      return write(
        this.#text.touchAlike,
        bytesArray(touches.map((touch) => touch.id)),
        updatedAt,
        updatedAt + distance,
      );
    }
    return write(
      this.#text.touchEach,
      bytesArray(touches.map((touch) => touch.id)),
      integerArray(touches.map((touch) => touch.updatedAt)),
      integerArray(touches.map((touch) => touch.expiresAt)),
    );
  }

  delete(ids: readonly Uint8Array[]): readonly Statement[] {
    return [write(this.#text.delete, bytesArray(inLockOrder(ids, (id) => id)))];
  }

  listByUser(userRefs: readonly Uint8Array[], limit: number): Statement {
    return query(this.#text.listByUser, bytesArray(userRefs), limit);
  }

  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Statement {
    const only = filter.only ? asBuffer(filter.only) : null;
    return write(this.#text.deleteByUser, bytesArray(userRefs), only, bytesArray(filter.except ?? []));
  }

  findExpired(expire: ExpireQuery, scan: number): Statement {
    const due = [expire.before, expire.createdBefore ?? null, expire.updatedBefore ?? null] as const;
    if (!byIndex(expire)) {
      return query(this.#text.findExpiredById, ...due, asBuffer(expire.cursor?.id ?? new Uint8Array()), scan);
    }
    const place = placeOf(expire.cursor);
    return query(
      this.#text.findExpired,
      ...due,
      bucketOf(expire.before),
      place.bucket,
      place.createdAt,
      place.id,
      scan,
    );
  }

  expireCursor(row: Record<string, unknown>): ExpireCursor {
    const id = bytesIn(row, "id");
    if (row["expires_bucket"] === undefined) return { bucket: 0, id };
    // The index is in order of creation within a bucket, so the cursor's bytes begin with that time.
    const bytes = Buffer.alloc(8 + id.length);
    bytes.writeBigInt64BE(BigInt(integerIn(row, "created_at")));
    bytes.set(id, 8);
    return { bucket: integerIn(row, "expires_bucket"), id: bytes };
  }

  findFuture({ createdAfter, expiresAfter }: FutureQuery, limit: number): Statement {
    return query(this.#text.findFuture, bucketOf(expiresAfter), createdAfter, limit);
  }

  deleteExpired(ids: readonly Uint8Array[], expire: ExpireQuery): Statement {
    const due = [expire.before, expire.createdBefore ?? null, expire.updatedBefore ?? null] as const;
    return write(this.#text.deleteExpired, ...due, bytesArray(ids));
  }

  count(now: number): Statement {
    return query(this.#text.count, now);
  }

  scan(after: Uint8Array | null, limit: number): Statement {
    return query(this.#text.scan, asBuffer(after ?? new Uint8Array()), limit);
  }

  scanInfo(after: Uint8Array | null, limit: number): Statement {
    return query(this.#text.scanInfo, asBuffer(after ?? new Uint8Array()), limit);
  }

  lease(name: string, holder: string, until: number, now: number): readonly Statement[] {
    return [write(this.#text.lease, name, holder, until, now)];
  }

  columns(table: TableName): Statement {
    return query(this.#text.columns, this.names[table]);
  }

  indexes(): Statement {
    return query(this.#text.indexes, this.names.sessions);
  }

  impatience(): Statement {
    return query(this.#text.impatience, LOCK_TIMEOUT);
  }

  decode(row: Record<string, unknown>): SessionRow {
    const columns = columnsOf(row);
    return { ...metaOf(columns), data: bytesOf(columns[6]!) };
  }

  decodeInfo(row: Record<string, unknown>): RowInfo {
    const columns = columnsOf(row);
    const [bytes, head = ""] = columns[6]!.split(":");
    return { ...metaOf(columns), bytes: integerOf(bytes, "bytes"), head: bytesOf(head) };
  }
}

function columnsOf(row: Record<string, unknown>): string[] {
  const text = textIn(row, "row");
  const columns = text.split(" ");
  if (columns.length !== 9) throw misread("row", "nine values", text);
  return columns;
}

function metaOf(columns: readonly string[]): Omit<SessionRow, "data"> {
  const integer = (place: number, name: string): number => boundedOf(columns[place], name);
  return {
    id: bytesOf(columns[5]!),
    version: integer(0, "version"),
    userRef: columns[7] === "-" ? null : bytesOf(columns[7]!),
    createdAt: integer(1, "created_at"),
    updatedAt: integer(2, "updated_at"),
    absoluteExpiresAt: integer(3, "absolute_expires_at"),
    expiresAt: integer(4, "expires_at"),
    client: columns[8] === "-" ? null : bytesOf(columns[8]!),
  };
}

function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

function bytesOf(base64: string): Uint8Array {
  return asBytes(Buffer.from(base64, "base64"));
}

function texts(names: Names) {
  const table = names.sessions;
  const columns =
    "id, data, version, user_ref, created_at, updated_at, absolute_expires_at, expires_at, expires_bucket, client";
  // Neither `s.id = u.id` nor `s.id = ANY ($1)`: a hash join and a bitmap scan lock rows in the order of the heap,
  // and two such batches deadlock. An ANY of one element uses the primary key and prunes partitions as well, but
  // only a nested loop can run it, in the order of the sorted batch. The same goes for the version.
  const sameId = "s.id = ANY (ARRAY[u.id])";
  const due =
    "(s.expires_at <= $1::int8 OR coalesce(s.created_at < $2::int8, false) OR coalesce(s.updated_at < $3::int8, false))";
  // Not in the WHERE, where a condition on the row alone lets the planner read the table first and lock in its order.
  const unlessLater = (updatedAt: string, column: string, value: string): string =>
    `CASE WHEN s.updated_at > ${updatedAt} THEN s.${column} ELSE ${value} END`;
  const moved = (updatedAt: string, expiresAt: string): string =>
    `updated_at = GREATEST(${updatedAt}, s.updated_at), ` +
    `expires_at = ${unlessLater(updatedAt, "expires_at", `LEAST(${expiresAt}, s.absolute_expires_at)`)}, ` +
    `expires_bucket = ${unlessLater(updatedAt, "expires_bucket", `LEAST(${expiresAt}, s.absolute_expires_at) / ${BUCKET}`)}`;
  return {
    readOne: `SELECT ${ROW} FROM ${table} s WHERE s.id = $1`,
    readMany: `SELECT ${ROW} FROM unnest($1::bytea[]) AS u(id) JOIN ${table} s ON ${sameId}`,
    readSmall: `SELECT ${SMALL_ROW} FROM unnest($1::bytea[]) AS u(id) JOIN ${table} s ON ${sameId}`,
    insertOne: `INSERT INTO ${table} (${columns}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING`,
    insertMany:
      `INSERT INTO ${table} (${columns}) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[], $4::bytea[], $5::int8[], ` +
      `$6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::bytea[]) ON CONFLICT (id) DO NOTHING RETURNING encode(id, 'base64') AS id`,
    updateOne:
      `UPDATE ${table} SET data = $3, version = $4, user_ref = $5, updated_at = $6, expires_at = $7, expires_bucket = $8, ` +
      `client = $9 WHERE id = $1 AND version = $2`,
    updateMany:
      `UPDATE ${table} s SET data = u.data, version = u.version, user_ref = u.user_ref, updated_at = u.updated_at, ` +
      `expires_at = u.expires_at, expires_bucket = u.expires_bucket, client = u.client ` +
      `FROM unnest($1::bytea[], $2::int8[], $3::bytea[], $4::int8[], $5::bytea[], $6::int8[], $7::int8[], $8::int8[], $9::bytea[]) ` +
      `AS u(id, loaded, data, version, user_ref, updated_at, expires_at, expires_bucket, client) ` +
      `WHERE ${sameId} AND s.version = ANY (ARRAY[u.loaded]) RETURNING encode(s.id, 'base64') AS id`,
    // Both halves see the table as it was, so "the new id is free" is asked before anything is deleted. A row that
    // keeps its id was deleted before the insert looks for duplicates.
    replace:
      `WITH ended AS (DELETE FROM ${table} WHERE id = $11 AND version = $12 ` +
      `AND ($1::bytea = $11::bytea OR NOT EXISTS (SELECT 1 FROM ${table} WHERE id = $1)) RETURNING 1) ` +
      `INSERT INTO ${table} (${columns}) SELECT $1::bytea, $2::bytea, $3::int8, $4::bytea, $5::int8, $6::int8, $7::int8, $8::int8, ` +
      `$9::int4, $10::bytea FROM ended`,
    touchAlike: `UPDATE ${table} s SET ${moved("$2::int8", "$3::int8")} FROM unnest($1::bytea[]) AS u(id) WHERE ${sameId}`,
    touchEach:
      `UPDATE ${table} s SET ${moved("u.updated_at", "u.expires_at")} FROM unnest($1::bytea[], $2::int8[], $3::int8[]) ` +
      `AS u(id, updated_at, expires_at) WHERE ${sameId}`,
    delete: `DELETE FROM ${table} s USING unnest($1::bytea[]) AS u(id) WHERE ${sameId} RETURNING encode(s.id, 'base64') AS id`,
    // "IS NOT NULL" is what lets the planner use the partial index.
    listByUser:
      `SELECT ${INFO} FROM ${table} s WHERE s.user_ref IS NOT NULL AND s.user_ref = ANY ($1::bytea[]) ` +
      `ORDER BY s.created_at DESC, s.id LIMIT $2`,
    deleteByUser:
      `DELETE FROM ${table} WHERE user_ref IS NOT NULL AND user_ref = ANY ($1::bytea[]) ` +
      `AND ($2::bytea IS NULL OR id = $2::bytea) AND id <> ALL ($3::bytea[])`,
    findExpired:
      `SELECT encode(s.id, 'base64') AS id, s.expires_bucket::text, s.created_at::text, (${due})::int4::text AS due FROM ${table} s ` +
      `WHERE s.expires_bucket <= $4::int4 AND (s.expires_bucket, s.created_at, s.id) > ($5::int4, $6::int8, $7::bytea) ` +
      `ORDER BY s.expires_bucket, s.created_at, s.id LIMIT $8`,
    findExpiredById: `SELECT encode(s.id, 'base64') AS id, (${due})::int4::text AS due FROM ${table} s WHERE s.id > $4::bytea ORDER BY s.id LIMIT $5`,
    findFuture: `SELECT encode(s.id, 'base64') AS id FROM ${table} s WHERE s.expires_bucket > $1::int4 AND s.created_at > $2::int8 LIMIT $3`,
    deleteExpired: `DELETE FROM ${table} s WHERE s.id = ANY ($4::bytea[]) AND ${due}`,
    count: `SELECT count(*)::text AS count FROM ${table} WHERE expires_at > $1`,
    scan: `SELECT ${ROW} FROM ${table} s WHERE s.id > $1 ORDER BY s.id LIMIT $2`,
    scanInfo: `SELECT ${INFO} FROM ${table} s WHERE s.id > $1 ORDER BY s.id LIMIT $2`,
    lease:
      `INSERT INTO ${names.leases} AS l (name, holder, held_until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE ` +
      `SET holder = excluded.holder, held_until = excluded.held_until WHERE l.holder = excluded.holder OR l.held_until <= $4`,
    columns:
      "SELECT attname::text AS name FROM pg_catalog.pg_attribute " +
      "WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
    // Those that CREATE INDEX CONCURRENTLY still builds, or left behind when it failed, are not valid.
    indexes:
      "SELECT a.attname::text AS name, (i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL)::int4::text AS alone, " +
      "CASE WHEN i.indisvalid THEN NULL ELSE i.indexrelid::regclass::text END AS invalid FROM pg_catalog.pg_index i " +
      "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] " +
      "WHERE i.indrelid = to_regclass($1)",
    // A shorter one of the operator's stays.
    impatience:
      "SELECT set_config('lock_timeout', CASE WHEN setting::int8 BETWEEN 1 AND $1::int8 THEN setting ELSE $1::int8::text END, true) " +
      "FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'",
    journalCreate:
      `CREATE TABLE IF NOT EXISTS ${names.migrations} (version integer PRIMARY KEY, name text NOT NULL, ` +
      `checksum text NOT NULL, applied_at bigint NOT NULL)`,
    journalRead: `SELECT version::text, name, checksum, applied_at::text FROM ${names.migrations} m ORDER BY m.version`,
    journalAdd: `INSERT INTO ${names.migrations} (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)`,
  } as const;
}

/** Ascending by id, so that batches that share rows queue up for them instead of deadlocking. */
function inLockOrder<Item>(items: readonly Item[], idOf: (item: Item) => Uint8Array): readonly Item[] {
  const compare = (a: Item, b: Item): number => Buffer.compare(idOf(a), idOf(b));
  const sorted = items.every((item, index) => index === 0 || compare(items[index - 1] as Item, item) < 0);
  return sorted ? items : items.toSorted(compare);
}

function byIndex(expire: ExpireQuery): boolean {
  return expire.createdBefore === undefined && expire.updatedBefore === undefined;
}

function placeOf(cursor: ExpireCursor | null): { bucket: number; createdAt: string; id: Buffer } {
  if (!cursor || cursor.id.length < 8) return { bucket: -2_147_483_648, createdAt: "0", id: Buffer.alloc(0) };
  const bytes = asBuffer(cursor.id);
  return { bucket: cursor.bucket, createdAt: String(bytes.readBigInt64BE()), id: bytes.subarray(8) };
}

function rowValues(row: SessionRow): unknown[] {
  return [
    asBuffer(row.id),
    asBuffer(row.data),
    row.version,
    row.userRef && asBuffer(row.userRef),
    row.createdAt,
    row.updatedAt,
    row.absoluteExpiresAt,
    row.expiresAt,
    bucketOf(row.expiresAt),
    row.client && asBuffer(row.client),
  ];
}

function query(text: string, ...values: unknown[]): Statement {
  return { text, values, writes: false };
}

function write(text: string, ...values: unknown[]): Statement {
  return { text, values, writes: true };
}

// Arrays in PostgreSQL's binary form (array_send): one dimension, a flag for nulls, the element type, the length,
// a lower bound of 1, then each element after its length. node-postgres sends a Buffer as a binary parameter; its
// own text form of an array of bytes costs several times as much on both sides.
const BYTEA = 17;
const INT8 = 20;

function arrayHeader(array: Buffer, elementType: number, length: number, nulls: boolean): void {
  array.writeInt32BE(1, 0);
  array.writeInt32BE(nulls ? 1 : 0, 4);
  array.writeInt32BE(elementType, 8);
  array.writeInt32BE(length, 12);
  array.writeInt32BE(1, 16);
}

/** @internal */
export function bytesArray(elements: readonly (Uint8Array | null)[]): Buffer {
  const size = elements.reduce((sum, element) => sum + 4 + (element?.length ?? 0), 20);
  const array = Buffer.allocUnsafe(size);
  arrayHeader(array, BYTEA, elements.length, elements.includes(null));
  let offset = 20;
  for (const element of elements) {
    offset = array.writeInt32BE(element ? element.length : -1, offset);
    if (!element) continue;
    array.set(element, offset);
    offset += element.length;
  }
  return array;
}

/** @internal */
export function integerArray(elements: readonly number[]): Buffer {
  const array = Buffer.allocUnsafe(20 + 12 * elements.length);
  arrayHeader(array, INT8, elements.length, false);
  let offset = 20;
  for (const element of elements) {
    array.writeInt32BE(8, offset);
    array.writeInt32BE(Math.floor(element / 2 ** 32), offset + 4);
    array.writeUInt32BE(element >>> 0, offset + 8);
    offset += 12;
  }
  return array;
}
