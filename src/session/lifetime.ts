import { RefusedError } from "../errors.ts";
import { NEVER, type RowInfo, type SessionRow } from "../store/row.ts";

type Times = Pick<SessionRow | RowInfo, "createdAt" | "updatedAt" | "absoluteExpiresAt" | "expiresAt">;

interface Limits {
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
}

/**
 * When a row ends. Both the current limits and those stored in the row apply, so a shorter timeout takes effect at once,
 * and an edited `expires_at` or `updated_at` extends nothing.
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
 * When a row ends for an operator: at the time stored in it. An operator's timeouts may differ from the application's (a
 * command that knows only the database URL has the defaults), and a session that is alive there must not count as ended.
 * Stores count and delete by the same rule. A table that stores no end, such as that of Rails, has only the configured
 * limits.
 */
export function storedEndOf(row: Times, limits: Limits): number {
  return row.expiresAt === NEVER ? endOf(row, limits) : row.expiresAt;
}

/** The idle limit of a row that is used now. Never past its absolute limit. */
export function idleEnd(row: { readonly absoluteExpiresAt: number }, limits: Limits, now: number): number {
  return Math.min(now + limits.idleTimeout, row.absoluteExpiresAt);
}

/** Tolerated clock difference between servers in milliseconds: the value that Kerberos recommends (RFC 4120). */
export const clockTolerance = 300_000;

/**
 * Whether a row was created by a clock that was too far ahead. Its limits would not end it before that future time, even
 * if it is never used.
 */
export function isFromFuture({ createdAt }: Pick<SessionRow, "createdAt">, now: number): boolean {
  return createdAt > now + clockTolerance;
}

/** Whether the last use of a row is too far in the future: its idle limit would not move until then. */
export function isUsedInFuture({ updatedAt }: Pick<SessionRow, "updatedAt">, now: number): boolean {
  return updatedAt > now + clockTolerance;
}

/** Whether a use of the row requires a touch. */
export function isTouchDue(row: Pick<SessionRow, "updatedAt">, now: number, touchEvery: number): boolean {
  return now - row.updatedAt >= touchEvery || isUsedInFuture(row, now);
}

/** Whether a row has ended for an operator. See {@link storedEndOf}. */
export function isOver(row: Times, limits: Limits, now: number): boolean {
  return now >= storedEndOf(row, limits) || isFromFuture(row, now);
}

/**
 * `updated_at` and `expires_at` change with every touch, so the seal does not cover them. Values that no write of this
 * package produces are refused.
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
