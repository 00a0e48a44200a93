import { parseSetCookie } from "cookie";
import type { CookieToSet } from "../fetch.ts";
import type { SharedManager } from "../shared-manager.ts";
import { withCookie } from "../with-cookie.ts";

export type IncomingHeaders = Pick<Headers, "get">;

/** What `cookies()` of next/headers returns. */
export interface CookieJar {
  get(name: string): { value: string } | undefined;
  set(cookie: CookieToSet): unknown;
}

type Cookies = Pick<SharedManager<never>, "cookieName" | "valuesIn">;

/** The `Cookie` header of a request, or what an action or a proxy has made of it since. */
export function cookieHeader(
  { cookieName, valuesIn }: Cookies,
  headers: IncomingHeaders,
  jar: CookieJar,
): string | null {
  const header = headers.get("cookie");
  const current = jar.get(cookieName)?.value;
  if (current === undefined || current === "") return null;
  // The header has all cookies of our name, of which the jar keeps one.
  if (header !== null && valuesIn(header).some((value) => decoded(value) === current)) return header;
  return withCookie(header, `${cookieName}=${encodeURIComponent(current)}`);
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/**
 * The session cookie that the proxy of this request sends. When an action sets any cookie, Next.js drops those of the proxy,
 * so the action repeats it.
 */
export function cookieOfProxy(
  { cookieName }: Cookies,
  headers: IncomingHeaders,
  jar: CookieJar,
): CookieToSet | null {
  // Next.js adds the response headers of the proxy to those of the request. Commas also occur in Expires.
  const lines = headers.get("set-cookie")?.split(/,\s*(?=[^;,\s]+=)/) ?? [];
  const line = lines.find((one) => one.startsWith(`${cookieName}=`));
  if (line === undefined) return null;
  const cookie = parseSetCookie(line);
  return cookie.value === jar.get(cookieName)?.value ? ({ path: "/", ...cookie } as CookieToSet) : null;
}
