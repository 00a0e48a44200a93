import type { FutureQuery, SessionRow } from "../store/row.ts";

/** Tolerance for rows created in the future, in milliseconds. Generous, because a deletion cannot be undone. */
const day = 86_400_000;

/** A clock before this date is wrong. A machine that has lost its time must not delete everyone's sessions. */
const built = Date.UTC(2026, 0, 1);

/**
 * Selects rows that no valid session can have: created in the future and expiring later than a session created now could.
 * Null if the clock is implausible.
 */
export function futureQuery(now: number, absoluteTimeout: number, limit: number): FutureQuery | null {
  return now < built ? null : { createdAfter: now + day, expiresAfter: now + absoluteTimeout, limit };
}

/** Whether {@link futureQuery} selects this row. */
export function isLeftOver(row: Omit<SessionRow, "data">, now: number, absoluteTimeout: number): boolean {
  const query = futureQuery(now, absoluteTimeout, 1);
  return query !== null && row.createdAt > query.createdAfter && row.expiresAt > query.expiresAfter;
}
