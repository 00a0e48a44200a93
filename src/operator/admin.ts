import { afterChanges, allAnswered } from "../store/partial-failure.ts";
import { ConflictError, RefusedError } from "../errors.ts";
import { infoOfRow, type RowInfo, type SessionRow } from "../store/row.ts";
import { isLeftOver } from "../jobs/future.ts";
import { fractionOf } from "../store/progress.ts";
import { opensAlone } from "../session/format.ts";
import { idOf } from "../session/handle.ts";
import { isOver, storedEndOf } from "../session/lifetime.ts";
import type { Records } from "../session/records.ts";
import type { Token } from "../session/token.ts";
import { UserRows } from "../session/user-rows.ts";
import { sessionInfo, type SessionInfo } from "./users.ts";
import { walk, type WalkOptions } from "../session/walk.ts";
import { wholeRows } from "../session/whole-rows.ts";

/** A stored session with its content, for its user's own request for their data, or for an operator who asks to see it. */
export interface ExportedSession extends SessionInfo {
  /** Whether it had reached the end that is stored with it, and only waits to be deleted. */
  readonly ended: boolean;
  readonly absoluteExpiresAt: Date;
  /** Length of the sealed session. */
  readonly bytes: number;
  /** Undefined when nobody is logged in, and while the content does not open. */
  readonly user: string | undefined;
  /** Null when the content does not open: see `unreadable`. */
  readonly data: Record<string, unknown> | null;
  readonly flash: Record<string, unknown> | null;
  /** Why the content is not there: "sealed to the cookie", or the reason of a refusal. Null when it is. */
  readonly unreadable: string | null;
}

/**
 * What the table holds, counted in one pass over it. A session is live until the end that is stored with it: a shorter
 * timeout that was configured since refuses it at its next request, but does not show here.
 */
export interface SessionStats {
  readonly total: number;
  readonly live: number;
  /** Dead, and not yet deleted. */
  readonly ended: number;
  /** Live sessions with a user. */
  readonly signedIn: number;
  /** Sealed bytes: of all rows, of the largest, and of the middle one by a sample of 10,000. */
  readonly bytes: { readonly total: number; readonly largest: number; readonly median: number };
  /** Live sessions by the time since they were created. */
  readonly ages: readonly { readonly under: number; readonly live: number }[];
  /** Rows by the keys that sealed them, those of the ring first and newest first. */
  readonly keys: readonly KeyUse[];
}

export interface KeyUse {
  /** The key id in hexadecimal; null for a format that does not name its keys. */
  readonly key: string | null;
  readonly place: "newest" | "older" | "unknown";
  readonly live: number;
  readonly ended: number;
}

const hour = 3_600_000;
const day = 24 * hour;
const sampleSize = 10_000;

/** Counts the whole table. Reads every row, in bounded memory. */
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
    // Reservoir sampling (Vitter's algorithm R): every row is as likely to be in the sample as any other.
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

/** `unreadable` of a session that only its cookie opens. */
export const sealedToCookie = "sealed to the cookie";

/** As an operator sees it: it ends by what is stored in it. */
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

/** A row with its content where it opens without its cookie. */
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
    const { data, user, flash } = format.decode(format.open(row, null));
    return { ...base, user, data, flash, unreadable: null };
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return without(error.reason);
  }
}

const anyone: Token = { text: "", sid: new Uint8Array(1), id: new Uint8Array(0), stale: false };

/**
 * Why a row does not open with these keys and settings; null when it does. Of a row that is sealed to its cookie only
 * so much can be told as shows without it: how it is sealed, and whether its client column opens.
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
  // Somebody else's cookie is refused for its commitment, after everything that does not depend on it was looked at.
  return refusal?.reason === "commitment" ? attempt(() => format.openClient(row)) : refusal;
}

/** Everything that is stored of a user, sessions that ended and were not yet deleted included (R36). */
export async function exportUser(records: Records, user: string): Promise<ExportedSession[]> {
  const found: ExportedSession[] = [];
  for await (const session of exportUserStream(records, user)) found.push(session);
  return found;
}

/** The same, one session after another: only a few MiB of them are in memory at a time. */
export async function* exportUserStream(records: Records, user: string): AsyncGenerator<ExportedSession> {
  const { format } = records.settings;
  const refs = [...format.userRefs(user), ...(format.formerUserRefs?.(user) ?? [])];
  for await (const row of wholeRows(records, await rowsOfUser(records, user))) {
    if (isOf(refs, row)) yield exportRow(records, row);
  }
}

/** Every row of a user without its data, ended or not, newest first. For a user with very many of them it goes over the table. */
export function rowsOfUser(records: Records, user: string): Promise<RowInfo[]> {
  return new UserRows(records, user).all();
}

function isOf(refs: readonly Uint8Array[], { userRef }: Pick<SessionRow, "userRef">): boolean {
  return userRef !== null && refs.some((ref) => Buffer.compare(ref, userRef) === 0);
}

/** A stored row by its handle, ended or not; null when there is none. */
export async function rowOf(records: Records, handle: string): Promise<SessionRow | null> {
  const id = idOf(handle);
  return id === null ? null : records.store.read(id);
}

/** How many rows `expire` would delete now, by the rule of the store. Reads every row and deletes nothing. */
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

/** Clocks of servers agree to within so many milliseconds, or `stored-session check` warns. */
const clockTolerance = 5_000;

/** With the rests between them these take longer than clocks may differ. */
const maxPasses = 200;
const restOfPass = 100;

/**
 * Ends every session, in bounded batches; answers how many. A session that gets a new id meanwhile can come to lie
 * behind the cursor, so the table is gone over until a pass meets none that began before this did: a new id keeps the
 * time of the beginning. A login begins a session of its own, with what its user has just proved; it is ended like the
 * others where the first pass meets it, in the first five seconds, and where it began on a server whose clock is more
 * than five seconds ahead: when that was cannot be told.
 * @throws {ConflictError} sessions that began before this did, or on a server whose clock is ahead, kept coming
 * @throws {StoreError} the store failed; `changed` is how many sessions had ended by then
 */
export async function revokeEverything(records: Records, options: WalkOptions = {}): Promise<number> {
  const { batchSize = 500, signal, onProgress } = options;
  const latest = records.now() + clockTolerance;
  let deleted = 0;
  try {
    for (let pass = 1; pass <= maxPasses; pass++) {
      let met = 0;
      let cursor: Uint8Array | null = null;
      for (;;) {
        if (signal?.aborted) return deleted;
        const rows: RowInfo[] = await records.store.scanInfo(cursor, batchSize);
        const future = records.now() + clockTolerance;
        const due =
          pass === 1 ? rows : rows.filter(({ createdAt }) => createdAt <= latest || createdAt > future);
        const { values: gone, failure } = await allAnswered(
          due.map((row) => records.delete(row.id, "revoke")),
        );
        met += due.length;
        deleted += gone.filter(Boolean).length;
        if (failure !== null) throw failure.error;
        const last = rows.at(-1);
        const finished = last === undefined || rows.length < batchSize;
        onProgress?.({ scanned: deleted, fraction: finished || pass > 1 ? 1 : fractionOf(last.id) });
        if (finished) break;
        cursor = last.id;
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
