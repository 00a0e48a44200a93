import type { Statement } from "./dialect.ts";
import type { Limit } from "./time-limit.ts";

/** What is done with one connection between its leaving the pool and its return. */
export interface Trip {
  /** The outcome when the connection breaks. A transaction tells its own, so it says `none` here. */
  readonly lost: "none" | "unknown";
  /** The outcome when it has no answer in time. */
  readonly unanswered: "none" | "unknown";
  readonly limit: Limit;
}

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
