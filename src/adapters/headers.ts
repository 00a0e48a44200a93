/** Where a response's headers are kept: a Node response, a Fastify reply, a fetch `Headers`. */
export interface HeaderTarget {
  /** The header's value, values joined by a comma; undefined when there is none. */
  get(name: string): string | undefined;
  /** The names of all headers, in lower case. */
  names(): readonly string[];
  set(name: string, value: string): void;
  append(name: "set-cookie", value: string): void;
}

/** What a request did with its session, as far as caches and browsers must know. */
export interface SessionEffect {
  /** Whether the application looked at the session. */
  readonly accessed: boolean;
  /** What commit answered. */
  readonly setCookie: string | null;
}

/**
 * Headers that one kind of cache obeys in place of `Cache-Control`: targeted fields such as `CDN-Cache-Control`,
 * `Vercel-CDN-Cache-Control` and `ExampleCDN-Cache-Control` (RFC 9213), and the older Surrogate-Control (Fastly,
 * Varnish) and Edge-Control (Akamai).
 */
const targeted = /-cache-control$|^(?:surrogate|edge)-control$/;

/**
 * Writes the headers that a session causes (R12): `Vary: Cookie` where it was looked at, and `Set-Cookie` with
 * `Cache-Control: no-store` where the cookie is set or cleared (RFC 9111 §7.3). Only `no-store` keeps a shared cache
 * from handing one visitor's cookie to the next, so every weaker directive makes way for it; a value of the
 * application's that holds `no-store` already stays as it is. A cookie that the application has written itself, from
 * its own commit, is not written again.
 */
export function writeSessionHeaders(headers: HeaderTarget, { accessed, setCookie }: SessionEffect): void {
  if (accessed || setCookie !== null) varyByCookie(headers);
  if (setCookie === null) return;
  if (!hasCookie(headers, setCookie)) headers.append("set-cookie", setCookie);
  forbidStoring(headers);
}

/** Keeps every cache from storing a response. */
export function forbidStoring(headers: HeaderTarget): void {
  if (!forbidsStoring(headers.get("cache-control"))) headers.set("cache-control", "no-store");
  for (const name of headers.names()) {
    if (targeted.test(name) && !forbidsStoring(headers.get(name))) headers.set(name, "no-store");
    // nginx obeys it before Cache-Control; seconds, of which 0 forbids storing
    else if (name === "x-accel-expires" && headers.get(name) !== "0") headers.set(name, "0");
  }
}

/** Set-Cookie lines hold commas of their own, so the joined value cannot be taken apart. */
function hasCookie(headers: HeaderTarget, setCookie: string): boolean {
  return `, ${headers.get("set-cookie") ?? ""}, `.includes(`, ${setCookie}, `);
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
