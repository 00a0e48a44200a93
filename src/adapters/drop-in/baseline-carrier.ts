import { Baseline } from "./baseline.ts";

/**
 * Carries the baseline for @fastify/session, whose session object is a copy of what `get` returned, without anything
 * else that distinguishes one request's session from another's. Does not appear in JSON.
 */
const tag = "stored-session:baseline";

/** One for all sessions: engines make new hidden classes for each new prototype. Contains nothing between calls. */
const carrier: Record<typeof tag, Baseline | undefined> = { [tag]: undefined };

/**
 * Hands over a session so that a copy made during the call with `for...in`, as @fastify/session makes it, carries the
 * baseline. The property is inherited and removed afterwards: own properties of the session belong to the application.
 */
export function carrying(session: object, baseline: Baseline, hand: () => void): void {
  const prototype = Object.getPrototypeOf(session) as object | null;
  carrier[tag] = baseline;
  Object.setPrototypeOf(session, carrier);
  try {
    hand();
  } finally {
    Object.setPrototypeOf(session, prototype);
    carrier[tag] = undefined;
  }
}

/** Returns the baseline that a copy carries. */
export function carried(session: Readonly<Record<string, unknown>>): Baseline | null {
  const baseline = session[tag];
  return baseline instanceof Baseline ? baseline : null;
}
