import { assertOptions, isAnything, isText, type OptionCheck } from "../shared/option-checks.ts";
import type { SessionManager } from "../manager.ts";
import { windowOf, type FreshRequirement } from "../session/authentication.ts";
import type { Session } from "../session/session.ts";
import type { Duration } from "../shared/duration.ts";
import { sitePath } from "../shared/return-path.ts";

export interface FreshOptions extends FreshRequirement {
  /**
   * The path of this site where users prove who they are, such as "/confirm". Page views and forms are redirected there, with
   * the path to return to as `return_to`: read it with `returnPath`. Default: every request is answered with 401.
   */
  readonly redirectTo?: string;
}

export interface GuardOptions extends FreshOptions {
  /** The manager whose session is meant, if a request has the sessions of several. */
  readonly sessions?: SessionManager<any>;
}

/** As much of a request as a guard uses. */
export interface CheckedRequest {
  readonly method: string;
  /** Path and query, or an absolute URL. */
  readonly url: string;
  header(name: "accept" | "host" | "referer" | "sec-fetch-mode"): string | null | undefined;
}

export type FetchRequest = Pick<Request, "method" | "url" | "headers">;

/** What to answer instead of the handler. */
export interface Challenge {
  readonly status: 401 | 303;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** Returns what to answer; null if the handler may run. */
export type FreshGuard = (session: Session<never>, request: CheckedRequest) => Challenge | null;

/** @throws {TypeError} `within` is not a duration, or `redirectTo` not a path of this site */
export function freshGuard(within: Duration, options: FreshOptions = {}): FreshGuard {
  assertOptions("requireFresh", options, {
    level: isLevel,
    redirectTo: isText,
    sessions: isAnything, // checked where it is used
  });
  const { level, redirectTo } = options;
  const seconds = Math.floor(windowOf("requireFresh", within) / 1_000);
  if (redirectTo !== undefined && sitePath(redirectTo) === null) {
    throw new TypeError(
      `requireFresh: \`redirectTo\` must be a path of this site, such as "/confirm". It is ${JSON.stringify(redirectTo)}.`,
    );
  }
  const denied = denial(seconds, level);
  return (session, request) => {
    if (session.isFresh(within, level === undefined ? {} : { level })) return null;
    return redirectTo === undefined || !isNavigation(request) ? denied : redirection(redirectTo, request);
  };
}

const isLevel: OptionCheck = (value) =>
  (typeof value === "string" && value !== "") ||
  (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string" && one !== ""))
    ? null
    : "use a level, or an array of levels";

/** Names of the parameters: RFC 9470, OAuth 2.0 Step Up Authentication Challenge. */
function denial(seconds: number, level: FreshOptions["level"]): Challenge {
  const levels = level === undefined ? undefined : [level].flat().join(" ");
  const error = "insufficient_user_authentication";
  const challenge = {
    error,
    max_age: seconds,
    ...(levels !== undefined && { acr_values: levels }),
  };
  return {
    status: 401,
    headers: {
      "content-type": "application/json; charset=utf-8",
      "cache-control": "no-store",
      "www-authenticate": `Session error="${error}", max_age=${seconds}`,
    },
    body: JSON.stringify(challenge),
  };
}

/** Sends a user to the path of a page, with the path to return to. */
export function redirection(redirectTo: string, request: CheckedRequest): Challenge {
  const target = new URL(redirectTo, "https://site.invalid");
  const back = placeOf(request);
  if (back !== null) target.searchParams.set("return_to", back);
  const location = target.pathname + target.search + target.hash;
  return { status: 303, headers: { location, "cache-control": "no-store" }, body: null };
}

/** Whether a browser shows the answer as a page. */
export function isNavigation(request: CheckedRequest): boolean {
  const mode = request.header("sec-fetch-mode");
  if (mode !== null && mode !== undefined) return mode === "navigate";
  return request.header("accept")?.includes("text/html") ?? false;
}

/** The path of the page that the user is on: for a form, the page that shows it. */
function placeOf(request: CheckedRequest): string | null {
  if (request.method === "GET" || request.method === "HEAD") return pathOf(request.url);
  const referer = request.header("referer");
  if (typeof referer !== "string" || !URL.canParse(referer)) return null;
  return new URL(referer).host === request.header("host") ? pathOf(referer) : null;
}

function pathOf(url: string): string | null {
  if (url.startsWith("/") || !URL.canParse(url)) return sitePath(url);
  const { pathname, search } = new URL(url);
  return sitePath(pathname + search);
}

/** @param request a fetch Request, or one that looks like it */
export function fetchRequest({ method, url, headers }: FetchRequest): CheckedRequest {
  return { method, url, header: (name) => headers.get(name) ?? (name === "host" ? new URL(url).host : null) };
}
