import type { Statement } from "./dialect.ts";
import type { OperationPolicy } from "../shared/time-limit.ts";

export const READ: OperationPolicy = { ifLost: "none", ifTimedOut: "none", limit: "usual" };
const LONG_READ: OperationPolicy = { ...READ, limit: "longer" };
const WRITE: OperationPolicy = { ifLost: "unknown", ifTimedOut: "unknown", limit: "usual" };
export const TRANSACTION: OperationPolicy = { ifLost: "none", ifTimedOut: "unknown", limit: "usual" };
/** A migration, which waits for its lock and builds indexes on large tables. */
export const UNLIMITED: OperationPolicy = { ...TRANSACTION, limit: null };

/** The policy of a single statement. */
export function policyOf({ writes, long }: Statement): OperationPolicy {
  return writes ? WRITE : long ? LONG_READ : READ;
}
