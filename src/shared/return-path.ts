/** Not a host that exists: only what stays on it is a path of this site. */
const site = "https://site.invalid";

const longest = 2_048;

/**
 * The path that a visitor may be sent back to: `value` if it is a path of this site, otherwise `fallback`. Safe for a
 * `Location` header whatever the visitor wrote: an absolute URL, `//host`, `/\host` and control characters are refused (open
 * redirect).
 * @param value such as `request.query.return_to`
 * @param fallback default "/"
 */
export function returnPath(value: unknown, fallback: string = "/"): string {
  return sitePath(value) ?? fallback;
}

/** The same; null if `value` is not a path of this site. */
export function sitePath(value: unknown): string | null {
  return typeof value === "string" && value.length <= longest ? pathOfSite(value) : null;
}

/** The same, of any length. */
export function pathOfSite(value: string): string | null {
  if (!isPath(value)) return null;
  if (!URL.canParse(value, site)) return null;
  const { origin, pathname, search, hash } = new URL(value, site);
  // Browsers remove dots from a path: "/.//host" becomes "//host".
  return origin === site && isPath(pathname) ? pathname + search + hash : null;
}

// oxlint-disable-next-line no-control-regex -- browsers drop tabs and line breaks, so "/\t/host" is "//host"
const pathOnly = /^\/(?![/\\])[^\u0000-\u001f\u007f]*$/;

function isPath(text: string): boolean {
  return pathOnly.test(text);
}
