import { withCookie } from "../with-cookie.ts";

const list = "x-middleware-override-headers";
const prefix = "x-middleware-request-";

/**
 * Makes the page of this request see the session cookie that its proxy has set or cleared, in `cookies()` and `headers()`
 * alike. Writes what `NextResponse.next({ request: { headers } })` writes, on top of what the response already overrides.
 */
export function forwardCookie(request: Request, response: Response, setCookie: string): void {
  const { headers } = response;
  if (!headers.has("x-middleware-next") && !headers.has("x-middleware-rewrite")) return;
  const names = new Set(
    headers
      .get(list)
      ?.split(",")
      .map((name) => name.trim()),
  );
  if (names.size === 0) {
    // Next.js removes each request header that is not in the list.
    for (const [name, value] of request.headers) {
      names.add(name);
      headers.set(prefix + name, value);
    }
  }
  const before = names.has("cookie") ? headers.get(`${prefix}cookie`) : null;
  const after = withCookie(before, setCookie);
  names.add("cookie");
  headers.set(`${prefix}cookie`, after);
  headers.set(list, [...names].join(","));
}
