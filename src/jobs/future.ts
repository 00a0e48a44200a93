import type { FutureQuery, SessionRow } from "../store/row.ts";

/** Rows are deleted for their time of creation only when that is a day ahead: what is on a disk cannot be refused again. */
const day = 86_400_000;

/** No clock of a server is right that is before this: a machine without its time must not delete everybody's sessions. */
const built = Date.UTC(2026, 0, 1);

/**
 * Which rows no session of this configuration can have: created in the future, with an end that none begun now could
 * reach. Null for a clock that is not to be believed.
 */
export function futureQuery(now: number, absoluteTimeout: number, limit: number): FutureQuery | null {
  return now < built ? null : { createdAfter: now + day, expiresAfter: now + absoluteTimeout, limit };
}

/** Whether a row is one of these. */
export function isLeftOver(row: Omit<SessionRow, "data">, now: number, absoluteTimeout: number): boolean {
  const query = futureQuery(now, absoluteTimeout, 1);
  return query !== null && row.createdAt > query.createdAfter && row.expiresAt > query.expiresAfter;
}
