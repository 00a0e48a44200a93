import type { AuditContent } from "../audit/events.ts";
import { afterChanges, allAnswered } from "../store/partial-failure.ts";
import { ConflictError, RefusedError } from "../errors.ts";
import { infoOfRow, type RowInfo, type SessionRow } from "../store/row.ts";
import { isLeftOver } from "../jobs/future.ts";
import { fractionOf } from "../store/progress.ts";
import type { SessionLinks } from "../session/authentication.ts";
import { opensAlone } from "../session/format.ts";
import { idOf } from "../session/handle.ts";
import { isOver, storedEndOf } from "../session/lifetime.ts";
import type { Records } from "../session/records.ts";
import type { Token } from "../session/token.ts";
import { UserRows } from "../session/user-rows.ts";
import { sessionInfo, type SessionInfo } from "./session-info.ts";
import { walk, type WalkOptions } from "../session/walk.ts";
import { idPages } from "../store/pages.ts";
import { wholeRows } from "../session/whole-rows.ts";

/** A stored session with its content, for a data subject access request or an operator. */
export interface ExportedSession extends SessionInfo {
  /** Whether its stored expiry time has passed. It is only waiting to be deleted. */
  readonly ended: boolean;
  readonly absoluteExpiresAt: Date;
  /** Length of the sealed session. */
  readonly bytes: number;
  /** Undefined if the session is anonymous or its content cannot be decrypted. */
  readonly user: string | undefined;
  /** Null if the content cannot be decrypted: see `unreadable`. */
  readonly data: Record<string, unknown> | null;
  readonly flash: Record<string, unknown> | null;
  /** The links of the login. Absent if it had none, or the content cannot be decrypted. */
  readonly links?: SessionLinks;
  /** Why the content is missing: "sealed to the cookie", or the reason of a refusal. Otherwise null. */
  readonly unreadable: string | null;
}

/**
 * Statistics of the table, from one scan. A session counts as live until its stored expiry time: a shorter timeout
 * configured since applies at its next request, but does not show here.
 */
export interface SessionStats {
  readonly total: number;
  readonly live: number;
  /** Expired and not yet deleted. */
  readonly ended: number;
  /** Live sessions with a user. */
  readonly signedIn: number;
  /** Sealed bytes: the total, the largest row, and the median of a sample of 10,000. */
  readonly bytes: { readonly total: number; readonly largest: number; readonly median: number };
  /** Live sessions by age. */
  readonly ages: readonly { readonly under: number; readonly live: number }[];
  /** Rows by the key that sealed them: keys of the ring first, newest first. */
  readonly keys: readonly KeyUse[];
}

export interface KeyUse {
  /** The key id in hexadecimal. Null for a format that does not name its keys. */
  readonly key: string | null;
  readonly place: "newest" | "older" | "unknown";
  readonly live: number;
  readonly ended: number;
}

const hour = 3_600_000;
const day = 24 * hour;
const sampleSize = 10_000;

/** Computes the statistics. Reads every row, in bounded memory. */
export async function statsOf(records: Records, options: WalkOptions = {}): Promise<SessionStats> {
  const { format } = records.settings;
  const ages = [hour, day, 7 * day, 30 * day, Infinity].map((under) => ({ under, live: 0 }));
  const uses = new Map<string | null, { live: number; ended: number }>();
  const sample: number[] = [];
  const count = { total: 0, live: 0, ended: 0, signedIn: 0 };
  const bytes = { total: 0, largest: 0 };
  const now = records.now();

  for await (const row of walk(records, options)) {
    const alive = !isOver(row, records.settings, now);
    const { bytes: length, head, client } = row;
    count.total++;
    count[alive ? "live" : "ended"]++;
    if (alive && row.userRef !== null) count.signedIn++;
    bytes.total += length;
    bytes.largest = Math.max(bytes.largest, length);
    // Reservoir sampling (Vitter's algorithm R): every row has the same chance to be in the sample.
    const place = count.total <= sampleSize ? count.total - 1 : Math.floor(Math.random() * count.total);
    if (place < sampleSize) sample[place] = length;
    if (alive) ages.find(({ under }) => now - row.createdAt < under)!.live++;
    const sealed = format.sealedUnder?.({ data: head, client }) ?? { data: null, client: null };
    for (const key of new Set([sealed.data, sealed.client ?? sealed.data])) {
      const use = uses.get(key) ?? { live: 0, ended: 0 };
      use[alive ? "live" : "ended"]++;
      uses.set(key, use);
    }
  }

  const ring = format.keyNames ?? [];
  const keys: KeyUse[] = ring.map((key, index) => ({
    key,
    place: index === 0 ? ("newest" as const) : ("older" as const),
    ...(uses.get(key) ?? { live: 0, ended: 0 }),
  }));
  for (const [key, use] of uses) {
    if (key !== null && !ring.includes(key)) keys.push({ key, place: "unknown", ...use });
  }
  sample.sort((a, b) => a - b);
  const median = sample[Math.floor(sample.length / 2)] ?? 0;
  return { ...count, bytes: { ...bytes, median }, ages, keys };
}

/** The `unreadable` value of a session that only its cookie opens. */
export const sealedToCookie = "sealed to the cookie";

/** The session as an operator sees it: its end is the stored one. */
function lifeOf(
  records: Records,
  row: Omit<RowInfo, "bytes" | "head">,
): SessionInfo & { readonly ended: boolean } {
  const end = storedEndOf(row, records.settings);
  return {
    ...sessionInfo(records, row),
    expiresAt: new Date(end),
    ended: isOver(row, records.settings, records.now()),
  };
}

/** Returns a row with its content, if it can be decrypted without its cookie. */
export function exportRow(records: Records, row: SessionRow): ExportedSession {
  const { format } = records.settings;
  const base = {
    ...lifeOf(records, row),
    absoluteExpiresAt: new Date(row.absoluteExpiresAt),
    bytes: row.data.length,
  };
  const without = (unreadable: string) => ({ ...base, user: undefined, data: null, flash: null, unreadable });
  if (!opensAlone(format, row)) return without(sealedToCookie);
  try {
    const { data, user, flash, authentication } = format.decode(format.open(row, null));
    const { links } = authentication ?? {};
    return { ...base, user, data, flash, ...(links && { links }), unreadable: null };
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return without(error.reason);
  }
}

const anyone: Token = { text: "", sid: new Uint8Array(1), id: new Uint8Array(0), stale: false };

/**
 * Returns why a row cannot be decrypted with these keys and settings, or null if it can. For a row sealed to its
 * cookie, checks only what is visible without it: how it is sealed, and whether its client column can be decrypted.
 */
export function refusalOf(records: Records, row: SessionRow): RefusedError | null {
  const { format } = records.settings;
  const attempt = (open: () => unknown): RefusedError | null => {
    try {
      open();
      return null;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return error;
    }
  };
  if (opensAlone(format, row)) return attempt(() => format.open(row, null));
  const refusal = attempt(() => format.open(row, anyone));
  // Another cookie is refused for its commitment, after everything that does not depend on it was checked.
  return refusal?.reason === "commitment" ? attempt(() => format.openClient(row)) : refusal;
}

/** Returns everything stored about a user, including expired sessions not yet deleted (R36). */
export async function exportUser(records: Records, user: string): Promise<ExportedSession[]> {
  const found: ExportedSession[] = [];
  for await (const session of exportUserStream(records, user)) found.push(session);
  return found;
}

/** The same, one session at a time, with only a few MiB in memory. */
export async function* exportUserStream(records: Records, user: string): AsyncGenerator<ExportedSession> {
  const { format } = records.settings;
  const refs = [...format.userRefs(user), ...(format.formerUserRefs?.(user) ?? [])];
  for await (const row of wholeRows(records, await rowsOfUser(records, user))) {
    if (isOf(refs, row)) yield exportRow(records, row);
  }
}

/**
 * Yields every row of a user without its data, expired or not, newest first. Scans the table for a user with very many.
 */
export function rowsOfUser(records: Records, user: string): Promise<RowInfo[]> {
  return new UserRows(records, user).all();
}

function isOf(refs: readonly Uint8Array[], { userRef }: Pick<SessionRow, "userRef">): boolean {
  return userRef !== null && refs.some((ref) => Buffer.compare(ref, userRef) === 0);
}

/** Returns a stored row by its handle, expired or not, or null. */
export async function rowOf(records: Records, handle: string): Promise<SessionRow | null> {
  const id = idOf(handle);
  return id === null ? null : records.store.read(id);
}

/** Returns how many rows `expire` would delete now, by the store's rule. Reads every row and deletes nothing. */
export async function countDue(
  records: Records,
  limits: { maxCreatedAge?: number | undefined; maxUpdatedAge?: number | undefined },
  options: WalkOptions = {},
): Promise<number> {
  const now = records.now();
  const { maxCreatedAge = Infinity, maxUpdatedAge = Infinity } = limits;
  let due = 0;
  for await (const row of walk(records, options)) {
    const end = storedEndOf(row, records.settings);
    if (
      end <= now ||
      isLeftOver(row, now, records.settings.absoluteTimeout) ||
      row.createdAt < now - maxCreatedAge ||
      row.updatedAt < now - maxUpdatedAge
    )
      due++;
  }
  return due;
}

/** Maximum clock difference between servers in milliseconds; `stored-session check` warns above it. */
const clockTolerance = 5_000;

/** With the pauses between them, these take longer than clocks may differ. */
const maxPasses = 200;
const restOfPass = 100;

/**
 * Revokes every session, in bounded batches, and returns how many. A session that gets a new id meanwhile can move
 * behind the cursor, so the table is scanned until a pass finds no session that started before this operation: a new id
 * keeps the start time. A login starts a new session, with credentials that the user has just proved. It is revoked too
 * if the first pass finds it, in the first five seconds, or if it started on a server whose clock is more than five
 * seconds ahead, because its start time is then unknown.
 * @throws {ConflictError} sessions that started before this operation, or on a server whose clock is ahead, kept
 *   appearing
 * @throws {StoreError} the store failed; `changed` is the number of sessions revoked before
 */
export async function revokeEverything(
  records: Records,
  options: WalkOptions & {
    /** Ends only these; `pass` counts from 1. Default: all. */
    readonly only?: (row: RowInfo, pass: number) => boolean;
  } = {},
  by: AuditContent = {},
): Promise<number> {
  const { batchSize = 500, signal, onProgress, only = () => true } = options;
  const latest = records.now() + clockTolerance;
  const read = (cursor: Uint8Array | null, limit: number) => records.store.scanInfo(cursor, limit);
  let deleted = 0;
  try {
    for (let pass = 1; pass <= maxPasses; pass++) {
      let met = 0;
      if (signal?.aborted) return deleted;
      for await (const { rows, isLast } of idPages(read, batchSize)) {
        const future = records.now() + clockTolerance;
        const due = rows.filter(
          (row) => (pass === 1 || row.createdAt <= latest || row.createdAt > future) && only(row, pass),
        );
        const { values: gone, failure } = await allAnswered(
          due.map((row) => records.delete(row.id, "revoke", { userRef: row.userRef, content: by })),
        );
        met += due.length;
        deleted += gone.filter(Boolean).length;
        if (failure !== null) throw failure.error;
        const isEnd = isLast || pass > 1;
        onProgress?.({ scanned: deleted, fraction: isEnd ? 1 : fractionOf(rows.at(-1)!.id) });
        if (!isLast && signal?.aborted) return deleted;
      }
      if (met === 0) return deleted;
      if (pass > 1) await new Promise((resolve) => setTimeout(resolve, restOfPass));
    }
  } catch (error) {
    throw afterChanges(error, deleted, "deleted");
  }
  throw new ConflictError(
    `${deleted.toLocaleString("en-US")} sessions were revoked, but new sessions with earlier creation times kept appearing. Check the clocks of the servers, then run it again.`,
  );
}

/** A session in an operator's list. */
export interface ListedSession extends SessionInfo {
  readonly ended: boolean;
  readonly signedIn: boolean;
  /** Length of the sealed session. */
  readonly bytes: number;
}

export function infoOf(records: Records, row: RowInfo | SessionRow): ListedSession {
  const { bytes } = "data" in row ? infoOfRow(row) : row;
  return { ...lifeOf(records, row), signedIn: row.userRef !== null, bytes };
}
