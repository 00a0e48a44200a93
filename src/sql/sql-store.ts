/**
 * Longer than 300 lines: one short method for each method of the store contract, over the same guard and lifecycle.
 */
import { bytesIn, integerIn } from "./columns.ts";
import { SqlAudit, type Guard } from "./audit-store.ts";
import { SqlLinks } from "./link-store.ts";
import { LinkTexts } from "./link-texts.ts";
import { ClosedError, StoreError } from "../errors.ts";
import { migrateDatabase } from "./migrations/migrator.ts";
import type { Database, Dialect, Result, Statement } from "./dialect.ts";
import { KnownRows } from "./known-rows.ts";
import { confirmed } from "./reachable.ts";
import { readBatch, type Send } from "./read-batch.ts";
import type {
  ExpireQuery,
  ExpireResult,
  FutureQuery,
  RowInfo,
  RowTouch,
  RowUpdate,
  SessionRow,
} from "../store/row.ts";
import { expireStep } from "./expire-step.ts";
import { onceEach } from "../store/unique.ts";
import { takeOver } from "./import.ts";
import { affectedRows } from "./affected-rows.ts";
import { deleteOnShards } from "./delete-on-shards.ts";
import { updateAtOnce } from "./update-at-once.ts";
import { loginAtOnce } from "./limited-login.ts";
import { changeOf, type AuditStore, type ChangeResult } from "../store/audit.ts";
import type { LimitedLogin } from "../store/session-limit.ts";
import type { LinkStore } from "../store/links.ts";
import type { HeldLease, Lanes, RowCount, SessionStore, TakenOver } from "../store/contract.ts";

export interface SqlStoreOptions {
  /** Whether to migrate before the first operation, for files that the store itself creates. Default false. */
  readonly migrateAtFirstUse?: boolean;
}

/**
 * Implements the store contract for any SQL database: the logic is here, statement texts and flags are in the dialect.
 */
export class SqlStore implements SessionStore {
  readonly lanes: Lanes;
  /** For the migrator and the command line. */
  readonly database: Database;
  readonly audit?: AuditStore;
  readonly links: LinkStore;
  readonly #links: LinkTexts;
  readonly #dialect: Dialect;
  /** Whether recent updates conflicted: the next ones may too. */
  #hasRivals = false;
  /** Until the server refuses a statement that leaves out the data of known rows. */
  #asksForChanges = true;
  #unmigrated: boolean;
  #migrating: Promise<void> | null = null;
  #underWay = 0;
  /** Of the most patient manager; 0 when there is none. */
  #timeout = 0;
  #closing: Promise<void> | null = null;
  #idle: (() => void) | null = null;

  constructor(database: Database, options: SqlStoreOptions = {}) {
    this.database = database;
    this.lanes = database.dialect.lanes;
    this.#dialect = database.dialect;
    this.#unmigrated = options.migrateAtFirstUse ?? false;
    const guard: Guard = (work) => this.#guard(work);
    this.#links = new LinkTexts(this.#dialect.portable, () => this.#dialect.names);
    this.links = new SqlLinks(database, this.#links, guard);
    if (database.interactive) this.audit = new SqlAudit(database, this.#links, guard);
  }

  giveUpAfter(milliseconds: number): void {
    this.#timeout = Math.max(this.#timeout, milliseconds);
    this.database.giveUpAfter?.(milliseconds);
  }

  waitedForLocks(): number {
    return this.database.waitedForLocks?.() ?? 0;
  }

  shardOf(id: Uint8Array): number | null {
    return this.#dialect.shardOf?.(id) ?? null;
  }

  read(ids: readonly Uint8Array[], known?: readonly (SessionRow | null)[]): Promise<(SessionRow | null)[]> {
    if (this.#dialect.assertReachable === undefined) return this.#guard(() => this.#read(ids, known));
    return this.#guard(async () => {
      const read = () => this.#read(ids, known);
      const rows = await read();
      const missing = ids.filter((id, index) => rows[index] === null && this.#isId(id));
      return await confirmed(this.database, missing, false, rows, read);
    });
  }

  insert(rows: readonly SessionRow[]): Promise<boolean[]> {
    return this.#guard(async () => {
      for (const { id } of rows) this.#assertId(id);
      const results = await this.#send(rows, (some) => this.#dialect.insert(some), this.#links.add(rows));
      return this.#written(results, rows, this.#dialect.affectedRowsBy === "versions");
    });
  }

  update(updates: readonly RowUpdate[]): Promise<boolean[]> {
    return this.#guard(async () => {
      const asked = updates.filter(({ loaded }) => this.#isId(loaded.id));
      const links = this.#links.add(asked.map(({ next }) => next));
      const { updateAtOnce: hasOne, refusesAtOnce = false } = this.#dialect;
      const atOnce = asked.length > 1 && !this.#hasRivals && hasOne !== undefined && !refusesAtOnce;
      const isOne = atOnce && links.length === 0;
      const applied =
        (isOne && (await updateAtOnce(this.database, asked))) || (await this.#update(asked, links));
      this.#hasRivals = applied.includes(false);
      if (asked.length === updates.length) return applied;
      return updates.map((update) => applied[asked.indexOf(update)] ?? false);
    });
  }

  replace(loaded: SessionRow, next: SessionRow): Promise<boolean> {
    return this.#guard(async () => {
      this.#assertId(next.id);
      if (!this.#isId(loaded.id)) return false;
      try {
        return await this.#replace(loaded, next);
      } catch (error) {
        if (this.#dialect.isTaken?.(error)) return false;
        if (!this.#dialect.adaptsTo?.(error)) throw error;
        return await this.#replace(loaded, next);
      }
    });
  }

  async login(login: LimitedLogin): Promise<ChangeResult> {
    if (this.audit === undefined) {
      return await this.#guard(async () => {
        this.#assertId(login.next.id);
        const { loaded, next } = login;
        const links = loaded === null ? this.#links.add([next]) : this.#links.move(loaded, next);
        return await loginAtOnce(this.database, login, links);
      });
    }
    const [result] = await this.audit.commit([changeOf(login)], () => []);
    return result!;
  }

  touch(touches: readonly RowTouch[]): Promise<void> {
    return this.#guard(async () => {
      const asked = touches.filter(({ id }) => this.#isId(id));
      await this.#send(asked, (some) => [this.#dialect.touch(some)]);
    });
  }

  delete(ids: readonly Uint8Array[]): Promise<boolean[]> {
    return this.#guard(async () => {
      const applied = await this.#delete(ids);
      const missing = ids.filter((id, index) => !applied[index] && this.#isId(id));
      const again = async () => {
        const later = await this.#delete(missing);
        return ids.map((id, index) => applied[index]! || (later[missing.indexOf(id)] ?? false));
      };
      return await confirmed(this.database, missing, applied.includes(true), applied, again);
    });
  }

  async #delete(ids: readonly Uint8Array[]): Promise<boolean[]> {
    const asked = ids.filter((id) => this.#isId(id));
    const results = await this.#send(asked, (some) => this.#dialect.delete(some));
    const rows = asked.map((id) => ({ id }));
    const applied = this.#written(results, rows, false);
    if (asked.length === ids.length) return applied;
    return ids.map((id) => applied[asked.indexOf(id)] ?? false);
  }

  listByUser(userRefs: readonly Uint8Array[], limit: number): Promise<RowInfo[]> {
    return this.#guard(async () => {
      if (userRefs.length === 0) return [];
      const { rows } = await this.database.run(this.#dialect.listByUser(userRefs, limit));
      return rows.map((row) => this.#dialect.decodeInfo(row));
    });
  }

  deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] } = {},
  ): Promise<number> {
    return this.#guard(async () => {
      const { only, except = [] } = filter;
      if (userRefs.length === 0 || (only !== undefined && !this.#isId(only))) return 0;
      const kept = except.filter((id) => this.#isId(id));
      const perShard = only === undefined ? (this.#dialect.deleteByUserPerShard?.(userRefs, kept) ?? []) : [];
      if (perShard.length > 0) return await deleteOnShards(this.database.run, perShard, this.#timeout);
      const statement = this.#dialect.deleteByUser(userRefs, { ...(only && { only }), except: kept });
      const send = async () => (await this.database.run(statement)).changes;
      const changes = await send();
      const missing = changes === 0 && only !== undefined ? [only] : [];
      return await confirmed(this.database, missing, false, changes, send);
    });
  }

  deleteExpired(query: ExpireQuery): Promise<ExpireResult> {
    return this.#guard(() => expireStep(this.database, query));
  }

  deleteFuture(query: FutureQuery): Promise<number> {
    return this.#guard(async () => {
      const limit = Math.min(query.limit, this.#dialect.expiry.maxDelete);
      const { rows } = await this.database.run(this.#dialect.findFuture(query, limit));
      const due = rows.map((row) => ({ id: bytesIn(row, "id") }));
      const results = await this.#send(due, (some) => this.#dialect.delete(some.map(({ id }) => id)));
      return this.#written(results, due, false).filter(Boolean).length;
    });
  }

  census(now: number): Promise<RowCount[]> {
    const { names } = this.#dialect;
    const key = this.#dialect.hex("substr(data, 3, 4)");
    const live = `SUM(CASE WHEN expires_at > ${Math.floor(now)} THEN 1 ELSE 0 END)`;
    const text = `SELECT ${key} AS sealed_under, ${live} AS live, COUNT(*) AS count FROM ${names.sessions} GROUP BY sealed_under`;
    return this.#guard(async () => {
      // No index holds these, so it reads the whole table, as does `count`.
      const { rows } = await this.database.run({ text, values: [], writes: false, long: true });
      return rows.map(({ sealed_under: under, live: alive, count }) => ({
        key: String(under).toLowerCase(),
        live: Number(alive),
        ended: Number(count) - Number(alive),
      }));
    });
  }

  durabilityWarnings(): Promise<readonly string[]> {
    return this.#guard(async () => (await this.database.durabilityWarnings?.()) ?? []);
  }

  count(now: number): Promise<number> {
    return this.#guard(async () => {
      const { rows } = await this.database.run({ ...this.#dialect.count(now), long: true });
      return integerIn(rows[0] ?? {}, "count");
    });
  }

  scan(after: Uint8Array | null, limit: number): Promise<SessionRow[]> {
    return this.#guard(async () => {
      const { rows } = await this.database.run(this.#dialect.scan(after, limit));
      return rows.map((row) => this.#dialect.decode(row));
    });
  }

  scanInfo(after: Uint8Array | null, limit: number): Promise<RowInfo[]> {
    return this.#guard(async () => {
      const { rows } = await this.database.run(this.#dialect.scanInfo(after, limit));
      return rows.map((row) => this.#dialect.decodeInfo(row));
    });
  }

  lease(name: string, holder: string, until: number, now: number): Promise<boolean> {
    return this.#guard(async () => {
      const statements = this.#dialect.lease(name, holder, until, now);
      const [only] = statements;
      const results =
        only && statements.length === 1
          ? [await this.database.run(only)]
          : await this.database.transaction(statements);
      const last = results?.at(-1);
      return last !== undefined && Math.max(last.changes, last.rows.length) > 0;
    });
  }

  leases(): Promise<HeldLease[]> {
    return this.#guard(async () => {
      const text = `SELECT name, holder, held_until FROM ${this.#dialect.names.leases} ORDER BY name`;
      const { rows } = await this.database.run({ text, values: [], writes: false });
      return rows.map((row) => ({
        name: String(row["name"]),
        holder: String(row["holder"]),
        until: integerIn(row, "held_until"),
      }));
    });
  }

  takeOver(rows: readonly SessionRow[], options: { readonly dryRun?: boolean } = {}): Promise<TakenOver[]> {
    return this.#guard(async () => {
      for (const { id } of rows) this.#assertId(id);
      const store = {
        database: this.database,
        insert: (some: readonly SessionRow[]) =>
          this.#statements(some, (batch) => this.#dialect.insert(batch)),
        inserted: (results: readonly Result[], some: readonly SessionRow[]) =>
          this.#written(results, some, this.#dialect.affectedRowsBy === "versions"),
        read: (ids: readonly Uint8Array[]) => this.#read(ids),
      };
      return await onceEach(rows, (distinct) => takeOver(store, distinct, options.dryRun ?? false));
    });
  }

  migrate(): Promise<void> {
    return this.#enter(() => this.#migrateOnce());
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.database.closing?.();
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.database.close();
  }

  async #replace(loaded: SessionRow, next: SessionRow): Promise<boolean> {
    const links = this.#links.move(loaded, next);
    const replace = this.#dialect.replace(loaded, next);
    const [only] = replace;
    if (only && replace.length === 1 && links.length === 0)
      return (await this.database.run(only)).changes > 0;
    const statements = [...replace.map((statement) => ({ ...statement, atLeast: 1 })), ...links];
    return (await this.database.transaction(statements)) !== null;
  }

  async #update(updates: readonly RowUpdate[], links: readonly Statement[]): Promise<boolean[]> {
    const results = await this.#send(updates, (some) => this.#dialect.update(some), links);
    const next = updates.map((update) => update.next);
    return this.#written(results, next, this.#dialect.affectedRowsBy === "versions");
  }

  async #read(
    ids: readonly Uint8Array[],
    known?: readonly (SessionRow | null)[],
  ): Promise<(SessionRow | null)[]> {
    if (!ids.every((id) => this.#isId(id))) return await this.#readAmong(ids, known);
    if (ids.length === 0) return [];
    const asked = this.#asksForChanges && this.#dialect.comparesData !== false ? KnownRows.of(known) : null;
    if (ids.length === 1 && asked === null) {
      const row = (await this.database.run(this.#dialect.read(ids))).rows[0];
      return [row ? this.#dialect.decode(row, known?.[0]) : null];
    }
    const send: Send = (some, statementOf) => this.#send(some, (batch) => [statementOf(batch)]);
    try {
      return await readBatch(this.#dialect, ids, send, { rows: known, asked });
    } catch (error) {
      if (asked === null || (error as StoreError).code !== StoreError.code) throw error;
      const rows = await readBatch(this.#dialect, ids, send, { rows: known, asked: null });
      this.#asksForChanges = false; // a server without the hash function
      return rows;
    }
  }

  /** Malformed ids are misses. */
  async #readAmong(
    ids: readonly Uint8Array[],
    known?: readonly (SessionRow | null)[],
  ): Promise<(SessionRow | null)[]> {
    const places = [...ids.keys()].filter((place) => this.#isId(ids[place]));
    const rows = await this.#read(
      places.map((place) => ids[place]!),
      known && places.map((place) => known[place] ?? null),
    );
    const answer: (SessionRow | null)[] = ids.map(() => null);
    for (const [nth, place] of places.entries()) answer[place] = rows[nth]!;
    return answer;
  }

  /**
   * Sends a batch as the dialect requires and returns the results; one result if it was one statement.
   * @param links sent in the same transaction
   */
  async #send<Item>(
    items: readonly Item[],
    statementsOf: (items: readonly Item[]) => readonly Statement[],
    links: readonly Statement[] = [],
  ): Promise<readonly Result[]> {
    if (items.length === 0) return [];
    const statements = this.#statements(items, statementsOf);
    const [only] = statements;
    if (only && statements.length === 1 && links.length === 0) return [await this.database.run(only)];
    const results = await this.database.transaction([...statements, ...links]);
    return results?.slice(0, statements.length) ?? [];
  }

  #statements<Item>(
    items: readonly Item[],
    statementsOf: (items: readonly Item[]) => readonly Statement[],
  ): readonly Statement[] {
    return this.#dialect.batches === "statement" || items.length === 1
      ? statementsOf(items)
      : items.flatMap((item) => statementsOf([item]));
  }

  #written(
    results: readonly Result[],
    rows: readonly { readonly id: Uint8Array; readonly version?: number }[],
    byVersion: boolean,
  ): boolean[] {
    return affectedRows(this.#dialect.batches, results, rows, byVersion);
  }

  #isId(id: unknown): id is Uint8Array {
    return id instanceof Uint8Array && id.length === this.#dialect.idBytes;
  }

  #assertId(id: Uint8Array): void {
    if (!this.#isId(id)) throw new TypeError(`A row id must be ${this.#dialect.idBytes} bytes.`);
  }

  #guard<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#unmigrated) return this.#enter(work);
    return this.#enter(async () => {
      await this.#migrateOnce();
      return await work();
    });
  }

  /** Counts running operations, so that `close` can wait for them. */
  async #enter<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing) throw new ClosedError("The store is closed.");
    this.#underWay++;
    try {
      const locating = this.database.locate?.();
      if (locating) await locating;
      return await work();
    } finally {
      if (--this.#underWay === 0) this.#idle?.();
    }
  }

  /** Concurrent callers share a migration. A failure is not cached. */
  #migrateOnce(): Promise<void> {
    this.#migrating ??= this.#migrate();
    return this.#migrating;
  }

  async #migrate(): Promise<void> {
    try {
      await migrateDatabase(this.database);
      this.#unmigrated = false;
    } finally {
      this.#migrating = null;
    }
  }
}
