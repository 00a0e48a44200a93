/** Length of an expiry bucket in milliseconds: one day. Coarse, so that a touch rarely updates the index (decisions/0003). */
export const BUCKET = 86_400_000;

/** The value of the column `expires_bucket`. */
export function bucketOf(expiresAt: number): number {
  return Math.floor(expiresAt / BUCKET);
}
