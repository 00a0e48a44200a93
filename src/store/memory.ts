/**
 * Longer than 300 lines: one short method for each method of the store contract.
 */
import { ClosedError, StoreError } from "../errors.ts";
import { keyOf as textOf } from "../shared/bytes.ts";
import { assertOptions, integerFrom } from "../shared/option-checks.ts";
import { changeOf, type AuditStore, type ChangeResult } from "./audit.ts";
import { auditLater } from "./audit-later.ts";
import type { MemoryAudit } from "./memory-audit.ts";
import { onceEach } from "./unique.ts";
import type { LinkStore } from "./links.ts";
import { keptCopy, memoryLinks } from "./memory-links.ts";
import type { HeldLease, Lanes, RowCount, SessionStore, TakenOver } from "./contract.ts";
import { copyOfRow, infoOfRow } from "./row.ts";
import type { LimitedLogin } from "./session-limit.ts";
import type {
  ExpireQuery,
  ExpireResult,
  FutureQuery,
  RowInfo,
  RowTouch,
  RowUpdate,
  SessionRow,
} from "./row.ts";

export interface MemoryStoreOptions {
  /**
   * Maximum number of rows. Default 10,000. At the limit, expired rows are deleted first; if none has expired, `insert`
   * rejects with a StoreError. Live sessions are never evicted.
   */
  readonly maxSessions?: number;
}

/** An in-memory store for tests and prototypes. Sessions are lost when the process exits. */
export function memoryStore(options: MemoryStoreOptions = {}): SessionStore {
  return new MemoryStore(options);
}

interface Lease {
  readonly holder: string;
  readonly until: number;
}

export class MemoryStore implements SessionStore {
  readonly lanes: Lanes = { read: Infinity, write: Infinity, maxBatch: 1 };
  readonly #rows = new Map<string, SessionRow>();
  readonly #leases = new Map<string, Lease>();
  readonly #takenOver = new Set<string>();
  readonly #maxSessions: number;
  readonly audit: AuditStore = auditLater(() => (this.#audit ??= this.#loadAudit()));
  #audit: Promise<MemoryAudit> | null = null;
  #closed = false;

  constructor(options: MemoryStoreOptions) {
    assertOptions("memoryStore", options, { maxSessions: integerFrom(1) });
    const { maxSessions = 10_000 } = options;
    this.#maxSessions = maxSessions;
  }

  async #loadAudit(): Promise<MemoryAudit> {
    const { MemoryAudit } = await import("./memory-audit.ts");
    return new MemoryAudit({
      get: (id) => this.#rows.get(keyOf(id)),
      set: (row) => void this.#rows.set(keyOf(row.id), keptCopy(row)),
      delete: (id) => void this.#rows.delete(keyOf(id)),
      all: () => this.#rows.values(),
      prepare: (added) => {
        this.#assertOpen();
        assertIds(added);
        this.#makeRoom(added);
      },
    });
  }

  get links(): LinkStore {
    return memoryLinks(() => {
      this.#assertOpen();
      return this.#rows.values();
    });
  }

  async read(ids: readonly Uint8Array[]): Promise<(SessionRow | null)[]> {
    this.#assertOpen();
    return ids.map((id) => {
      const row = this.#rows.get(keyOf(id));
      return row ? copyOfRow(row) : null;
    });
  }

  async insert(rows: readonly SessionRow[]): Promise<boolean[]> {
    this.#assertOpen();
    assertIds(rows);
    this.#makeRoom(rows);
    return rows.map((row) => {
      const key = keyOf(row.id);
      if (this.#rows.has(key)) return false;
      this.#rows.set(key, keptCopy(row));
      return true;
    });
  }

  async update(updates: readonly RowUpdate[]): Promise<boolean[]> {
    this.#assertOpen();
    return updates.map(({ loaded, next }) => {
      const key = keyOf(loaded.id);
      const row = this.#rows.get(key);
      if (!row || row.version !== loaded.version) return false;
      const { data, version, userRef, updatedAt, expiresAt, client } = next;
      const links = next.links ?? row.links;
      this.#rows.set(key, keptCopy({ ...row, data, version, userRef, updatedAt, expiresAt, client, links }));
      return true;
    });
  }

  async replace(loaded: SessionRow, next: SessionRow): Promise<boolean> {
    this.#assertOpen();
    const [key, nextKey] = [keyOf(loaded.id), keyOf(next.id)];
    const row = this.#rows.get(key);
    if (!row || row.version !== loaded.version || (nextKey !== key && this.#rows.has(nextKey))) return false;
    if (nextKey === MALFORMED) throw new TypeError("A row id must be 32 bytes.");
    this.#rows.delete(key);
    this.#rows.set(nextKey, keptCopy(next));
    return true;
  }

  async login(login: LimitedLogin): Promise<ChangeResult> {
    const [result] = await this.audit.commit([changeOf(login)], () => []);
    return result!;
  }

  async touch(touches: readonly RowTouch[]): Promise<void> {
    this.#assertOpen();
    for (const { id, updatedAt, expiresAt } of touches) {
      const key = keyOf(id);
      const row = this.#rows.get(key);
      if (!row || row.updatedAt > updatedAt) continue;
      this.#rows.set(key, { ...row, updatedAt, expiresAt: Math.min(expiresAt, row.absoluteExpiresAt) });
    }
  }

  async delete(ids: readonly Uint8Array[]): Promise<boolean[]> {
    this.#assertOpen();
    return ids.map((id) => this.#rows.delete(keyOf(id)));
  }

  async listByUser(userRefs: readonly Uint8Array[], limit: number): Promise<RowInfo[]> {
    this.#assertOpen();
    const users = new Set(userRefs.map(keyOf));
    return [...this.#rows.values()]
      .filter(({ userRef }) => userRef && users.has(keyOf(userRef)))
      .toSorted((a, b) => b.createdAt - a.createdAt)
      .slice(0, limit)
      .map((row) => copyOfInfo(row));
  }

  async deleteByUser(
    userRefs: readonly Uint8Array[],
    filter: { readonly only?: Uint8Array; readonly except?: readonly Uint8Array[] } = {},
  ): Promise<number> {
    this.#assertOpen();
    const users = new Set(userRefs.map(keyOf));
    const only = filter.only && keyOf(filter.only);
    const except = new Set(filter.except?.map(keyOf));
    let deleted = 0;
    for (const [key, { userRef }] of this.#rows) {
      if (!userRef || !users.has(keyOf(userRef))) continue;
      if ((only !== undefined && key !== only) || except.has(key)) continue;
      this.#rows.delete(key);
      deleted++;
    }
    return deleted;
  }

  async deleteExpired(query: ExpireQuery): Promise<ExpireResult> {
    this.#assertOpen();
    let deleted = 0;
    for (const [key, row] of this.#rows) {
      const due =
        row.expiresAt <= query.before ||
        (query.createdBefore !== undefined && row.createdAt < query.createdBefore) ||
        (query.updatedBefore !== undefined && row.updatedAt < query.updatedBefore);
      if (!due) continue;
      if (deleted === query.limit) return { deleted, cursor: { bucket: 0, id: new Uint8Array(row.id) } };
      this.#rows.delete(key);
      deleted++;
    }
    return { deleted, cursor: null };
  }

  async deleteFuture(query: FutureQuery): Promise<number> {
    this.#assertOpen();
    let deleted = 0;
    for (const [key, { createdAt, expiresAt }] of this.#rows) {
      if (createdAt <= query.createdAfter || expiresAt <= query.expiresAfter) continue;
      if (deleted === query.limit) break;
      this.#rows.delete(key);
      deleted++;
    }
    return deleted;
  }

  async count(now: number): Promise<number> {
    this.#assertOpen();
    let count = 0;
    for (const { expiresAt } of this.#rows.values()) if (expiresAt > now) count++;
    return count;
  }

  async census(now: number): Promise<RowCount[]> {
    this.#assertOpen();
    const counts = new Map<string, { key: string; live: number; ended: number }>();
    for (const { data, expiresAt } of this.#rows.values()) {
      const key = Buffer.from(data.subarray(2, 6)).toString("hex");
      const count = counts.get(key) ?? { key, live: 0, ended: 0 };
      count[expiresAt > now ? "live" : "ended"]++;
      counts.set(key, count);
    }
    return [...counts.values()];
  }

  async scan(after: Uint8Array | null, limit: number): Promise<SessionRow[]> {
    return this.#page(after, limit).map(copyOfRow);
  }

  async scanInfo(after: Uint8Array | null, limit: number): Promise<RowInfo[]> {
    return this.#page(after, limit).map((row) => copyOfInfo(row));
  }

  #page(after: Uint8Array | null, limit: number): SessionRow[] {
    this.#assertOpen();
    const start = after && Buffer.from(after);
    return [...this.#rows.values()]
      .filter(({ id }) => !start || Buffer.compare(id, start) > 0)
      .toSorted((a, b) => Buffer.compare(a.id, b.id))
      .slice(0, limit);
  }

  async lease(name: string, holder: string, until: number, now: number): Promise<boolean> {
    this.#assertOpen();
    const held = this.#leases.get(name);
    if (held && held.holder !== holder && held.until > now) return false;
    if (until <= now) this.#leases.delete(name);
    else this.#leases.set(name, { holder, until });
    return true;
  }

  async leases(): Promise<HeldLease[]> {
    this.#assertOpen();
    return Array.from(this.#leases, ([name, { holder, until }]) => ({ name, holder, until }));
  }

  async takeOver(
    rows: readonly SessionRow[],
    options: { readonly dryRun?: boolean } = {},
  ): Promise<TakenOver[]> {
    this.#assertOpen();
    return onceEach(rows, (distinct) => this.#takeOver(distinct, options.dryRun ?? false));
  }

  async #takeOver(rows: readonly SessionRow[], dryRun: boolean): Promise<TakenOver[]> {
    const isNew = ({ id }: SessionRow): boolean => !this.#takenOver.has(keyOf(id));
    const fresh = rows.filter(isNew);
    const added = dryRun ? fresh.map(({ id }) => !this.#rows.has(keyOf(id))) : await this.insert(fresh);
    const answers = rows.map((row): TakenOver =>
      !isNew(row) ? "before" : added[fresh.indexOf(row)] ? "imported" : "present",
    );
    if (!dryRun) for (const { id } of fresh) this.#takenOver.add(keyOf(id));
    return answers;
  }

  async migrate(): Promise<void> {
    this.#assertOpen();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#rows.clear();
    this.#takenOver.clear();
    (await this.#audit)?.clear();
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError("The memory store is closed. Do not use it after close().");
  }

  /** A store has no clock: the latest time in the inserted rows serves as the current time. */
  #makeRoom(rows: readonly SessionRow[]): void {
    const added = rows.filter(({ id }) => !this.#rows.has(keyOf(id)));
    if (this.#rows.size + added.length <= this.#maxSessions) return;
    const now = Math.max(...rows.map(({ updatedAt }) => updatedAt));
    for (const [key, { expiresAt }] of this.#rows) if (expiresAt <= now) this.#rows.delete(key);
    if (this.#rows.size + added.length <= this.#maxSessions) return;
    throw new StoreError(
      `The memory store is full: it holds ${this.#maxSessions} live sessions. Raise \`maxSessions\`, or use a database.`,
    );
  }
}

const MALFORMED = "";

function assertIds(rows: readonly SessionRow[]): void {
  for (const { id } of rows) if (keyOf(id) === MALFORMED) throw new TypeError("A row id must be 32 bytes.");
}

/** Anything that is not 32 bytes maps to the empty key, which no row has. */
function keyOf(id: Uint8Array): string {
  return id instanceof Uint8Array && id.length === 32 ? textOf(id) : MALFORMED;
}

function copyOfInfo(row: SessionRow): RowInfo {
  const { head, bytes } = infoOfRow(row);
  const { data, ...rest } = copyOfRow({ ...row, data: head });
  return { ...rest, bytes, head: data };
}
