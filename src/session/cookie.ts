import { stringifySetCookie, type SetCookie } from "cookie";
import { LimitError, OptionsError } from "../errors.ts";

/** Name and attributes of the session cookie. All are optional. */
export interface CookieOptions {
  /**
   * Default `__Host-session`, or `session` with `secure: false`. Browsers reject a cookie whose name starts with `__Host-`,
   * `__Secure-` or `__Http-` unless its attributes match the prefix (RFC 6265bis §4.1.3). A mismatch is an
   * {@link OptionsError} at startup.
   */
  name?: string | undefined;
  /** The cookie is sent only for URLs under this path. Default `/`, the only path that `__Host-` allows. */
  path?: string | undefined;
  /** The cookie is sent to this host and its subdomains. Default: only the host that set it, as `__Host-` requires. */
  domain?: string | undefined;
  /** Whether cross-site requests include the cookie. Default `lax`: only top-level navigations do. */
  sameSite?: "lax" | "strict" | "none" | undefined;
  /** Send the cookie over HTTPS only. Default true. Use false only for development over plain HTTP. */
  secure?: boolean | undefined;
  /** Hide the cookie from JavaScript. Default true. */
  httpOnly?: boolean | undefined;
  /** Partition the cookie by top-level site (CHIPS). Requires `secure` and `sameSite: "none"`. Default false. */
  partitioned?: boolean | undefined;
  /** Eviction priority in Chrome. Default: attribute omitted, which means `medium`. */
  priority?: "low" | "medium" | "high" | undefined;
  /**
   * True: the cookie persists until the session's absolute timeout, at most 400 days. False: it is deleted when the
   * browser closes, although browsers that restore windows may keep it. Default true.
   */
  persist?: boolean | undefined;
  /** Send the cookie again with each commit that extended the session. Default false. */
  rolling?: boolean | undefined;
  /**
   * Confirms `secure: false` for production. Without it, `secure: false` is an {@link OptionsError} if NODE_ENV is
   * `production`. Default false.
   */
  insecureInProduction?: boolean | undefined;
}

/** RFC 6265bis §5.6: browsers ignore a cookie whose name and value together exceed this many bytes. */
const longestPair = 4096;
/** Characters of a token. */
const tokenLength = 64;
/** RFC 6265bis §5.5: browsers cap Max-Age at 400 days. In seconds. */
const longestAge = 400 * 86_400;
/** R10: at most this many cookies of our name are considered. */
const mostValues = 4;

/** RFC 9110 §5.6.2 `token`. */
const namePattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 6265 §4.1.1 `cookie-octet`. */
const valuePattern = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/;
/** RFC 6265 §4.1.1 `path-value` starting with a slash, without spaces, which browsers trim. */
const pathPattern = /^\/[\x21-\x3a\x3d-\x7e]*$/;
/** RFC 1123 §2.1 host name of letters, digits and hyphens. A leading dot is allowed and ignored. */
const domainPattern = /^\.?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;

type Attributes = Omit<SetCookie, "name" | "value">;

type Kind = "text" | "flag" | readonly string[];

const kinds: Readonly<Record<keyof CookieOptions, Kind>> = {
  name: "text",
  path: "text",
  domain: "text",
  sameSite: ["lax", "strict", "none"],
  secure: "flag",
  httpOnly: "flag",
  partitioned: "flag",
  priority: ["low", "medium", "high"],
  persist: "flag",
  rolling: "flag",
  insecureInProduction: "flag",
};

/** Parses and serializes the session cookie. Treats the value as opaque text. */
export class SessionCookie {
  readonly name: string;
  readonly secure: boolean;
  readonly rolling: boolean;
  readonly #persist: boolean;
  readonly #attributes: Attributes;
  readonly #prefix: string;

  /**
   * Validates the options.
   * @param environment the value of NODE_ENV
   * @returns one message per problem
   */
  static problems(options: CookieOptions | undefined, environment: string | undefined): string[] {
    if (options === undefined) return [];
    if (typeof options !== "object" || options === null || Array.isArray(options))
      return ["`cookie` must be an object of options."];
    const problems = shapeProblems(options);
    if (problems.length > 0) return problems;
    return [...valueProblems(options), ...contradictions(options, environment)];
  }

  /** @throws {OptionsError} invalid options; NODE_ENV is not taken into account */
  constructor(options: CookieOptions = {}) {
    const problems = SessionCookie.problems(options, undefined);
    if (problems.length > 0) throw new OptionsError(problems);
    const {
      path = "/",
      domain,
      sameSite = "lax",
      secure = true,
      httpOnly = true,
      partitioned,
      priority,
    } = options;
    this.name = nameOf(options);
    this.secure = secure;
    this.rolling = options.rolling ?? false;
    this.#persist = options.persist ?? true;
    this.#prefix = `${this.name}=`;
    const attributes = { path, httpOnly, secure, sameSite, domain, partitioned, priority };
    this.#attributes = attributes as Attributes;
  }

  /**
   * Returns the values of the session cookie in a `Cookie` header, in order, at most 4 (R10). Browsers send the cookie
   * with the longest path first (RFC 6265 §5.4). Values are not trimmed, unquoted or percent-decoded. Never throws.
   */
  read(header: string): string[] {
    const values: string[] = [];
    let at = header.indexOf(this.#prefix);
    while (at !== -1 && values.length < mostValues) {
      const semicolon = header.indexOf(";", at);
      const end = semicolon === -1 ? header.length : semicolon;
      if (beginsPair(header, at)) values.push(header.slice(at + this.#prefix.length, end));
      at = header.indexOf(this.#prefix, end);
    }
    return values;
  }

  /**
   * Returns a `Set-Cookie` value. Uses Max-Age only: all current browsers prefer it to Expires.
   *
   * @param token the cookie value. It is not encoded, so it must consist of valid cookie characters
   * @param times milliseconds since the epoch; `expiresAt` is the session's absolute timeout
   * @throws {TypeError} the token is empty or contains invalid characters
   * @throws {LimitError} name and token together exceed 4,096 bytes (R7)
   */
  set(token: string, times: { readonly now: number; readonly expiresAt: number }): string {
    if (!valuePattern.test(token))
      throw new TypeError(
        "The cookie value is empty or contains characters that are not allowed in a cookie.",
      );
    const length = this.name.length + token.length;
    if (length > longestPair) {
      throw new LimitError(
        "bytes",
        `The cookie name and value are ${length} bytes long. Browsers ignore cookies over ${longestPair} bytes: shorten the name or value.`,
      );
    }
    // Round up: keeping an expired session's cookie for a moment is harmless, dropping a live session's cookie is not.
    const seconds = Math.ceil((times.expiresAt - times.now) / 1000);
    return this.#write(token, this.#persist ? { maxAge: Math.min(Math.max(seconds, 1), longestAge) } : {});
  }

  /**
   * Returns a `Set-Cookie` value that deletes the cookie: same name and attributes (R13), Max-Age=0, and an Expires in
   * 1970 for clients that do not support Max-Age.
   */
  clear(): string {
    return this.#write("", { maxAge: 0, expires: new Date(0) });
  }

  #write(value: string, life: Pick<SetCookie, "maxAge" | "expires">): string {
    return stringifySetCookie({ name: this.name, value, ...this.#attributes, ...life }, { encode: String });
  }
}

function nameOf({ name, secure }: CookieOptions): string {
  return name ?? (secure === false ? "session" : "__Host-session");
}

/** Whether only whitespace separates `at` from the preceding semicolon or the start of the header. */
function beginsPair(header: string, at: number): boolean {
  let before = at - 1;
  while (header[before] === " " || header[before] === "\t") before--;
  return before === -1 || header[before] === ";";
}

/** Unknown options and options of the wrong type. */
function shapeProblems(options: CookieOptions): string[] {
  const problems: string[] = [];
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    if (!Object.hasOwn(kinds, name)) {
      problems.push(unknownOption(name));
    } else if (value !== undefined && !fits(value, kinds[name as keyof CookieOptions])) {
      problems.push(`\`cookie.${name}\` must be ${wanted(kinds[name as keyof CookieOptions])}.`);
    }
  }
  return problems;
}

function fits(value: unknown, kind: Kind): boolean {
  if (kind === "text") return typeof value === "string";
  if (kind === "flag") return typeof value === "boolean";
  return (kind as readonly unknown[]).includes(value);
}

function wanted(kind: Kind): string {
  if (kind === "text") return "a string";
  if (kind === "flag") return "true or false";
  return kind.map((choice) => `"${choice}"`).join(" or ");
}

function unknownOption(name: string): string {
  if (name === "maxAge" || name === "expires") {
    return `\`cookie.${name}\` is not an option. The cookie lasts until \`absoluteTimeout\`, or until the browser closes with \`cookie.persist: false\`.`;
  }
  const known = Object.keys(kinds);
  const meant = known.find((option) => isNear(option.toLowerCase(), name.toLowerCase()));
  const hint = meant === undefined ? `Valid options: ${known.join(", ")}.` : `Did you mean \`${meant}\`?`;
  return `\`cookie.${name}\` is not an option. ${hint}`;
}

/** Whether the words differ by one inserted, deleted or replaced letter, or only in the order of their letters. */
function isNear(a: string, b: string): boolean {
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  const [restA, restB] = [a.slice(same), b.slice(same)];
  return (
    restA.slice(1) === restB ||
    restA === restB.slice(1) ||
    restA.slice(1) === restB.slice(1) ||
    [...a].toSorted().join("") === [...b].toSorted().join("")
  );
}

/** Names, paths and domains that browsers reject (R7, R8). */
function valueProblems({ name = "session", path = "/", domain }: CookieOptions): string[] {
  const problems: string[] = [];
  if (!namePattern.test(name)) {
    problems.push(
      "`cookie.name` must not be empty and may contain only letters, digits and !#$%&'*+-.^_`|~.",
    );
  }
  if (name.length + tokenLength > longestPair) {
    problems.push(`\`cookie.name\` must be at most ${longestPair - tokenLength} characters long.`);
  }
  if (!pathPattern.test(path)) {
    problems.push(
      "`cookie.path` must start with / and may contain only visible ASCII characters other than ; and <.",
    );
  }
  if (path.length > 1024) {
    problems.push("`cookie.path` must be at most 1024 characters long.");
  }
  if (domain !== undefined && (!domainPattern.test(domain) || domain.length > 253)) {
    problems.push(
      "`cookie.domain` must be a host name without a port, such as example.com. Write an internationalized name in its xn--… form.",
    );
  }
  return problems;
}

/** Combinations of options that browsers reject (R4, R6). */
function contradictions(options: CookieOptions, environment: string | undefined): string[] {
  const { path = "/", domain, sameSite, secure = true, httpOnly = true, partitioned = false } = options;
  const name = nameOf(options);
  const problems: string[] = [];
  const prefix = /^__(?:Host-Http|Host|Secure|Http)-/i.exec(name)?.[0];
  if (prefix !== undefined) {
    const needs = (what: string) =>
      problems.push(
        `The cookie name ${JSON.stringify(name)} requires ${what}, because it starts with ${prefix}.`,
      );
    if (!secure) needs("`cookie.secure`");
    if (prefix.toLowerCase().endsWith("http-") && !httpOnly) needs("`cookie.httpOnly`");
    const host = prefix.toLowerCase().startsWith("__host-");
    if (host && path !== "/") needs("`cookie.path` to be /");
    if (host && domain !== undefined) needs("`cookie.domain` to be left out");
  }
  if (sameSite === "none" && !secure) problems.push('`cookie.sameSite: "none"` requires `cookie.secure`.');
  if (partitioned && !secure) problems.push("`cookie.partitioned` requires `cookie.secure`.");
  if (partitioned && sameSite !== "none")
    problems.push('`cookie.partitioned` requires `cookie.sameSite: "none"`.');
  if (!secure && environment === "production" && options.insecureInProduction !== true) {
    problems.push(
      "`cookie.secure: false` exposes session cookies on unencrypted connections. To allow it with NODE_ENV=production, also set `cookie.insecureInProduction: true`.",
    );
  }
  return problems;
}
