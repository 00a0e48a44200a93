import { stringifySetCookie, type SetCookie } from "cookie";
import { LimitError, OptionsError } from "../errors.ts";

/** The session cookie's name and attributes. Each may be left out. */
export interface CookieOptions {
  /**
   * Default `__Host-session`, and `session` with `secure: false`. A name that begins with `__Host-`, `__Secure-` or
   * `__Http-` makes browsers refuse the cookie unless the other options fit it (RFC 6265bis §4.1.3): contradictions
   * are refused at start-up.
   */
  name?: string | undefined;
  /** Sent for URLs below this path only. Default `/`, the only one that `__Host-` allows. */
  path?: string | undefined;
  /** Sent to all hosts below this one. Default: the host that set it alone, which is all that `__Host-` allows. */
  domain?: string | undefined;
  /** Whether requests that begin on other sites bring it. Default `lax`: only when a link is followed. */
  sameSite?: "lax" | "strict" | "none" | undefined;
  /** Sent over https only. Default true; false is for plain http while developing. */
  secure?: boolean | undefined;
  /** Not readable by scripts. Default true. */
  httpOnly?: boolean | undefined;
  /** Kept apart for each site that embeds this one (CHIPS). Needs `secure` and `sameSite: "none"`. Default false. */
  partitioned?: boolean | undefined;
  /** Which cookies Chrome drops last when it has too many. Default: unsaid, which is `medium`. */
  priority?: "low" | "medium" | "high" | undefined;
  /**
   * True, the default: the cookie outlives the browser, up to the session's absolute limit and at most 400 days.
   * False: until the browser is closed, which many browsers that restore their windows never do.
   */
  persist?: boolean | undefined;
  /** Set the cookie again with each commit that has moved the session's limit. Default false. */
  rolling?: boolean | undefined;
  /**
   * Says a second time that `secure: false` is meant, which is refused without it when NODE_ENV is `production`.
   * Default false.
   */
  insecureInProduction?: boolean | undefined;
}

/** RFC 6265bis §5.6: browsers ignore a cookie whose name and value together are longer, in bytes. */
const longestPair = 4096;
/** Characters of a token. */
const tokenLength = 64;
/** RFC 6265bis §5.5: browsers cut any Max-Age to 400 days. In seconds. */
const longestAge = 400 * 86_400;
/** R10: more cookies of our name than this are not looked at. */
const mostValues = 4;

/** RFC 9110 §5.6.2 `token`. */
const namePattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 6265 §4.1.1 `cookie-octet`. */
const valuePattern = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/;
/** RFC 6265 §4.1.1 `path-value` that begins with a slash, without the space that browsers would trim. */
const pathPattern = /^\/[\x21-\x3a\x3d-\x7e]*$/;
/** RFC 1123 §2.1 host name of letters, digits and hyphens. A leading dot is allowed, and means nothing. */
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

/** Writes the session's cookie, and finds it in a request. It knows no token: values are text. */
export class SessionCookie {
  readonly name: string;
  readonly secure: boolean;
  readonly rolling: boolean;
  readonly #persist: boolean;
  readonly #attributes: Attributes;
  readonly #prefix: string;

  /**
   * @param environment NODE_ENV
   * @returns every problem of the options, a sentence each
   */
  static problems(options: CookieOptions | undefined, environment: string | undefined): string[] {
    if (options === undefined) return [];
    if (typeof options !== "object" || options === null || Array.isArray(options))
      return ["`cookie` must be an object of options."];
    const problems = shapeProblems(options);
    if (problems.length > 0) return problems;
    return [...valueProblems(options), ...contradictions(options, environment)];
  }

  /** @throws {OptionsError} options with problems, NODE_ENV apart */
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
   * The values that a `Cookie` header has under our name, in its order, at most 4 (R10): browsers put the cookie of
   * the longest path first (RFC 6265 §5.4). They come as they are, neither trimmed nor unquoted nor percent-decoded. Never
   * throws, whatever the header.
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
   * A `Set-Cookie` value. It has a Max-Age, which every browser in use prefers to Expires, and no Expires.
   *
   * @param token goes out as it is, so it must be made of the characters that a cookie may have
   * @param times milliseconds since the epoch; `expiresAt` is the session's absolute limit
   * @throws {TypeError} a token with other characters, or none
   * @throws {LimitError} name and token together are longer than 4,096 bytes (R7)
   */
  set(token: string, times: { readonly now: number; readonly expiresAt: number }): string {
    if (!valuePattern.test(token))
      throw new TypeError("The cookie's value has characters that no cookie may have.");
    const length = this.name.length + token.length;
    if (length > longestPair) {
      throw new LimitError(
        "bytes",
        `The cookie's name and value take ${length} bytes, and browsers ignore a cookie of more than ${longestPair}.`,
      );
    }
    // rounded up: the browser may keep a dead session's cookie for a moment, but must not forget a live one's
    const seconds = Math.ceil((times.expiresAt - times.now) / 1000);
    return this.#write(token, this.#persist ? { maxAge: Math.min(Math.max(seconds, 1), longestAge) } : {});
  }

  /**
   * A `Set-Cookie` value that makes the browser forget the cookie: the same name and attributes (R13), Max-Age=0,
   * and an Expires in 1970 for clients that know no Max-Age.
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

/** Whether only white space lies between the place and the semicolon or start before it. */
function beginsPair(header: string, at: number): boolean {
  let before = at - 1;
  while (header[before] === " " || header[before] === "\t") before--;
  return before === -1 || header[before] === ";";
}

/** Options that do not exist, or are of the wrong type. */
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
    return `\`cookie.${name}\` is not an option: the cookie lasts as long as \`absoluteTimeout\`, or with \`cookie.persist: false\` until the browser is closed.`;
  }
  const known = Object.keys(kinds);
  const meant = known.find((option) => isNear(option.toLowerCase(), name.toLowerCase()));
  const hint = meant === undefined ? `The options are: ${known.join(", ")}.` : `Did you mean \`${meant}\`?`;
  return `\`cookie.${name}\` is not an option. ${hint}`;
}

/** Whether one letter added, left out or replaced, or letters in another order, make one word of the other. */
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

/** Names, paths and domains that no browser would accept (R7, R8). */
function valueProblems({ name = "session", path = "/", domain }: CookieOptions): string[] {
  const problems: string[] = [];
  if (!namePattern.test(name)) {
    problems.push(
      "`cookie.name` may have letters, digits and !#$%&'*+-.^_`|~, and needs at least one of them.",
    );
  }
  if (name.length + tokenLength > longestPair) {
    problems.push(`\`cookie.name\` may have at most ${longestPair - tokenLength} characters.`);
  }
  if (!pathPattern.test(path)) {
    problems.push(
      "`cookie.path` must begin with / and may have visible ASCII characters other than ; and <.",
    );
  }
  if (path.length > 1024) {
    problems.push("`cookie.path` may have at most 1024 characters.");
  }
  if (domain !== undefined && (!domainPattern.test(domain) || domain.length > 253)) {
    problems.push(
      "`cookie.domain` must be a host name, such as example.com, without port (a name in another script as xn--…).",
    );
  }
  return problems;
}

/** Options that are fine alone and that browsers refuse together (R4, R6). */
function contradictions(options: CookieOptions, environment: string | undefined): string[] {
  const { path = "/", domain, sameSite, secure = true, httpOnly = true, partitioned = false } = options;
  const name = nameOf(options);
  const problems: string[] = [];
  const prefix = /^__(?:Host-Http|Host|Secure|Http)-/i.exec(name)?.[0];
  if (prefix !== undefined) {
    const needs = (what: string) =>
      problems.push(
        `The cookie name ${JSON.stringify(name)} needs ${what}, because it begins with ${prefix}.`,
      );
    if (!secure) needs("`cookie.secure`");
    if (prefix.toLowerCase().endsWith("http-") && !httpOnly) needs("`cookie.httpOnly`");
    const host = prefix.toLowerCase().startsWith("__host-");
    if (host && path !== "/") needs("`cookie.path` to be /");
    if (host && domain !== undefined) needs("`cookie.domain` to be left out");
  }
  if (sameSite === "none" && !secure) problems.push('`cookie.sameSite: "none"` needs `cookie.secure`.');
  if (partitioned && !secure) problems.push("`cookie.partitioned` needs `cookie.secure`.");
  if (partitioned && sameSite !== "none")
    problems.push('`cookie.partitioned` needs `cookie.sameSite: "none"`.');
  if (!secure && environment === "production" && options.insecureInProduction !== true) {
    problems.push(
      "`cookie.secure: false` sends sessions over the network in clear. To do so with NODE_ENV=production, set `cookie.insecureInProduction: true` as well.",
    );
  }
  return problems;
}
