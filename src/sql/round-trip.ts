import type { Statement } from "./dialect.ts";
import type { Trip } from "../shared/time-limit.ts";

export const READ: Trip = { lost: "none", unanswered: "none", limit: "usual" };
const LONG_READ: Trip = { ...READ, limit: "longer" };
const WRITE: Trip = { lost: "unknown", unanswered: "unknown", limit: "usual" };
export const TRANSACTION: Trip = { lost: "none", unanswered: "unknown", limit: "usual" };
/** A migration: it waits for its lock, and builds indexes over large tables. */
export const UNLIMITED: Trip = { ...TRANSACTION, limit: null };

/** The trip of a statement alone. */
export function tripOf({ writes, long }: Statement): Trip {
  return writes ? WRITE : long ? LONG_READ : READ;
}
