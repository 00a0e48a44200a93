import { assertOptions, isFunction, isText } from "../shared/option-checks.ts";
import type { SessionManager } from "../manager.ts";
import type { SessionData } from "../session/data.ts";
import type { Session } from "../session/session.ts";
import type { Duration } from "../shared/duration.ts";
import { requireFresh as freshOfFetch } from "./fetch.ts";
import type { GuardOptions } from "./fresh.ts";
import { onlySession, remember } from "./loaded.ts";
import { withoutSession } from "./prerendered.ts";
import { plainError, respond } from "./respond.ts";
import { kept, lazySessions, refuseManager, shareManager, type LazySessions } from "./shared-manager.ts";

export { withDeviceBinding } from "./device-handler.ts";
export type { FreshOptions, GuardOptions } from "./fresh.ts";
export type { LazySessions } from "./shared-manager.ts";

/** As much of a context of Astro as is used. */
export interface AstroContext {
  readonly request: Request;
  readonly locals: object;
  readonly isPrerendered: boolean;
  readonly clientAddress: string;
}

export interface AstroSessionsOptions {
  /** The property of `locals`. An application with several managers gives each its own. Default "session". */
  property?: string;
  /** Returns the client address to store with a new session. Default: `context.clientAddress`, or none where that throws. */
  address?: (context: never) => string | undefined;
  /**
   * Responds when the session could not be loaded or saved. Default: store and conflict errors are logged and answered with
   * their status (503, 409) and a short text. For other errors, Astro renders `500.astro`.
   */
  onError?: (error: unknown, context: never) => Response | Promise<Response>;
}

/** Sessions of an Astro application. */
export interface AstroSessions<Data = SessionData> extends LazySessions<Data> {
  /**
   * The middleware: `export const onRequest = sessions.onRequest` in `src/middleware.ts`, or the first in `sequence`. Provides
   * `locals.session`, which is saved before the response is sent.
   */
  onRequest(context: AstroContext, next: () => Promise<Response>): Promise<Response>;
}

/** What this middleware did for a request so far. Astro runs it again for a rewrite, and for an error page. */
interface Visit<Data> {
  readonly session: Session<Data>;
  /** The cookie of the response. Undefined until there is one. */
  sent?: string | null;
}

/**
 * Sessions for Astro.
 * @param create creates the manager. Called once per process, at the first request of a page that is not prerendered
 */
export function astroSessions<Data = SessionData>(
  create: () => SessionManager<Data>,
  options: AstroSessionsOptions = {},
): AstroSessions<Data> {
  refuseManager("astroSessions", create);
  assertOptions("astroSessions", options, { property: isText, address: isFunction, onError: isFunction });
  const { property = "session", address, onError } = options;
  const key = `astro ${property}`;
  const shared = () => kept(key, () => shareManager(create()));
  const visits = new WeakMap<object, Visit<Data>>();

  const own: Omit<AstroSessions<Data>, keyof LazySessions> = {
    async onRequest(context, next) {
      const { locals, isPrerendered } = context;
      if (isPrerendered) {
        withoutSession(locals, property);
        return next();
      }
      const { request } = context;
      const sharing = shared();
      const put = (session: Session<Data>) => {
        remember(sharing.manager, locals, session);
        (locals as Record<string, unknown>)[property] = session;
      };
      // A rewrite has the same locals, an error page the same request.
      const before = visits.get(locals) ?? visits.get(request);
      if (before !== undefined && before.sent === undefined) {
        put(before.session);
        return next(); // the outer run saves
      }
      const peer = address === undefined ? addressOf(context) : undefined; // asked for now: a connection that was cut has none
      const visit = (session: Session<Data>) => {
        const begun: Visit<Data> = { session };
        visits.set(locals, begun).set(request, begun);
        return begun;
      };
      const forget = () => void (visits.delete(locals), visits.delete(request));
      let current: Visit<Data> | undefined;
      const response = await respond({
        shared: sharing,
        request,
        headers: request.headers,
        load: async () =>
          before?.session ??
          sharing.sessions.load(request, () => ({
            address: address === undefined ? peer : address(context as never),
          })),
        async handler(session) {
          put(session);
          current = visit(session);
          try {
            return await next();
          } catch (error) {
            forget(); // nothing is saved
            throw error;
          }
        },
        onError(error) {
          forget();
          current = undefined;
          return onError === undefined ? plainError(error) : onError(error, context as never);
        },
      });
      if (before !== undefined) dropCookie(response.headers, before.sent);
      if (current !== undefined) current.sent = sharing.effectOf(current.session).setCookie;
      return response;
    },
  };
  return Object.assign(lazySessions(key, shared), own);
}

/** Astro adds the headers of an error page to those of the response that it replaces. */
function dropCookie(headers: Headers, cookie: string | null | undefined): void {
  const cookies = headers.getSetCookie();
  const others = cookies.filter((other) => other !== cookie);
  if (others.length === cookies.length) return;
  headers.delete("set-cookie");
  for (const other of others) headers.append("set-cookie", other);
}

/** Throws where the platform does not know it. */
function addressOf(context: AstroContext): string | undefined {
  try {
    return context.clientAddress;
  } catch {
    return undefined;
  }
}

/**
 * A guard for middleware, pages and endpoints: `const denied = fresh(context); if (denied) return denied;`, in a page
 * `fresh(Astro)`. Returns undefined if the user proved who they are within this time, by `session.login` or
 * `session.elevate`. Otherwise it returns the response: 401, or for pages and forms a redirect to `redirectTo`.
 */
export function requireFresh(
  within: Duration,
  options: GuardOptions = {},
): (context: Pick<AstroContext, "request" | "locals">) => Response | undefined {
  const fresh = freshOfFetch(within, options);
  return ({ request, locals }) => fresh(onlySession(locals, options.sessions), request) ?? undefined;
}
