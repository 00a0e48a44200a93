import type { Statement } from "./dialect.ts";
import type { RoundTrip } from "../shared/time-limit.ts";

export const READ: RoundTrip = { lost: "none", unanswered: "none", limit: "usual" };
const LONG_READ: RoundTrip = { ...READ, limit: "longer" };
const WRITE: RoundTrip = { lost: "unknown", unanswered: "unknown", limit: "usual" };
export const TRANSACTION: RoundTrip = { lost: "none", unanswered: "unknown", limit: "usual" };
/** A migration, which waits for its lock and builds indexes on large tables. */
export const UNLIMITED: RoundTrip = { ...TRANSACTION, limit: null };

/** The round trip of a single statement. */
export function roundTripOf({ writes, long }: Statement): RoundTrip {
  return writes ? WRITE : long ? LONG_READ : READ;
}
