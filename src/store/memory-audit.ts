/**
 * Longer than 300 lines: one short method for each method of the audit store.
 */
import { keyOf } from "../shared/bytes.ts";
import {
  chainOf,
  countOf,
  DAY,
  isDue,
  loginIn,
  positionOf,
  slotOf,
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
} from "./audit.ts";
import { evictedBy, isRefused } from "./session-limit.ts";
import type { ExpireQuery, SessionRow } from "./row.ts";

/** The rows of the memory store, as the trail beside them uses these. */
export interface MemoryRows {
  get(id: Uint8Array): SessionRow | undefined;
  set(row: SessionRow): void;
  delete(id: Uint8Array): void;
  all(): Iterable<SessionRow>;
  /** @throws when the rows do not fit, or the store is closed */
  prepare(added: readonly SessionRow[]): void;
}

const NOTHING: ChangeResult = { applied: false, ended: [] };
const REFUSED: ChangeResult = { ...NOTHING, refused: true };
const DONE: ChangeResult = { applied: true, ended: [] };

/** The audit trail of the memory store. */
export class MemoryAudit implements AuditStore {
  readonly #sessions: MemoryRows;
  readonly #events = new Map<string, AuditRow>();
  readonly #subjects = new Map<string, AuditSubject>();
  readonly #checkpoints = new Map<number, AuditCheckpoint>();
  readonly #pruned = new Map<number, number>();

  constructor(sessions: MemoryRows) {
    this.#sessions = sessions;
  }

  async commit(
    changes: readonly RecordedChange[],
    append: (results: readonly ChangeResult[]) => readonly AuditRow[],
  ): Promise<readonly ChangeResult[]> {
    this.#sessions.prepare(changes.flatMap((change) => addedBy(change)));
    const undo: (() => void)[] = [];
    try {
      const results = changes.map((change) => this.#apply(change, undo));
      const rows = append(results);
      for (const row of rows) {
        const key = keyOf(row.position);
        if (this.#events.has(key)) throw new Error("An audit event with this position exists already.");
        this.#events.set(key, row);
        undo.push(() => this.#events.delete(key));
      }
      return results;
    } catch (error) {
      for (const step of undo.toReversed()) step();
      throw error;
    }
  }

  #apply(change: RecordedChange, undo: (() => void)[]): ChangeResult {
    const login = loginIn(change);
    if (login === null) return this.#write(change, undo);
    const { userRefs } = login.limit;
    const ofUser = () => this.#dueOf({ kind: "deleteByUser", userRefs });
    if (isRefused(login, ofUser())) return REFUSED;
    const { applied } = this.#write(change, undo);
    if (!applied) return NOTHING;
    const ended = evictedBy(login, ofUser());
    for (const { id } of ended) this.#write({ kind: "delete", id }, undo);
    return { applied, ended: ended.map((row) => endedRow(row)) };
  }

  #write(change: RecordedChange, undo: (() => void)[]): ChangeResult {
    const rows = this.#sessions;
    const put = (row: SessionRow): void => {
      const before = rows.get(row.id);
      rows.set(row);
      undo.push(() => (before ? rows.set(before) : rows.delete(row.id)));
    };
    const remove = (row: SessionRow): void => {
      rows.delete(row.id);
      undo.push(() => rows.set(row));
    };
    switch (change.kind) {
      case "insert":
        if (rows.get(change.row.id)) return NOTHING;
        put(change.row);
        return DONE;
      case "update": {
        const { loaded, next } = change;
        const row = rows.get(loaded.id);
        if (row?.version !== loaded.version) return NOTHING;
        const { createdAt, absoluteExpiresAt } = row;
        put({ ...next, createdAt, absoluteExpiresAt, links: next.links ?? row.links });
        return DONE;
      }
      case "replace": {
        const { loaded, next } = change;
        const row = rows.get(loaded.id);
        if (row?.version !== loaded.version) return NOTHING;
        const isSame = keyOf(loaded.id) === keyOf(next.id);
        if (!isSame && rows.get(next.id)) return NOTHING;
        remove(row);
        put(next);
        return DONE;
      }
      case "delete": {
        const row = rows.get(change.id);
        if (row) remove(row);
        return row ? DONE : NOTHING;
      }
      default: {
        const ended = this.#dueOf(change);
        for (const row of ended) remove(row);
        return { applied: ended.length > 0, ended: ended.map(endedRow) };
      }
    }
  }

  #dueOf(change: RecordedChange & { kind: "deleteByUser" | "deleteExpired" }): SessionRow[] {
    if (change.kind === "deleteExpired") {
      const rows = change.ids.flatMap((id) => this.#sessions.get(id) ?? []);
      return rows.filter((row) => isDue(row, change.query));
    }
    const users = new Set(change.userRefs.map(keyOf));
    const only = change.only && keyOf(change.only);
    const except = new Set(change.except?.map(keyOf));
    return [...this.#sessions.all()].filter(({ id, userRef }) => {
      const key = keyOf(id);
      return userRef && users.has(keyOf(userRef)) && (only === undefined || key === only) && !except.has(key);
    });
  }

  async ends(ids: readonly Uint8Array[]): Promise<readonly EndedRow[]> {
    return ids.flatMap((id) => this.#sessions.get(id) ?? []).map(endedRow);
  }

  async findExpired(query: ExpireQuery): Promise<ExpiredPage> {
    const due = [...this.#sessions.all()].filter((row) => isDue(row, query));
    const ids = due.slice(0, query.limit).map(({ id }) => id);
    return { ids, cursor: due.length > ids.length ? { bucket: 0, id: ids.at(-1)! } : null };
  }

  async events(after: Uint8Array, through: Uint8Array, limit: number): Promise<readonly AuditRow[]> {
    return this.#sorted()
      .filter(({ position }) => Buffer.compare(position, after) > 0 && Buffer.compare(position, through) <= 0)
      .slice(0, limit);
  }

  async find(query: AuditQuery): Promise<readonly AuditRow[]> {
    const { since = -Infinity, until = Infinity, subjects, session, events, after, newestFirst } = query;
    const compare = (a: Place, b: Place): number =>
      (newestFirst ? -1 : 1) * (a.at - b.at || Buffer.compare(a.position, b.position));
    const wanted = subjects && new Set(subjects.map(keyOf));
    return [...this.#events.values()]
      .filter((row) => {
        if (row.at < since || row.at >= until) return false;
        if (wanted && !(row.subject && wanted.has(keyOf(row.subject)))) return false;
        if (session && !(row.session && keyOf(row.session) === keyOf(session))) return false;
        if (events && !events.includes(row.event)) return false;
        return after === undefined || compare(row, after) > 0;
      })
      .toSorted(compare)
      .slice(0, query.limit);
  }

  async heads(): Promise<readonly Uint8Array[]> {
    const heads = new Map<string, Uint8Array>();
    for (const { position } of this.#sorted()) heads.set(keyOf(chainOf(position)), position);
    return [...heads.values()];
  }

  async addSubjects(subjects: readonly AuditSubject[]): Promise<void> {
    for (const one of subjects) {
      const key = keyOf(one.subject);
      if (!this.#subjects.has(key)) this.#subjects.set(key, one);
    }
  }

  async subjects(ids: readonly Uint8Array[]): Promise<readonly AuditSubject[]> {
    return ids.flatMap((id) => this.#subjects.get(keyOf(id)) ?? []);
  }

  async subjectsOf(userRefs: readonly Uint8Array[]): Promise<readonly AuditSubject[]> {
    const wanted = new Set(userRefs.map(keyOf));
    return [...this.#subjects.values()].filter(({ userRef }) => userRef && wanted.has(keyOf(userRef)));
  }

  async scanSubjects(after: Uint8Array | null, limit: number): Promise<readonly AuditSubject[]> {
    return [...this.#subjects.values()]
      .filter(({ subject }) => after === null || Buffer.compare(subject, after) > 0)
      .toSorted((a, b) => Buffer.compare(a.subject, b.subject))
      .slice(0, limit);
  }

  async rewrap(subject: AuditSubject, userRef: Uint8Array | null, wrapped: Uint8Array): Promise<boolean> {
    const key = keyOf(subject.subject);
    const stored = this.#subjects.get(key);
    if (!stored || Buffer.compare(stored.wrapped, subject.wrapped) !== 0) return false;
    this.#subjects.set(key, { ...stored, userRef, wrapped });
    return true;
  }

  async eraseSubjects(erased: readonly AuditSubject[]): Promise<number> {
    let count = 0;
    for (const one of erased) {
      const key = keyOf(one.subject);
      if (this.#subjects.get(key)?.erasedAt !== 0) continue;
      this.#subjects.set(key, one);
      count++;
    }
    return count;
  }

  async checkpoints(after: number, limit: number, kind?: number): Promise<readonly AuditCheckpoint[]> {
    return [...this.#checkpoints.values()]
      .filter((one) => one.number > after && (kind === undefined || one.kind === kind))
      .toSorted((a, b) => a.number - b.number)
      .slice(0, limit);
  }

  async lastCheckpoint(kind?: number): Promise<AuditCheckpoint | null> {
    return (await this.checkpoints(0, Infinity, kind)).at(-1) ?? null;
  }

  async addCheckpoint(checkpoint: AuditCheckpoint, counts: readonly DayCount[] = []): Promise<boolean> {
    if (this.#checkpoints.has(checkpoint.number)) return false;
    this.#checkpoints.set(checkpoint.number, checkpoint);
    for (const count of counts) {
      const slot = slotOf(count);
      this.#pruned.set(slot, (this.#pruned.get(slot) ?? 0) + count.count);
    }
    return true;
  }

  async count(since: number, until: number): Promise<readonly DayCount[]> {
    return countsOf([...this.#events.values()].filter(({ at }) => at >= since && at < until));
  }

  async countChain(chain: Uint8Array): Promise<readonly DayCount[]> {
    return countsOf(this.#ofChain(chain));
  }

  async prunedCounts(sinceDay: number, untilDay: number): Promise<readonly DayCount[]> {
    return [...this.#pruned]
      .map(([slot, count]) => countOf(slot, count))
      .filter(({ day }) => day >= sinceDay && day < untilDay);
  }

  async deleteChain(chain: Uint8Array, limit: number): Promise<number> {
    const rows = this.#ofChain(chain);
    for (const { position } of rows.slice(0, limit)) this.#events.delete(keyOf(position));
    if (rows.length <= limit) this.#subjects.delete(keyOf(chain.subarray(0, 16)));
    return Math.min(rows.length, limit);
  }

  async deleteCheckpoints(before: number, limit: number): Promise<number> {
    const due = [...this.#checkpoints.keys()].filter((number) => number < before).slice(0, limit);
    for (const number of due) this.#checkpoints.delete(number);
    return due.length;
  }

  clear(): void {
    for (const map of [this.#events, this.#subjects, this.#checkpoints, this.#pruned]) map.clear();
  }

  #ofChain(chain: Uint8Array): AuditRow[] {
    const [first, last] = [positionOf(chain, 0), positionOf(chain, Number.MAX_SAFE_INTEGER)];
    return this.#sorted().filter(
      ({ position }) => Buffer.compare(position, first) > 0 && Buffer.compare(position, last) <= 0,
    );
  }

  #sorted(): AuditRow[] {
    return [...this.#events.values()].toSorted((a, b) => Buffer.compare(a.position, b.position));
  }
}

type Place = Pick<AuditRow, "at" | "position">;

function addedBy(change: RecordedChange): readonly SessionRow[] {
  if (change.kind === "insert") return [change.row];
  return change.kind === "replace" ? [change.next] : [];
}

function endedRow({ id, userRef, createdAt, updatedAt, absoluteExpiresAt, expiresAt }: EndedRow): EndedRow {
  return { id, userRef, createdAt, updatedAt, absoluteExpiresAt, expiresAt };
}

function countsOf(rows: readonly AuditRow[]): readonly DayCount[] {
  const counts = new Map<number, number>();
  for (const { at, event, outcome, device, amount } of rows) {
    const slot = slotOf({ day: Math.floor(at / DAY), event, outcome, device });
    counts.set(slot, (counts.get(slot) ?? 0) + amount);
  }
  return [...counts].map(([slot, count]) => countOf(slot, count));
}
