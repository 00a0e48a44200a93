/** Milliseconds in a bucket of expiry: one day. Coarse, so that a touch seldom moves the index (decision 3). */
export const BUCKET = 86_400_000;

/** The value of the column `expires_bucket`. */
export function bucketOf(expiresAt: number): number {
  return Math.floor(expiresAt / BUCKET);
}
