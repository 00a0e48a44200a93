import type { SessionManager } from "../manager.ts";
import type { Session } from "../session/session.ts";
import { assertOptions, durationFrom, isAnything, isFunction } from "../shared/option-checks.ts";
import { milliseconds, type Duration } from "../shared/duration.ts";
import { sitePath } from "../shared/return-path.ts";

/**
 * What an operator may do:
 *
 * - `view`: see figures, and the sessions of a user with address and user agent. Every page needs it
 * - `audit`: read and verify the audit trail
 * - `revoke`: end sessions
 * - `reveal`: decrypt the data of one session
 * - `export`: download events of the audit trail
 */
export type DashboardPermission = "view" | "revoke" | "reveal" | "export" | "audit";

export const permissions: readonly DashboardPermission[] = ["view", "revoke", "reveal", "export", "audit"];

/** Who uses the dashboard, and what they may do there. */
export interface DashboardAccess {
  /** Names the operator in the audit trail, such as an e-mail address or an id. */
  readonly actor: string;
  readonly may: readonly DashboardPermission[];
  /**
   * The operator's own session, if this package keeps it. Forms are bound to it, and ending the sessions of all users
   * requires a recent login or step-up in it: see `freshFor`.
   */
  readonly session?: Session<any> | undefined;
}

export interface DashboardOptions {
  /** The manager whose sessions are shown: what `createSessionManager` returned. */
  readonly sessions: SessionManager<any>;
  /**
   * Decides for each request who is asking and what they may do. Return null to refuse with 403, or a response, such as a
   * redirect to your login page. `native` is the request of the framework if the dashboard is mounted with one.
   */
  readonly authorize: (
    request: Request,
    context: { readonly native: unknown },
  ) => DashboardAccess | Response | null | Promise<DashboardAccess | Response | null>;
  /** The path where it is mounted, as the handler sees it, such as "/admin/sessions". */
  readonly basePath: string;
  /**
   * Where browsers find it, if a proxy changes the path or the `Host` header: "https://ops.example.com/tools/sessions". Links
   * lead there, and forms are accepted from that origin only. Default: `basePath` at the host of the request.
   */
  readonly publicUrl?: string;
  /**
   * How recently the operator must have proved who they are to end the sessions of all users, if `authorize` returns
   * `session`. Default "5 min".
   */
  readonly freshFor?: Duration;
  /** The page of your site where operators prove who they are again, such as "/confirm". It is linked when that is due. */
  readonly confirmAt?: string;
}

/** @throws {TypeError} an option is missing or invalid */
export function checkDashboardOptions(options: DashboardOptions): void {
  assertOptions("dashboard", options, {
    sessions: isAnything,
    authorize: isFunction,
    basePath: isBasePath,
    publicUrl: isPublicUrl,
    freshFor: durationFrom(1_000),
    confirmAt: (value) =>
      sitePath(value as string) === null ? 'use a path of this site, such as "/confirm"' : null,
  });
  if (typeof (options as Partial<DashboardOptions>).authorize !== "function") {
    throw new TypeError(
      'dashboard: `authorize` is missing. Without it, anybody could see and end sessions. Pass a function that returns { actor, may: ["view"] } for your operators and null for everybody else.',
    );
  }
  if (options.basePath === undefined) {
    throw new TypeError(
      'dashboard: `basePath` is missing. Pass the path where it is mounted, such as "/admin/sessions".',
    );
  }
}

function isBasePath(value: unknown): string | null {
  const isPath =
    typeof value === "string" && (value === "/" || /^(\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/.test(value));
  return isPath
    ? null
    : 'use a path such as "/admin/sessions": letters, digits and -._~ between slashes, without one at the end';
}

function isPublicUrl(value: unknown): string | null {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : null;
  const isUrl =
    url !== null &&
    (url.protocol === "https:" || url.protocol === "http:") &&
    `${url.origin}${url.pathname === "/" ? "" : url.pathname}` === value &&
    isBasePath(url.pathname) === null;
  return isUrl
    ? null
    : 'use the address that browsers show, such as "https://ops.example.com/tools/sessions", without a slash at the end, a query or a fragment';
}

/** "" for the root, so that a page's path can be appended. */
export function prefixOf(basePath: string): string {
  return basePath === "/" ? "" : basePath;
}

/** The path in browsers, before that of each page. */
export function publicPrefixOf({ basePath, publicUrl }: DashboardOptions): string {
  return prefixOf(publicUrl === undefined ? basePath : new URL(publicUrl).pathname);
}

export function freshWindow({ freshFor = "5 min" }: DashboardOptions): number {
  return milliseconds(freshFor)!;
}

/** @throws {TypeError} `authorize` returned something else than its type says */
export function checkAccess(access: unknown): asserts access is DashboardAccess {
  const { actor, may } = (access ?? {}) as Partial<DashboardAccess>;
  const isValid =
    typeof actor === "string" &&
    actor !== "" &&
    Array.isArray(may) &&
    may.every((permission) => permissions.includes(permission));
  if (isValid) return;
  throw new TypeError(
    `dashboard: \`authorize\` must return { actor, may }, a Response or null. \`actor\` is text that names the operator; \`may\` lists some of ${permissions.map((name) => `"${name}"`).join(", ")}.`,
  );
}
