import { RefusedError } from "../errors.ts";
import { NEVER, type RowInfo, type SessionRow } from "../store/row.ts";

type Times = Pick<SessionRow | RowInfo, "createdAt" | "updatedAt" | "absoluteExpiresAt" | "expiresAt">;

interface Limits {
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
}

/**
 * When a row ends. The limits of today's configuration and those the row was written with both count, so that a
 * shorter timeout acts at once and an edited `expires_at` or `updated_at` lengthens nothing.
 */
export function endOf(row: Times, limits: Limits): number {
  return Math.min(
    row.expiresAt,
    row.updatedAt + limits.idleTimeout,
    row.absoluteExpiresAt,
    row.createdAt + limits.absoluteTimeout,
  );
}

/**
 * When a row ends for an operator: by what is stored in it. Whoever looks may have other timeouts configured than the
 * application (a command that was given an address alone has the defaults), and must not take a session for dead that
 * is alive there. Stores count and delete by the same rule. Only where the table stores no end, as that of Rails, the configured limits are all there is.
 */
export function storedEndOf(row: Times, limits: Limits): number {
  return row.expiresAt === NEVER ? endOf(row, limits) : row.expiresAt;
}

/** The idle limit of a row used now, never past its absolute limit. */
export function idleEnd(row: { readonly absoluteExpiresAt: number }, limits: Limits, now: number): number {
  return Math.min(now + limits.idleTimeout, row.absoluteExpiresAt);
}

/** How far ahead of this server's clock another one's may be, in milliseconds: as far as Kerberos allows (RFC 4120). */
export const clockTolerance = 300_000;

/**
 * Whether a row was begun by a clock that was ahead by more than clocks may differ. Neither of its limits would end it
 * before the time that it says has come, however long it is not used.
 */
export function isFromFuture({ createdAt }: Pick<SessionRow, "createdAt">, now: number): boolean {
  return createdAt > now + clockTolerance;
}

/** Whether the last use of a row is later than clocks may differ: its idle limit would not move until then. */
export function isUsedInFuture({ updatedAt }: Pick<SessionRow, "updatedAt">, now: number): boolean {
  return updatedAt > now + clockTolerance;
}

/** Whether the use of a row is to be noted. */
export function isTouchDue(row: Pick<SessionRow, "updatedAt">, now: number, touchEvery: number): boolean {
  return now - row.updatedAt >= touchEvery || isUsedInFuture(row, now);
}

/** Whether a row is over for an operator: see {@link storedEndOf}. */
export function isOver(row: Times, limits: Limits, now: number): boolean {
  return now >= storedEndOf(row, limits) || isFromFuture(row, now);
}

/**
 * `updated_at` and `expires_at` move with every touch and so stand outside the seal; what no write of ours leaves
 * behind is refused all the same.
 * @throws {RefusedError} reason "times"
 */
export function checkTimes(row: Times): void {
  if (row.expiresAt > row.absoluteExpiresAt || row.expiresAt < row.updatedAt) {
    throw new RefusedError(
      "times",
      "The row's times contradict each other: it was edited outside this package.",
    );
  }
}

/** @throws {RefusedError} reason "times" */
export function checkBegun(row: Times, now: number): void {
  if (!isFromFuture(row, now)) return;
  throw new RefusedError(
    "times",
    "The session was created in the future: a server's clock is or was ahead. Compare the servers' clocks.",
  );
}
