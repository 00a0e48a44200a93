/**
 * The part of the store contract that the audit trail needs. A store without it stays valid: a manager refuses the option
 * `audit` with it.
 *
 * An event's place in the trail is its `position`, 32 bytes: the 24 bytes of its chain, then its number in that chain from 1,
 * as a big-endian integer of 8 bytes. In byte order the positions of one chain follow each other.
 */
import type { EndedRow, ExpireQuery, RowUpdate, SessionRow } from "./row.ts";
import type { LimitedLogin, SessionLimit } from "./session-limit.ts";

export type { EndedRow } from "./row.ts";

export const CHAIN_BYTES = 24;
export const SUBJECT_BYTES = 16;

/** An event as stored. Everything but `hash` and `mac` goes into the hash. */
export interface AuditRow {
  /** Primary key, 32 bytes. */
  readonly position: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Code of the event's type. */
  readonly event: number;
  /** Code of its outcome. */
  readonly outcome: number;
  /** Code of the kind of device. */
  readonly device: number;
  /** How many occurrences this event stands for. */
  readonly amount: number;
  /** Id of the session's row, 32 bytes. Null if the event concerns no session. */
  readonly session: Uint8Array | null;
  /** The key that the content is sealed under, 16 bytes. Null for that of the chain. */
  readonly subject: Uint8Array | null;
  /** The sealed content. */
  readonly body: Uint8Array;
  /** SHA-256 over the hash of the event before it and all other columns, 32 bytes. */
  readonly hash: Uint8Array;
  /** The first 16 bytes of an HMAC of `hash`. */
  readonly mac: Uint8Array;
}

/** A key under which the content of a person, or of a chain, is sealed. Without it, that content opens never again. */
export interface AuditSubject {
  /** Primary key, 16 bytes. */
  readonly subject: Uint8Array;
  /** Blind index of the user. Null for the key of a chain, and once the key is destroyed. */
  readonly userRef: Uint8Array | null;
  /** The sealed key. Once it is destroyed, what proves that it was. */
  readonly wrapped: Uint8Array;
  /** When the key was destroyed; 0 while it is there. */
  readonly erasedAt: number;
}

/** A signed list of the heads of chains, or a signed record of what was pruned. */
export interface AuditCheckpoint {
  /** Primary key: 1, 2, 3 … without gaps. */
  readonly number: number;
  readonly at: number;
  /** 0 for heads of chains that went on, 1 for a record of pruning, 2 for the heads of all chains. */
  readonly kind: number;
  /** What is signed. */
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** A change to the sessions that is recorded in the same transaction. */
export type RecordedChange =
  /** With a limit, as `login` of the store. */
  | { readonly kind: "insert"; readonly row: SessionRow; readonly limit?: SessionLimit }
  | ({ readonly kind: "update" } & RowUpdate)
  | ({ readonly kind: "replace"; readonly limit?: SessionLimit } & RowUpdate)
  | { readonly kind: "delete"; readonly id: Uint8Array }
  /** As `deleteByUser`. */
  | {
      readonly kind: "deleteByUser";
      readonly userRefs: readonly Uint8Array[];
      readonly only?: Uint8Array | undefined;
      readonly except?: readonly Uint8Array[] | undefined;
    }
  /** Deletes those of the rows that are still due. */
  | { readonly kind: "deleteExpired"; readonly ids: readonly Uint8Array[]; readonly query: ExpireQuery };

/** The login in a change; null if it has no limit. */
export function loginIn(change: RecordedChange): LimitedLogin | null {
  if ((change.kind !== "insert" && change.kind !== "replace") || change.limit === undefined) return null;
  const { limit } = change;
  return change.kind === "insert"
    ? { loaded: null, next: change.row, limit }
    : { loaded: change.loaded, next: change.next, limit };
}

/** The change that a login is. */
export function changeOf({ loaded, next, limit }: LimitedLogin): RecordedChange {
  return loaded === null ? { kind: "insert", row: next, limit } : { kind: "replace", loaded, next, limit };
}

export interface ChangeResult {
  /** As the store's own method returns it: whether the row was written or deleted. */
  readonly applied: boolean;
  /** The rows that were deleted, for `deleteByUser` and `deleteExpired`; for a login, those that made room for it. */
  readonly ended: readonly EndedRow[];
  /** The login was refused: the user has as many sessions as allowed. */
  readonly refused?: boolean;
}

/** Which events to list. All conditions apply. */
export interface AuditQuery {
  readonly since?: number | undefined;
  /** Exclusive. */
  readonly until?: number | undefined;
  readonly subjects?: readonly Uint8Array[] | undefined;
  readonly session?: Uint8Array | undefined;
  readonly events?: readonly number[] | undefined;
  /** Continue after this event in the order of the list. */
  readonly after?: { readonly at: number; readonly position: Uint8Array } | undefined;
  /** By time, then position. Default oldest first. */
  readonly newestFirst?: boolean | undefined;
  readonly limit: number;
}

/** How often something happened on a day. */
export interface DayCount {
  /** Days since the epoch, in UTC. */
  readonly day: number;
  readonly event: number;
  readonly outcome: number;
  readonly device: number;
  readonly count: number;
}

export interface AuditStore {
  /**
   * In one transaction: applies the changes in order, as the store's own methods would, and appends the rows that `append`
   * makes of the results. Everything, or nothing when it rejects. `append` is synchronous; it is called again when the
   * transaction is repeated. A `replace` whose new id is taken rejects if there are other changes with it.
   */
  commit(
    changes: readonly RecordedChange[],
    append: (results: readonly ChangeResult[]) => readonly AuditRow[],
  ): Promise<readonly ChangeResult[]>;
  /** The rows of these ids that are there, without their data. */
  ends(ids: readonly Uint8Array[]): Promise<readonly EndedRow[]>;
  /** Ids that may be due, as a step of `deleteExpired` would look at them, and where the next step continues. */
  findExpired(query: ExpireQuery): Promise<ExpiredPage>;

  /** Events with positions after `after` up to `through`, in order of position. */
  events(after: Uint8Array, through: Uint8Array, limit: number): Promise<readonly AuditRow[]>;
  find(query: AuditQuery): Promise<readonly AuditRow[]>;
  /** The last position of each chain, in order of position. */
  heads(): Promise<readonly Uint8Array[]>;

  /** Adds keys; one that is there is left as it is. */
  addSubjects(subjects: readonly AuditSubject[]): Promise<void>;
  subjects(ids: readonly Uint8Array[]): Promise<readonly AuditSubject[]>;
  subjectsOf(userRefs: readonly Uint8Array[]): Promise<readonly AuditSubject[]>;
  /** Keys in order of `subject`, for going over them all. */
  scanSubjects(after: Uint8Array | null, limit: number): Promise<readonly AuditSubject[]>;
  /** Seals a key anew, if `wrapped` is still what is stored. */
  rewrap(subject: AuditSubject, userRef: Uint8Array | null, wrapped: Uint8Array): Promise<boolean>;
  /** Destroys keys: puts these rows in their place. Returns how many were there. */
  eraseSubjects(erased: readonly AuditSubject[]): Promise<number>;

  /** Checkpoints with numbers above `after`, in order. `kind`: only those. */
  checkpoints(after: number, limit: number, kind?: number): Promise<readonly AuditCheckpoint[]>;
  /** The one with the highest number; with `kind`, of those. */
  lastCheckpoint(kind?: number): Promise<AuditCheckpoint | null>;
  /** False if the number is taken. With `counts`, adds to the counts of days in the same transaction. */
  addCheckpoint(checkpoint: AuditCheckpoint, counts?: readonly DayCount[]): Promise<boolean>;

  /** Counts of the events that are there, by day. */
  count(since: number, until: number): Promise<readonly DayCount[]>;
  /** Counts of one chain's events. */
  countChain(chain: Uint8Array): Promise<readonly DayCount[]>;
  /** Counts of the events that were pruned. */
  prunedCounts(sinceDay: number, untilDay: number): Promise<readonly DayCount[]>;
  /** Deletes up to `limit` events of a chain, and with the last of them its key. Returns how many events. */
  deleteChain(chain: Uint8Array, limit: number): Promise<number>;
  /** Deletes checkpoints with numbers below `before`. */
  deleteCheckpoints(before: number, limit: number): Promise<number>;
}

export interface ExpiredPage {
  readonly ids: readonly Uint8Array[];
  readonly cursor: ExpireQuery["cursor"];
  readonly fraction?: number;
}

export function positionOf(chain: Uint8Array, number: number): Uint8Array {
  const position = new Uint8Array(32);
  position.set(chain);
  new DataView(position.buffer).setBigUint64(CHAIN_BYTES, BigInt(number));
  return position;
}

export function chainOf(position: Uint8Array): Uint8Array {
  return position.slice(0, CHAIN_BYTES);
}

export function numberOf(position: Uint8Array): number {
  const { buffer, byteOffset } = position;
  return Number(new DataView(buffer, byteOffset).getBigUint64(CHAIN_BYTES));
}

/** Days of 24 hours in UTC. */
export const DAY = 86_400_000;

/** A day, an event, its outcome and device as one integer: the primary key of a count. */
export function slotOf({ day, event, outcome, device }: Omit<DayCount, "count">): number {
  return ((day * 1_000 + event) * 10 + outcome) * 10 + device;
}

export function countOf(slot: number, count: number): DayCount {
  const device = slot % 10;
  const outcome = Math.floor(slot / 10) % 10;
  const event = Math.floor(slot / 100) % 1_000;
  return { day: Math.floor(slot / 100_000), event, outcome, device, count };
}

/** Whether a row is to be deleted by the rule of {@link ExpireQuery}. */
export function isDue(row: EndedRow, query: ExpireQuery): boolean {
  const { before, createdBefore = -Infinity, updatedBefore = -Infinity } = query;
  return row.expiresAt <= before || row.createdAt < createdBefore || row.updatedAt < updatedBefore;
}
