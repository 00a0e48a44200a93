/**
 * Longer than 300 lines: one short method for each member of `Dialect`. Independent parts are in the other files of this folder.
 */
import { asBuffer } from "../../shared/bytes.ts";
import { lanesOf } from "../dialect.ts";
import { bucketOf } from "../../store/expiry-bucket.ts";
import { bytesIn, integerIn } from "../columns.ts";
import { namesIn, namesOf } from "../names.ts";
import { query, write } from "../statement.ts";
import { digestOf, type KnownId } from "../known-rows.ts";
import { importLedger } from "./import-ledger.ts";
import { importSource } from "./import-source.ts";
import { inspect } from "./inspect.ts";
import { postgresPortable } from "./portable.ts";
import { railsTable } from "./rails-table.ts";
import { decode, decodeInfo, isUnchanged, leftOut, rowValues } from "./rows.ts";
import { texts } from "./texts.ts";
import { TRAITS, type EngineTraits, type PostgresEngine } from "./engine.ts";
import { codeOf } from "./errors.ts";
import { insertValues } from "./insert-values.ts";
import { partitionsIn, partitionsQuery, type Shards } from "./shards.ts";
import { BytesList, IntegerList } from "../values.ts";
import type { ImportLedger } from "../import-ledger.ts";
import type { Ask, Inspected } from "../inspection.ts";
import type {
  ExpireCursor,
  ExpireQuery,
  FutureQuery,
  RowInfo,
  RowTouch,
  RowUpdate,
  SessionRow,
} from "../../store/row.ts";
import type { Dialect, JournalEntry, Names, Run, ShardStatement, Statement } from "../dialect.ts";
import type { ServerDialect } from "../pooled-driver.ts";
import type { Lanes } from "../../store/lanes.ts";
import type { TableName } from "../table-shape.ts";

export interface PostgresDialectOptions {
  readonly table?: string;
  readonly lanes?: Partial<Lanes>;
  readonly engine?: PostgresEngine | undefined;
  readonly shardOf?: ((id: Uint8Array) => number) | undefined;
}

/** Milliseconds that creating an index waits for the table lock while all writers queue behind it. */
const LOCK_TIMEOUT = 3_000;

/**
 * The statement texts for one table. All columns are returned as text, which no pool setting changes. Bytes are sent in
 * binary and returned as base64 text: node-postgres decodes binary results as UTF-8, and base64 is shorter and faster
 * to read than bytea's hexadecimal. A column `id` is decoded to bytes when the result arrives (driver.ts).
 */
export class PostgresDialect implements ServerDialect {
  readonly name = "postgres";
  readonly batches = "statement";
  readonly affectedRowsBy = "returning";
  readonly idBytes = 32;
  readonly expiry: Dialect["expiry"] = { maxDelete: 1_000, maxScan: 5_000 };
  readonly lanes: Lanes;
  readonly journal: Dialect["journal"];
  readonly importSource: Dialect["importSource"] = importSource;
  readonly railsTable: Dialect["railsTable"] = railsTable;
  readonly portable: Dialect["portable"] = postgresPortable;
  #names: Names;
  #text: ReturnType<typeof texts>;
  #engine: PostgresEngine;
  #traits: EngineTraits;
  readonly #givenShardOf: ((id: Uint8Array) => number) | undefined;
  #shards: Shards | null = null;
  #modifiesTwice = true;

  constructor(options: PostgresDialectOptions = {}) {
    this.#engine = options.engine ?? "postgres";
    this.#traits = TRAITS[this.#engine];
    this.#modifiesTwice = this.#traits.modifiesTwice;
    this.#givenShardOf = options.shardOf;
    this.#names = namesOf(options.table, quote, { schemas: true });
    const isSharded = this.#traits.prunes || options.shardOf !== undefined;
    this.lanes = lanesOf(options.lanes, 128, isSharded);
    this.#text = texts(this.#names, this.#traits);
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

  get engine(): PostgresEngine {
    return this.#engine;
  }

  get comparesData(): boolean {
    return this.#traits.hashesToBytes;
  }

  get locksManyShards(): boolean {
    return this.#traits.locksManyShards;
  }

  get traits(): EngineTraits {
    return this.#traits;
  }

  /** From now on, qualifies table names with their schema. */
  locatedIn(schema: string): true {
    this.#names = namesIn([schema], this.#names.sessions.slice(1, -1), quote);
    this.#text = texts(this.#names, this.#traits);
    return true;
  }

  /** Detected from the server, unless the application names it. */
  isEngine(engine: PostgresEngine): void {
    if (engine === this.#engine) return;
    this.#engine = engine;
    this.#traits = TRAITS[engine];
    this.#modifiesTwice &&= this.#traits.modifiesTwice;
    this.#text = texts(this.#names, this.#traits);
  }

  get knowsShards(): boolean {
    return this.#shards !== null;
  }

  /** Where the server places rows, as the server reports it. */
  hasShards(shards: Shards): void {
    this.#shards = shards;
  }

  shardOf(id: Uint8Array): number | null {
    return this.#givenShardOf?.(id) ?? this.#shards?.shardOf(id) ?? null;
  }

  deleteByUserPerShard(
    userRefs: readonly Uint8Array[],
    except: readonly Uint8Array[],
  ): readonly ShardStatement[] {
    return this.#shards?.deleteByUser(this.#names.sessions, userRefs, except) ?? [];
  }

  get assertReachable(): Dialect["assertReachable"] {
    return this.#engine === "partitions" ? (ids, run) => this.#assertAttached(ids, run) : undefined;
  }

  async #assertAttached(ids: readonly Uint8Array[], run: Run): Promise<void> {
    const shards = partitionsIn((await run(partitionsQuery(this.#names))).rows);
    if (shards === null) return;
    this.#shards = shards;
    for (const id of ids) shards.assertAttached(id);
  }

  ddl(text: string): string | null {
    return this.#traits.ddl(text);
  }

  read(ids: readonly Uint8Array[]): Statement {
    const [only] = ids;
    if (ids.length === 1 && only) return query(this.#text.readOne, asBuffer(only));
    return query(this.#text.readMany, new BytesList(ids));
  }

  readSmall(ids: readonly Uint8Array[]): Statement {
    return query(this.#text.readSmall, new BytesList(ids));
  }

  readChanged(ids: readonly KnownId[]): Statement {
    return query(
      this.#text.readChanged,
      new BytesList(ids.map(({ id }) => id)),
      new BytesList(ids.map(({ known }) => known && digestOf(known))),
    );
  }

  isUnchanged(row: Record<string, unknown>): boolean {
    return isUnchanged(row);
  }

  leftOut(row: Record<string, unknown>): { id: Uint8Array; bytes: number } | null {
    return leftOut(row);
  }

  insert(rows: readonly SessionRow[]): readonly Statement[] {
    const [only] = rows;
    if (rows.length === 1 && only) return [write(this.#text.insertOne, ...rowValues(only))];
    // What is selected from arrays is gathered at the coordinator of a distributed table first.
    if (this.#traits.prunes) return [insertValues(this.#text.insertOne, rows)];
    return [
      write(
        this.#text.insertMany,
        new BytesList(rows.map((row) => row.id)),
        new BytesList(rows.map((row) => row.data)),
        new IntegerList(rows.map((row) => row.version)),
        new BytesList(rows.map((row) => row.userRef)),
        new IntegerList(rows.map((row) => row.createdAt)),
        new IntegerList(rows.map((row) => row.updatedAt)),
        new IntegerList(rows.map((row) => row.absoluteExpiresAt)),
        new IntegerList(rows.map((row) => row.expiresAt)),
        new IntegerList(rows.map((row) => bucketOf(row.expiresAt))),
        new BytesList(rows.map((row) => row.client)),
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
        new BytesList(next.map((row) => row.id)),
        new IntegerList(updates.map((update) => update.loaded.version)),
        new BytesList(next.map((row) => row.data)),
        new IntegerList(next.map((row) => row.version)),
        new BytesList(next.map((row) => row.userRef)),
        new IntegerList(next.map((row) => row.updatedAt)),
        new IntegerList(next.map((row) => row.expiresAt)),
        new IntegerList(next.map((row) => bucketOf(row.expiresAt))),
        new BytesList(next.map((row) => row.client)),
      ),
    ];
  }

  replace(loaded: SessionRow, next: SessionRow): readonly Statement[] {
    if (this.#modifiesTwice)
      return [write(this.#text.replace, ...rowValues(next), asBuffer(loaded.id), loaded.version)];
    return [
      { ...write(this.#text.endOne, asBuffer(loaded.id), loaded.version), atLeast: 1 },
      { ...write(this.#text.insertOne, ...rowValues(next)), atLeast: 1 },
    ];
  }

  /** The new id of a `replace` is taken. */
  isTaken(error: unknown): boolean {
    return codeOf((error as Error | null)?.cause) === "23505";
  }

  /** A server that says so of the first `replace` is not asked again (0A000: feature not supported). */
  adaptsTo(error: unknown): boolean {
    if (!this.#modifiesTwice || codeOf((error as Error | null)?.cause) !== "0A000") return false;
    this.#modifiesTwice = false;
    return true;
  }

  touch(batch: readonly RowTouch[]): Statement {
    const touches = inLockOrder(batch, ({ id }) => id);
    const [first] = touches;
    const distance = first ? first.expiresAt - first.updatedAt : 0;
    if (touches.every((touch) => touch.expiresAt - touch.updatedAt === distance)) {
      const updatedAt = touches.reduce((latest, touch) => Math.max(latest, touch.updatedAt), 0);
      return write(
        this.#text.touchAlike,
        new BytesList(touches.map((touch) => touch.id)),
        updatedAt,
        updatedAt + distance,
      );
    }
    return write(
      this.#text.touchEach,
      new BytesList(touches.map((touch) => touch.id)),
      new IntegerList(touches.map((touch) => touch.updatedAt)),
      new IntegerList(touches.map((touch) => touch.expiresAt)),
    );
  }

  delete(ids: readonly Uint8Array[]): readonly Statement[] {
    return [write(this.#text.delete, new BytesList(inLockOrder(ids, (id) => id)))];
  }

  listByUser(userRefs: readonly Uint8Array[], limit: number): Statement {
    return query(this.#text.listByUser, new BytesList(userRefs), limit);
  }

  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] },
  ): Statement {
    const only = filter.only ? asBuffer(filter.only) : null;
    return write(this.#text.deleteByUser, new BytesList(userRefs), only, new BytesList(filter.except ?? []));
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
    // Within a bucket the index is ordered by creation time, so the cursor's bytes start with that time.
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
    return write(this.#text.deleteExpired, ...due, new BytesList(ids));
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

  lockLogin(name: string): Statement {
    return write(this.#text.lockLogin, name);
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

  decode(row: Record<string, unknown>, known?: SessionRow | null): SessionRow {
    return decode(row, known);
  }

  decodeInfo(row: Record<string, unknown>): RowInfo {
    return decodeInfo(row);
  }

  importLedger(): ImportLedger {
    return importLedger(this.names.imports);
  }

  hex(expression: string): string {
    return `encode(${expression}, 'hex')`;
  }

  inspect(ask: Ask): Promise<Inspected> {
    return inspect(ask, this.names);
  }
}

function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** Ordered by id, so that batches that share rows queue up instead of deadlocking. */
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
