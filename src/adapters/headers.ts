import type { Header } from "../session/device-policy.ts";

/** The headers of a response: a Node response, a Fastify reply or fetch `Headers`. */
export interface HeaderTarget {
  /** The value of a header, with multiple values joined by commas. Undefined if absent. */
  get(name: string): string | undefined;
  /** The names of all headers in lower case. */
  names(): readonly string[];
  set(name: string, value: string): void;
  append(name: "set-cookie", value: string): void;
}

/** The effects of a request on its session that determine response headers. */
export interface SessionEffect {
  /** Whether the application accessed the session. */
  readonly accessed: boolean;
  /** The result of `commit`. */
  readonly setCookie: string | null;
  /** Further headers that the session owes. Default: none. */
  readonly also?: readonly Header[];
}

/**
 * Headers that override `Cache-Control` for some caches: targeted fields such as `CDN-Cache-Control`,
 * `Vercel-CDN-Cache-Control` and `ExampleCDN-Cache-Control` (RFC 9213), and the older Surrogate-Control (Fastly,
 * Varnish) and Edge-Control (Akamai).
 */
const targeted = /-cache-control$|^(?:surrogate|edge)-control$/;

/**
 * Writes the headers that a session requires (R12): `Vary: Cookie` if it was accessed, and `Set-Cookie` with
 * `Cache-Control: no-store` if the cookie is set or cleared (RFC 9111 §7.3). Only `no-store` prevents a shared cache from
 * serving one visitor's cookie to another, so it replaces weaker directives; an existing value that contains `no-store` is
 * kept. A cookie that the application has already written from its own commit is not repeated.
 */
export function writeSessionHeaders(
  headers: HeaderTarget,
  { accessed, setCookie, also = [] }: SessionEffect,
): void {
  if (!accessed && setCookie === null) return;
  varyByCookie(headers);
  if (setCookie === null && also.length === 0) return;
  if (setCookie !== null) appendCookie(headers, setCookie);
  for (const [name, value] of also) {
    if (name === "set-cookie") appendCookie(headers, value);
    else headers.set(name, value);
  }
  forbidStoring(headers);
}

/** Prevents all caches from storing a response. */
export function forbidStoring(headers: HeaderTarget): void {
  if (!forbidsStoring(headers.get("cache-control"))) headers.set("cache-control", "no-store");
  for (const name of headers.names()) {
    if (targeted.test(name) && !forbidsStoring(headers.get(name))) headers.set(name, "no-store");
    // nginx gives it precedence over Cache-Control. 0 seconds forbids storing.
    else if (name === "x-accel-expires" && headers.get(name) !== "0") headers.set(name, "0");
  }
}

/** Set-Cookie values contain commas, so the joined value cannot be split. */
function appendCookie(headers: HeaderTarget, setCookie: string): void {
  const isThere = `, ${headers.get("set-cookie") ?? ""}, `.includes(`, ${setCookie}, `);
  if (!isThere) headers.append("set-cookie", setCookie);
}

function varyByCookie(headers: HeaderTarget): void {
  const present = headers.get("vary");
  if (present === undefined) return headers.set("vary", "Cookie");
  const names = listOf(present);
  if (names.includes("*") || names.includes("cookie")) return;
  headers.set("vary", names.length === 0 ? "Cookie" : `${present}, Cookie`);
}

function forbidsStoring(cacheControl: string | undefined): boolean {
  return listOf(cacheControl).includes("no-store");
}

function listOf(value: string | undefined): string[] {
  if (value === undefined) return [];
  return value
    .split(",")
    .map((item) => item.trim().toLowerCase())
    .filter((item) => item !== "");
}
