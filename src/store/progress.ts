import { bucketOf } from "./expiry-bucket.ts";
import type { ExpireCursor, ExpireQuery } from "./row.ts";

/** How far through the table an id is: ids are evenly distributed hashes, and those of Rails have theirs as text. */
export function fractionOf(id: Uint8Array | null): number {
  if (id === null) return 0;
  const text = id.length === 67 ? new TextDecoder().decode(id.subarray(0, 9)) : "";
  const [a = 0, b = 0, c = 0] = text.startsWith("2::") ? Buffer.from(text.slice(3), "hex") : id;
  return (a * 65_536 + b * 256 + c) / 16_777_216;
}

/**
 * How far a run of expiry is that goes by index, a bucket after the other, or by age over the whole table in order of
 * id. Null where there is only one bucket to go through: that tells nothing of the rows in it.
 */
export function fractionOfExpiry(
  query: ExpireQuery,
  { bucket, id, from = bucket }: ExpireCursor,
): number | null {
  if (query.createdBefore !== undefined || query.updatedBefore !== undefined) return fractionOf(id);
  const buckets = bucketOf(query.before) + 1 - from;
  return buckets > 1 ? (bucket - from) / buckets : null;
}
