import { addOwn } from "../../codec/own.ts";
import { Baseline } from "./baseline.ts";
import { plainObject } from "./json-values.ts";

type Values = Record<string, unknown>;

/** The parts of a session of express-session or @fastify/session that the store uses. */
export interface MiddlewareSession extends Values {
  cookie?: MiddlewareCookie | null;
}

export interface MiddlewareCookie {
  expires?: Date | string | number | boolean | null | undefined;
  maxAge?: number | null | undefined;
  originalMaxAge?: number | null | undefined;
  toJSON?(): MiddlewareCookie | undefined;
}

/**
 * The data to seal: the session's own properties. Of the cookie's expiry, only whether there is one, because the row
 * stores the time and a touch moves it there.
 */
export function contentOf(
  session: MiddlewareSession,
  cookie: MiddlewareCookie | null,
  maxBytes: number,
): Values {
  const content = plainObject(ownValues(session), maxBytes);
  if (cookie !== null) content["cookie"] = plainObject(keptOf(cookie), maxBytes);
  return content;
}

/** The same values, not copied: to be encoded at once. What JSON would convert, the codec rejects. */
export function uncopiedContentOf(session: MiddlewareSession, cookie: MiddlewareCookie | null): Values {
  const content = ownValues(session);
  if (cookie !== null) content["cookie"] = keptOf(cookie);
  return content;
}

function ownValues(session: MiddlewareSession): Values {
  const values: Values = {};
  for (const key of Object.keys(session)) {
    const value = session[key];
    if (key !== "cookie" && !(value instanceof Baseline)) addOwn(values, key, value);
  }
  return values;
}

/** Written as a loop: this runs for every request, and an object rest is several times as slow. */
function keptOf(cookie: MiddlewareCookie): Values {
  const { expires, maxAge, originalMaxAge = maxAge } = cookie;
  const kept: Values = { originalMaxAge: rounded(originalMaxAge) };
  for (const name of Object.keys(cookie)) if (!ages.has(name)) addOwn(kept, name, (cookie as Values)[name]);
  if (timeOf(expires) !== null || typeof maxAge === "number") kept["expires"] = true;
  return kept;
}

const ages = new Set(["expires", "originalExpires", "maxAge", "originalMaxAge"]);

/** When a session's cookie expires. Null if it has no expiry. */
export function endOfCookie(cookie: MiddlewareCookie | null, now: number): number | null {
  const { expires, maxAge } = cookie ?? {};
  return timeOf(expires) ?? (typeof maxAge === "number" ? now + maxAge : null);
}

/** The time in a cookie's `expires`. `false`, which express-session derives from `maxAge: false`, means none. */
export function timeOf(expires: MiddlewareCookie["expires"]): number | null {
  if (!expires || expires === true) return null;
  const time = new Date(expires).getTime();
  return Number.isNaN(time) ? null : time;
}

/** express-session computes it from two readings of the clock, so it can differ by a millisecond. */
function rounded(milliseconds: number | null | undefined): number | null {
  return typeof milliseconds === "number" ? Math.round(milliseconds / 10) * 10 : null;
}

/** A session's cookie as JSON has it; null if there is none. */
export function cookieOf({ cookie }: MiddlewareSession): MiddlewareCookie | null {
  if (typeof cookie !== "object" || cookie === null) return null;
  const json: unknown = typeof cookie.toJSON === "function" ? cookie.toJSON() : cookie;
  return typeof json === "object" ? json : null;
}

/** @param data as decoded for this call: it is changed */
export function withExpiry(data: Values, expiresAt: number): Values {
  const cookie = data["cookie"] as Values | undefined;
  if (cookie !== undefined) cookie["expires"] = cookie["expires"] === true ? new Date(expiresAt) : null;
  return data;
}
