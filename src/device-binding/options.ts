import { SessionCookie, type CookieOptions } from "../session/cookie.ts";
import type { EndedLogin } from "../session/device-policy.ts";
import type { Session } from "../session/session.ts";
import { milliseconds, type Duration } from "../shared/duration.ts";

/** A login that mode "require" ended. */
export interface UnboundLogin extends EndedLogin {
  /** The anonymous session with which the request continues: `session.flash(…)` can say why. */
  readonly session: Session<any>;
}

/** Options of device-bound sessions (docs/device-binding.md). */
export interface DeviceBindingOptions {
  /**
   * "offer": a browser that supports it binds its logins to its device; others work as before. "require": a login that no
   * browser bound within `gracePeriod` is ended at its next request.
   */
  mode: "offer" | "require";
  /** How long a proof of the device counts, until the browser has to prove it again: 1 second to 1 day. Default "10 min". */
  cookieLifetime?: Duration;
  /** The path that browsers send their proofs to, below `cookie.path`. The adapters answer it. Default "/.well-known/stored-session". */
  path?: string;
  /** Mode "require": how long after a login its browser may take to bind it: 10 seconds to 1 day. Default "1 min". */
  gracePeriod?: Duration;
  /**
   * Mode "require": called after a login was ended because no browser bound it. The request continues with the anonymous
   * `session`, in which a flash message can say why.
   */
  onUnbound?: (login: UnboundLogin) => void | Promise<void>;
}

/** The options with their defaults. Durations are in milliseconds. */
export interface ResolvedDeviceBinding {
  readonly isRequired: boolean;
  readonly cookieLifetime: number;
  readonly path: string;
  readonly gracePeriod: number;
  readonly onUnbound: DeviceBindingOptions["onUnbound"];
  readonly cookie: SessionCookie;
}

const names = ["mode", "cookieLifetime", "path", "gracePeriod", "onUnbound"];
const pathPattern = /^\/(?!\/)[\w\-.~/]{1,255}$/;
const longestLifetime = 86_400_000;

/** The options with their defaults; null if there are none. Adds every problem to `problems`. */
export function resolveDeviceBinding(
  { deviceBinding: given, cookie = {}, format }: Given,
  problems: string[],
): ResolvedDeviceBinding | null {
  if (given === undefined) return null;
  if (format !== undefined)
    problems.push(
      "`deviceBinding` requires `keys`: it cannot be combined with `format`, such as Rails mode.",
    );
  if (typeof given !== "object" || given === null) {
    problems.push('`deviceBinding` must be an object, such as { mode: "offer" }.');
    return null;
  }
  const { mode, path = "/.well-known/stored-session", onUnbound } = given;
  const wrong = (name: string, what: string) => void problems.push(`\`deviceBinding.${name}\` ${what}`);
  for (const name of Object.keys(given))
    if (!names.includes(name)) wrong(name, `is not an option. Valid options: ${names.join(", ")}.`);
  if (mode !== "offer" && mode !== "require")
    wrong("mode", `is ${JSON.stringify(mode)}: use "offer" or "require".`);
  const duration = (name: "cookieLifetime" | "gracePeriod", otherwise: Duration, least: number): number => {
    const value = milliseconds(given[name] ?? otherwise);
    if (value === null || value < least || value > longestLifetime)
      wrong(name, `must be a duration from ${least} ms to 1 day, such as "${otherwise}".`);
    return value ?? 0;
  };
  const cookieLifetime = duration("cookieLifetime", "10 min", 1_000);
  const gracePeriod = duration("gracePeriod", "1 min", 10_000); // browsers bind a login after its response
  if (typeof path !== "string" || !pathPattern.test(path))
    wrong("path", "must begin with one / and have only letters, digits and -._~/.");
  else if (/\/\.\.?(?:\/|$)/.test(path))
    wrong("path", "must have no segment . or .., which browsers resolve before they send a request.");
  if (onUnbound !== undefined && typeof onUnbound !== "function") wrong("onUnbound", "must be a function.");
  if (onUnbound !== undefined && mode === "offer") wrong("onUnbound", 'is called only with mode "require".');
  const { name = "__Host-session", secure, domain, sameSite, partitioned, priority } = cookie;
  if (secure === false)
    problems.push(
      "`deviceBinding` requires HTTPS: leave out `cookie.secure`, or `deviceBinding` in development.",
    );
  if (domain !== undefined)
    problems.push("`deviceBinding` binds the sessions of one host. Leave out `cookie.domain`.");
  if (typeof path === "string" && !covers(`${cookie.path ?? "/"}`, path))
    wrong(
      "path",
      `is ${JSON.stringify(path)}, to which browsers do not send a cookie of \`cookie.path\` ${JSON.stringify(cookie.path)}. Choose a path below it.`,
    );
  if (problems.length > 0) return null; // those of `cookie` too, which the device cookie would repeat
  const base = name.replace(/^__(?:Host-Http|Host|Secure|Http)-/i, "");
  const own = { name: `__Host-${base}-device`, sameSite, partitioned, priority };
  return {
    isRequired: mode === "require",
    cookieLifetime,
    path,
    gracePeriod,
    onUnbound,
    cookie: new SessionCookie(own),
  };
}

/** Whether browsers send a cookie of this path to a URL path (RFC 6265 §5.1.4). */
function covers(cookiePath: string, path: string): boolean {
  return path === cookiePath || path.startsWith(cookiePath.endsWith("/") ? cookiePath : `${cookiePath}/`);
}

/** The options of the manager that matter here. */
interface Given {
  readonly deviceBinding?: DeviceBindingOptions;
  readonly cookie?: CookieOptions;
  readonly format?: unknown;
}
