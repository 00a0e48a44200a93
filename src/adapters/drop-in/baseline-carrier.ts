import { Baseline } from "./baseline.ts";

/**
 * Where @fastify/session keeps the baseline: its session object is a copy of what `get` answered, with nothing else
 * that tells one request's session from another's. It shows nothing in JSON.
 */
const tag = "stored-session:baseline";

/**
 * Hands a session over so that a copy made meanwhile with `for...in`, which is how @fastify/session makes it, carries
 * the baseline. The property is inherited, and gone afterwards: the session's own properties are the application's.
 */
export function carrying(session: object, baseline: Baseline, hand: () => void): void {
  const prototype = Object.getPrototypeOf(session) as object | null;
  Object.setPrototypeOf(session, { [tag]: baseline });
  try {
    hand();
  } finally {
    Object.setPrototypeOf(session, prototype);
  }
}

/** The baseline that a copy carries. */
export function carried(session: Readonly<Record<string, unknown>>): Baseline | null {
  const baseline = session[tag];
  return baseline instanceof Baseline ? baseline : null;
}
