/**
 * Longer than 300 lines: one short method for each method of the audit store, over the same guard. The texts are in `audit-texts.ts`.
 */
import { keyOf } from "../shared/bytes.ts";
import { affectedRows } from "./affected-rows.ts";
import { AuditTexts } from "./audit-texts.ts";
import { byShard } from "./by-shard.ts";
import { bytesIn, flagIn } from "./columns.ts";
import { scanOf } from "./expire-step.ts";
import { locksOf, loginSteps, together, untilDone } from "./limited-login.ts";
import { fractionOfExpiry } from "../store/progress.ts";
import {
  CHAIN_BYTES,
  isDue,
  loginIn,
  positionOf,
  type AuditCheckpoint,
  type AuditQuery,
  type AuditRow,
  type AuditStore,
  type AuditSubject,
  type ChangeResult,
  type DayCount,
  type EndedRow,
  type ExpiredPage,
  type RecordedChange,
} from "../store/audit.ts";
import type { Database, Dialect } from "./dialect.ts";
import type { LinkTexts } from "./link-texts.ts";
import type { ExpireQuery, SessionRow } from "../store/row.ts";
import type { SessionLimit } from "../store/session-limit.ts";
import type { Result, Script, Statement } from "./statement.ts";
import { pagesByKey } from "../store/pages.ts";

/** Rows in one statement. */
const TOGETHER = 32;
const CHAINS_TOGETHER = 500;

/** Before every position. */
const NOWHERE: Uint8Array = new Uint8Array(32);

/** The next chain begins after every position of this one. */
const endOf = (position: Uint8Array): Uint8Array => new Uint8Array(position).fill(255, CHAIN_BYTES);
/** Subjects of one user: one for each key of the ring, and for each pair of processes that first met the user at once. */
const MOST_SUBJECTS = 1_000;

const DONE: ChangeResult = { applied: true, ended: [] };
const NOTHING: ChangeResult = { applied: false, ended: [] };

/** Statements that do a part of a transaction and return what became of it. */
type Step<T> = Generator<Statement, T, Result>;

/** Runs a method of the store: migrates first where that is due, and counts what is under way. */
export type Guard = <T>(work: () => Promise<T>) => Promise<T>;

/** The audit trail over any SQL database that runs interactive transactions. */
export class SqlAudit implements AuditStore {
  readonly #database: Database;
  readonly #dialect: Dialect;
  readonly #texts: AuditTexts;
  readonly #links: LinkTexts;
  readonly #guard: Guard;

  constructor(database: Database, links: LinkTexts, guard: Guard) {
    this.#links = links;
    this.#database = database;
    this.#dialect = database.dialect;
    this.#texts = new AuditTexts(database.dialect.portable, () => database.dialect.names);
    this.#guard = guard;
  }

  commit(
    changes: readonly RecordedChange[],
    append: (results: readonly ChangeResult[]) => readonly AuditRow[],
  ): Promise<readonly ChangeResult[]> {
    return this.#guard(async () => {
      for (const change of changes) this.#assertIds(change);
      let isAppending = false;
      const attempt = () =>
        this.#attempt(changes, (results) => {
          isAppending = true;
          return append(results);
        });
      try {
        return await attempt();
      } catch (error) {
        // Once there were events, what is taken may be the position of one.
        const isTaken = !isAppending && this.#dialect.isTaken?.(error) === true;
        if (isTaken && (await this.#isTaken(changes))) return [NOTHING];
        if (!this.#dialect.adaptsTo?.(error)) throw error;
        return await attempt();
      }
    });
  }

  #attempt(
    changes: readonly RecordedChange[],
    append: (results: readonly ChangeResult[]) => readonly AuditRow[],
  ): Promise<readonly ChangeResult[]> {
    return untilDone(async (again) => {
      const results = await this.#database.interactive!(() => this.#commit(changes, append, again));
      // Only one that is by itself rolls back: the new id of a replace is taken.
      return results ?? changes.map(() => NOTHING);
    });
  }

  /** Whether the change is a `replace` whose new id is taken. */
  async #isTaken([change, ...more]: readonly RecordedChange[]): Promise<boolean> {
    if (change?.kind !== "replace" || more.length > 0) return false;
    const { rows } = await this.#database.run(this.#texts.ends([change.next.id]));
    return rows.length > 0;
  }

  *#commit(
    changes: readonly RecordedChange[],
    append: (results: readonly ChangeResult[]) => readonly AuditRow[],
    again: () => void,
  ): Script<readonly ChangeResult[]> {
    const results: ChangeResult[] = [];
    const limits = changes.flatMap((change) => loginIn(change)?.limit ?? []);
    // Before anything else: no other lock is held while these are waited for.
    if (this.#dialect.lockLogin !== undefined)
      for (const name of locksOf(limits)) yield this.#dialect.lockLogin(name);
    for (const group of groupsOf(changes, (change) => this.#hasRow(change))) {
      const some = yield* this.#apply(group);
      if (some === "again") {
        again();
        return null;
      }
      if (some === null && changes.length > 1) {
        throw new Error(
          "A session with the new id already exists. The batch is retried one change at a time.",
        );
      }
      if (some === null) return null;
      for (const [index, { applied }] of some.entries()) {
        if (applied) yield* this.#link(group[index]!);
      }
      results.push(...some);
    }
    const rows = append(results);
    for (let at = 0; at < rows.length; at += TOGETHER) {
      yield this.#texts.append(rows.slice(at, at + TOGETHER));
    }
    return results;
  }

  /** The links of a row that was written. */
  *#link(change: RecordedChange): Step<void> {
    const { kind } = change;
    if (kind === "insert") yield* this.#links.add([change.row]);
    else if (kind === "update") yield* this.#links.add([change.next]);
    else if (kind === "replace") yield* this.#links.move(change.loaded, change.next);
  }

  #apply(group: readonly RecordedChange[]): Step<readonly ChangeResult[] | null | "again"> {
    const [first] = group as readonly [RecordedChange];
    if (!this.#hasRow(first)) return nothing();
    const login = loginIn(first);
    if (login === null) return this.#write(group);
    const isLocked = this.#dialect.readsBehindLocks === false;
    const texts = {
      usersRows: (limit: SessionLimit) => this.#texts.liveRows(limit, isLocked),
      row: (row: Result["rows"][number]) => this.#texts.ended(row),
    };
    return loginSteps(
      login,
      texts,
      () => this.#write(group),
      (rows) => this.#evict(rows),
    );
  }

  *#evict(rows: readonly EndedRow[]): Step<number> {
    let count = 0;
    for (const ids of together(this.#dialect, rows, TOGETHER)) {
      const results = yield* this.#written(
        ids.map((id) => ({ id })),
        (items) => this.#dialect.delete(items.map(({ id }) => id)),
        (row) => row,
        false,
      );
      count += results.filter(({ applied }) => applied).length;
    }
    return count;
  }

  #write(group: readonly RecordedChange[]): Step<readonly ChangeResult[] | null> {
    const [first] = group;
    switch (first?.kind) {
      case "insert":
        return this.#written(
          ofKind(group, "insert").map(({ row }) => row),
          (rows) => this.#dialect.insert(rows),
          (row) => row,
          this.#dialect.affectedRowsBy === "versions",
        );
      case "update":
        return this.#written(
          ofKind(group, "update"),
          (updates) => this.#dialect.update(updates),
          ({ next }) => next,
          this.#dialect.affectedRowsBy === "versions",
        );
      case "delete":
        return this.#written(
          ofKind(group, "delete").map(({ id }) => ({ id })),
          (rows) => this.#dialect.delete(rows.map(({ id }) => id)),
          (row) => row,
          false,
        );
      case "replace":
        return this.#replace(first.loaded, first.next);
      default:
        return this.#end(first as RecordedChange & { kind: "deleteByUser" | "deleteExpired" });
    }
  }

  /** A batch in the statements of the dialect, and which of its rows were written. */
  *#written<Item>(
    items: readonly Item[],
    statementsOf: (items: readonly Item[]) => readonly Statement[],
    rowOf: (item: Item) => { readonly id: Uint8Array; readonly version?: number },
    byVersion: boolean,
  ): Step<readonly ChangeResult[]> {
    const { batches } = this.#dialect;
    const statements =
      batches === "statement" ? statementsOf(items) : items.flatMap((item) => statementsOf([item]));
    const results: Result[] = [];
    for (const statement of statements) {
      const isSkipped =
        statement.unlessChanged !== undefined && results.at(-1)?.changes === statement.unlessChanged;
      results.push(isSkipped ? { rows: [], changes: 0 } : yield statement);
    }
    return affectedRows(batches, results, items.map(rowOf), byVersion).map((is) => (is ? DONE : NOTHING));
  }

  /** Null when the row was deleted and its successor could not be added. */
  *#replace(loaded: SessionRow, next: SessionRow): Step<readonly ChangeResult[] | null> {
    const statements = this.#dialect.replace(loaded, next);
    let isFirst = true;
    for (const statement of statements) {
      const { changes } = yield statement;
      if (changes === 0) return isFirst ? [NOTHING] : null;
      isFirst = false;
    }
    return [DONE];
  }

  *#end(change: RecordedChange & { kind: "deleteByUser" | "deleteExpired" }): Step<readonly ChangeResult[]> {
    const { texts, wanted } = this.#doomed(change);
    if (texts === null) return [NOTHING];
    const { rows } = yield texts;
    const found = rows.map((row) => this.#texts.ended(row)).filter(wanted);
    const due = this.#locksTogether ? found : (yield* this.#lock(found)).filter(wanted);
    const ended: EndedRow[] = [];
    for (let at = 0; at < due.length; at += TOGETHER) {
      const some = due.slice(at, at + TOGETHER);
      const results = yield* this.#written(
        some.map(({ id }) => ({ id })),
        (items) => this.#dialect.delete(items.map(({ id }) => id)),
        (row) => row,
        false,
      );
      ended.push(...some.filter((_, index) => results[index]!.applied));
    }
    return [{ applied: ended.length > 0, ended }];
  }

  get #locksTogether(): boolean {
    return this.#dialect.locksManyShards !== false;
  }

  /** Locks rows shard by shard, in one order for all, and reads them as they are then. */
  *#lock(rows: readonly EndedRow[]): Step<readonly EndedRow[]> {
    const locked: EndedRow[] = [];
    for (const group of byShard(rows, TOGETHER, (id) => this.#dialect.shardOf?.(id) ?? null)) {
      const answer = yield this.#texts.lockRows(group);
      locked.push(...answer.rows.map((row) => this.#texts.ended(row)));
    }
    return locked;
  }

  #doomed(change: RecordedChange & { kind: "deleteByUser" | "deleteExpired" }): {
    readonly texts: Statement | null;
    readonly wanted: (row: EndedRow) => boolean;
  } {
    if (change.kind === "deleteExpired") {
      const ids = change.ids.filter((id) => this.#isId(id));
      if (ids.length === 0) return { texts: null, wanted: () => false };
      const texts = this.#locksTogether ? this.#texts.lockRows(ids) : this.#texts.ends(ids);
      return { texts, wanted: (row) => isDue(row, change.query) };
    }
    const { userRefs, only, except = [] } = change;
    const kept = new Set(except.map(keyOf));
    const texts = userRefs.length === 0 ? null : this.#texts.usersRows(userRefs, this.#locksTogether);
    const users = new Set(userRefs.map(keyOf));
    const wanted = ({ id, userRef }: EndedRow): boolean =>
      userRef !== null &&
      users.has(keyOf(userRef)) &&
      (only === undefined || keyOf(only) === keyOf(id)) &&
      !kept.has(keyOf(id));
    return { texts, wanted };
  }

  ends(ids: readonly Uint8Array[]): Promise<readonly EndedRow[]> {
    const asked = ids.filter((id) => this.#isId(id));
    if (asked.length === 0) return Promise.resolve([]);
    return this.#read(
      () => this.#texts.ends(asked),
      (row) => this.#texts.ended(row),
    );
  }

  findExpired(query: ExpireQuery): Promise<ExpiredPage> {
    return this.#guard(async () => {
      const { limit, scan } = scanOf(this.#dialect, query);
      const { rows } = await this.#database.run(this.#dialect.findExpired(query, scan));
      const ids: Uint8Array[] = [];
      let seen = 0;
      while (seen < rows.length && ids.length < limit) {
        const row = rows[seen++]!;
        if (flagIn(row, "due")) ids.push(bytesIn(row, "id"));
      }
      const last = rows[seen - 1];
      if (!last || (seen === rows.length && rows.length < scan)) return { ids, cursor: null, fraction: 1 };
      const { from = this.#dialect.expireCursor(rows[0]!).bucket } = query.cursor ?? {};
      const cursor = { ...this.#dialect.expireCursor(last), from };
      const fraction = fractionOfExpiry(query, cursor);
      return { ids, cursor, ...(fraction !== null && { fraction }) };
    });
  }

  events(after: Uint8Array, through: Uint8Array, limit: number): Promise<readonly AuditRow[]> {
    return this.#read(
      () => this.#texts.events(after, through, limit),
      (row) => this.#texts.event(row),
    );
  }

  find(query: AuditQuery): Promise<readonly AuditRow[]> {
    if (query.subjects?.length === 0 || query.events?.length === 0) return Promise.resolve([]);
    return this.#read(
      () => this.#texts.find(query),
      (row) => this.#texts.event(row),
    );
  }

  async heads(): Promise<readonly Uint8Array[]> {
    if (this.#texts.heads(NOWHERE, 1) === null) return await this.#headsOneByOne();
    const heads: Uint8Array[] = [];
    const read = (after: Uint8Array, limit: number) =>
      this.#read(
        () => this.#texts.heads(after, limit)!,
        (row) => this.#texts.position(row),
      );
    for await (const { rows } of pagesByKey(read, CHAINS_TOGETHER, NOWHERE, endOf)) heads.push(...rows);
    return heads;
  }

  /** A statement for each chain. */
  async #headsOneByOne(): Promise<readonly Uint8Array[]> {
    const heads: Uint8Array[] = [];
    let begin = NOWHERE;
    let end = NOWHERE;
    for (;;) {
      const found = await this.#read(
        () => this.#texts.around(begin, end),
        (row) => this.#texts.position(row),
      );
      const isBeyond = (position: Uint8Array): boolean => Buffer.compare(position, end) > 0;
      const head = found.find((position) => !isBeyond(position));
      if (head !== undefined) heads.push(head);
      const next = found.find(isBeyond);
      if (next === undefined) return heads;
      begin = next;
      end = endOf(next);
    }
  }

  addSubjects(subjects: readonly AuditSubject[]): Promise<void> {
    return this.#guard(async () => {
      for (let at = 0; at < subjects.length; at += TOGETHER) {
        await this.#database.run(this.#texts.addSubjects(subjects.slice(at, at + TOGETHER)));
      }
    });
  }

  subjects(ids: readonly Uint8Array[]): Promise<readonly AuditSubject[]> {
    return this.#inParts(ids, (some) => this.#texts.subjects(some));
  }

  subjectsOf(userRefs: readonly Uint8Array[]): Promise<readonly AuditSubject[]> {
    return this.#inParts(userRefs, (some) => this.#texts.subjectsOf(some, MOST_SUBJECTS));
  }

  scanSubjects(after: Uint8Array | null, limit: number): Promise<readonly AuditSubject[]> {
    const texts = () => this.#texts.scanSubjects(after ?? new Uint8Array(1), limit);
    return this.#read(texts, (row) => this.#texts.subject(row));
  }

  async rewrap(subject: AuditSubject, userRef: Uint8Array | null, wrapped: Uint8Array): Promise<boolean> {
    return (await this.#change(() => this.#texts.rewrap(subject, userRef, wrapped))) > 0;
  }

  async eraseSubjects(erased: readonly AuditSubject[]): Promise<number> {
    let count = 0;
    for (const one of erased) count += await this.#change(() => this.#texts.eraseSubject(one));
    return count;
  }

  checkpoints(after: number, limit: number, kind?: number): Promise<readonly AuditCheckpoint[]> {
    return this.#read(
      () => this.#texts.checkpoints(after, limit, kind),
      (row) => this.#texts.checkpoint(row),
    );
  }

  async lastCheckpoint(kind?: number): Promise<AuditCheckpoint | null> {
    const texts = () => this.#texts.lastCheckpoint(kind);
    const [last] = await this.#read(texts, (row) => this.#texts.checkpoint(row));
    return last ?? null;
  }

  async addCheckpoint(checkpoint: AuditCheckpoint, counts: readonly DayCount[] = []): Promise<boolean> {
    const texts = this.#texts;
    const script = function* (): Script<true> {
      const { changes } = yield texts.addCheckpoint(checkpoint);
      if (changes === 0) return null;
      for (const count of counts) {
        const { changes: found } = yield texts.addToDay(count);
        if (found === 0) yield texts.addDay(count);
      }
      return true;
    };
    return (await this.#guard(() => this.#database.interactive!(script))) === true;
  }

  count(since: number, until: number): Promise<readonly DayCount[]> {
    return this.#read(
      () => this.#texts.count(since, until),
      (row) => this.#texts.dayCount(row),
    );
  }

  countChain(chain: Uint8Array): Promise<readonly DayCount[]> {
    const [first, last] = rangeOf(chain);
    return this.#read(
      () => this.#texts.countChain(first, last),
      (row) => this.#texts.dayCount(row),
    );
  }

  prunedCounts(sinceDay: number, untilDay: number): Promise<readonly DayCount[]> {
    return this.#read(
      () => this.#texts.days(sinceDay, untilDay),
      (row) => this.#texts.prunedCount(row),
    );
  }

  deleteChain(chain: Uint8Array, limit: number): Promise<number> {
    const texts = this.#texts;
    const [first, last] = rangeOf(chain);
    const script = function* (): Script<number> {
      // The last events first: what is left is the beginning of the chain.
      const { rows } = yield texts.lastEvents(first, last, limit + 1);
      const found = rows.map((row) => texts.position(row));
      const isAll = found.length <= limit;
      const lowest = isAll ? first : found[limit - 1]!;
      const { changes } = yield texts.deleteEvents(lowest, last);
      if (isAll) yield texts.deleteSubject(chain.subarray(0, 16));
      return changes;
    };
    return this.#guard(async () => (await this.#database.interactive!(script)) ?? 0);
  }

  async deleteCheckpoints(before: number, limit: number): Promise<number> {
    const [first] = await this.checkpoints(0, 1);
    if (first === undefined || first.number >= before) return 0;
    const until = Math.min(before, first.number + limit);
    return await this.#change(() => this.#texts.deleteCheckpoints(first.number, until));
  }

  async #inParts(
    ids: readonly Uint8Array[],
    textsOf: (some: readonly Uint8Array[]) => Statement,
  ): Promise<readonly AuditSubject[]> {
    const found: AuditSubject[] = [];
    for (let at = 0; at < ids.length; at += 128) {
      const statement = () => textsOf(ids.slice(at, at + 128));
      found.push(...(await this.#read(statement, (row) => this.#texts.subject(row))));
    }
    return found;
  }

  /** @param statement made late, once it is known where the tables are */
  #read<Item>(
    statement: () => Statement,
    decode: (row: Record<string, unknown>) => Item,
  ): Promise<readonly Item[]> {
    return this.#guard(async () => (await this.#database.run(statement())).rows.map(decode));
  }

  #change(statement: () => Statement): Promise<number> {
    return this.#guard(async () => (await this.#database.run(statement())).changes);
  }

  #isId(id: Uint8Array): boolean {
    return id instanceof Uint8Array && id.length === this.#dialect.idBytes;
  }

  /** Whether there may be a row that it changes. As in the store's own methods, no row has a malformed id. */
  #hasRow(change: RecordedChange): boolean {
    if (change.kind === "delete") return this.#isId(change.id);
    return (change.kind !== "update" && change.kind !== "replace") || this.#isId(change.loaded.id);
  }

  #assertIds(change: RecordedChange): void {
    const row = change.kind === "insert" ? change.row : change.kind === "replace" ? change.next : null;
    if (row !== null && !this.#isId(row.id)) {
      throw new TypeError(`A row id must be ${this.#dialect.idBytes} bytes.`);
    }
  }
}

function rangeOf(chain: Uint8Array): [first: Uint8Array, last: Uint8Array] {
  const last = positionOf(chain, 0);
  last.fill(255, chain.length);
  return [positionOf(chain, 0), last];
}

// oxlint-disable-next-line require-yield -- a step without a statement
function* nothing(): Step<readonly ChangeResult[]> {
  return [NOTHING];
}

/** Neighbours that go into one statement. */
function* groupsOf(
  changes: readonly RecordedChange[],
  hasRow: (change: RecordedChange) => boolean,
): Generator<readonly RecordedChange[]> {
  const isBatch = (change: RecordedChange): boolean =>
    hasRow(change) && loginIn(change) === null && ["insert", "update", "delete"].includes(change.kind);
  let group: RecordedChange[] = [];
  for (const change of changes) {
    const [first] = group;
    const joins = first !== undefined && first.kind === change.kind && isBatch(change) && isBatch(first);
    if (first !== undefined && (!joins || group.length === TOGETHER)) {
      yield group;
      group = [];
    }
    group.push(change);
  }
  if (group.length > 0) yield group;
}

function ofKind<Kind extends RecordedChange["kind"]>(
  group: readonly RecordedChange[],
  kind: Kind,
): readonly Extract<RecordedChange, { kind: Kind }>[] {
  return group.filter((one): one is Extract<RecordedChange, { kind: Kind }> => one.kind === kind);
}
