import { RefusedError } from "../errors.ts";
import { NEVER, type SessionRow } from "../row.ts";

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

/**
 * When a row ends for an operator: by what is stored in it. Whoever looks may have other timeouts configured than the
 * application (a command that was given an address alone has the defaults), and must not take a session for dead that
 * is alive there. Stores count and delete by the same rule. Only where the table stores no end, as that of Rails, the configured limits are all there is.
 */
export function storedEndOf(row: SessionRow, limits: Limits): number {
  return row.expiresAt === NEVER ? endOf(row, limits) : row.expiresAt;
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
