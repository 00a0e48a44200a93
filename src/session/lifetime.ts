import { RefusedError } from "../errors.ts";
import type { SessionRow } from "../row.ts";

interface Limits {
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
}

/**
 * When a row ends. The limits of today's configuration and those the row was written with both count, so that a
 * shorter timeout acts at once and an edited `expires_at` or `updated_at` lengthens nothing.
 */
export function endOf(row: SessionRow, limits: Limits): number {
  return Math.min(
    row.expiresAt,
    row.updatedAt + limits.idleTimeout,
    row.absoluteExpiresAt,
    row.createdAt + limits.absoluteTimeout,
  );
}

/** The idle limit of a row used now, never past its absolute limit. */
export function idleEnd(row: { readonly absoluteExpiresAt: number }, limits: Limits, now: number): number {
  return Math.min(now + limits.idleTimeout, row.absoluteExpiresAt);
}

/**
 * `updated_at` and `expires_at` move with every touch and so stand outside the seal; what no write of ours leaves
 * behind is refused all the same.
 * @throws {RefusedError} reason "times"
 */
export function checkTimes(row: SessionRow): void {
  if (row.expiresAt > row.absoluteExpiresAt || row.expiresAt < row.updatedAt) {
    throw new RefusedError(
      "times",
      "The row's times contradict each other: it was edited outside this package.",
    );
  }
}
