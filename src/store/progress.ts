import { bucketOf } from "./expiry-bucket.ts";
import type { ExpireCursor, ExpireQuery } from "./row.ts";

/** Position of an id in the table, from 0 to 1. Ids are uniformly distributed hashes; Rails stores them as text. */
export function fractionOf(id: Uint8Array | null): number {
  if (id === null) return 0;
  const text = id.length === 67 ? new TextDecoder().decode(id.subarray(0, 9)) : "";
  const [a = 0, b = 0, c = 0] = text.startsWith("2::") ? Buffer.from(text.slice(3), "hex") : id;
  return (a * 65_536 + b * 256 + c) / 16_777_216;
}

/**
 * Progress of an expiry run, which walks either the index bucket by bucket or, for an age limit, the whole table by id.
 * Null if there is only one bucket, because progress within a bucket is unknown.
 */
export function fractionOfExpiry(
  query: ExpireQuery,
  { bucket, id, from = bucket }: ExpireCursor,
): number | null {
  if (query.createdBefore !== undefined || query.updatedBefore !== undefined) return fractionOf(id);
  const buckets = bucketOf(query.before) + 1 - from;
  return buckets > 1 ? (bucket - from) / buckets : null;
}
