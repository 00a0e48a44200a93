import type { EndedRow, SessionRow } from "./row.ts";

/** How many live sessions a user may have, and when a row counts as one. */
export interface SessionLimit {
  readonly count: number;
  /** What a login does at the limit. */
  readonly onLimit: "endOldest" | "refuse";
  /** All references that rows of the user may have. Logins that share one are serialized. */
  readonly userRefs: readonly Uint8Array[];
  readonly now: number;
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
}

/** A login: adds `next`, in the place of `loaded` if there is one. */
export interface LimitedLogin {
  /** As in `replace`. Null for a login that begins a session, as in `insert`. */
  readonly loaded: SessionRow | null;
  readonly next: SessionRow;
  readonly limit: SessionLimit;
}

type Times = Pick<SessionRow, "createdAt" | "updatedAt" | "absoluteExpiresAt" | "expiresAt">;

/** A row that has expired does not count, whether or not it was deleted. */
export function isLive(row: Times, { now, idleTimeout, absoluteTimeout }: SessionLimit): boolean {
  const end = Math.min(
    row.expiresAt,
    row.absoluteExpiresAt,
    row.updatedAt + idleTimeout,
    row.createdAt + absoluteTimeout,
  );
  return now < end;
}

/**
 * Whether a login is refused: the user has as many live sessions as allowed. A login over a live session of the same user
 * adds none, and neither does one whose row is there already, because its answer was lost.
 * @param rows those of the user
 */
export function isRefused({ loaded, next, limit }: LimitedLogin, rows: readonly EndedRow[]): boolean {
  if (limit.onLimit !== "refuse") return false;
  const live = rows.filter((row) => isLive(row, limit));
  const isItself = ({ id }: EndedRow): boolean =>
    isSame(id, next.id) || (loaded !== null && isSame(id, loaded.id));
  return live.length >= limit.count && !live.some(isItself);
}

/**
 * The sessions that end for a login: the oldest by time of creation, then by id.
 * @param rows those of the user, after `next` was written
 */
export function evictedBy({ next, limit }: LimitedLogin, rows: readonly EndedRow[]): readonly EndedRow[] {
  if (limit.onLimit !== "endOldest") return [];
  const others = rows.filter((row) => !isSame(row.id, next.id) && isLive(row, limit));
  const excess = Math.max(0, others.length - (limit.count - 1));
  return others.toSorted((a, b) => a.createdAt - b.createdAt || Buffer.compare(a.id, b.id)).slice(0, excess);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
