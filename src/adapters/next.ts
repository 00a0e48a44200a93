import { assertOptions, isFunction, isText } from "../shared/option-checks.ts";
import { pathOfSite } from "../shared/return-path.ts";
import type { SessionManager } from "../manager.ts";
import type { SessionData } from "../session/data.ts";
import type { Session } from "../session/session.ts";
import { controlFlowOf } from "./next/control-flow.ts";
import { forwardCookie } from "./next/forward-cookie.ts";
import { outcomeOf } from "./next/outcome.ts";
import { pageOf, type PageSession } from "./next/page-session.ts";
import { cookieHeader, cookieOfProxy, type CookieJar, type IncomingHeaders } from "./next/request-cookies.ts";
import { respondOfNext } from "./next/respond.ts";
import { followRequests, keyOf, sharedManager, type NextManager } from "./next/shared.ts";
import { isSpeculative } from "./respond.ts";
import { lazySessions, refuseManager, type LazySessions } from "./shared-manager.ts";

export { requireFresh, type FreshOptions } from "./fetch.ts";
export type { PageSession } from "./next/page-session.ts";

export interface NextSessionsOptions {
  /** Distinguishes the managers of an application that has several. Default "sessions". */
  name?: string;
  /**
   * Returns the client address to store with a new session. Default: the address of the connection, which behind a proxy is
   * that of the proxy.
   */
  address?: (headers: Pick<Headers, "get">) => string | undefined;
  /**
   * Responds for route handlers and the proxy when the session could not be loaded or saved, or the handler threw. If the
   * handler threw, its changes to the session are saved. Default: store and conflict errors are logged and answered with
   * their status (503, 409) and a short text. Other errors go to Next.js, and nothing is saved.
   */
  onError?: (error: unknown, request: Request) => Response | Promise<Response>;
}

/** Sessions of a Next.js application (App Router). */
export interface NextSessions<Data = SessionData> extends LazySessions<Data> {
  /**
   * The session of the request, for server components, and for helpers that they share with actions and handlers. Loaded
   * once per request. Viewing pages extends the idle timeout.
   * @throws {StoreError} the store is unavailable
   */
  auth(): Promise<PageSession<Data>>;
  /**
   * Wraps a server action: `export const addToCart = action(async (session, form: FormData) => { … })`. The session is saved
   * when the function returns, throws, or calls `redirect()` or `notFound()`. If it changed, the page is rendered anew.
   */
  action<Args extends unknown[], Result>(
    work: (session: Session<Data>, ...args: Args) => Result | Promise<Result>,
  ): (...args: Args) => Promise<Result>;
  /**
   * Wraps a route handler: `export const POST = route(async (session, request, context) => new Response(…))`. The session is
   * saved before the response is sent, also when the handler calls `redirect()` or `notFound()`.
   */
  route<Incoming extends Request = Request, Context = unknown>(
    handler: (session: Session<Data>, request: Incoming, context: Context) => Response | Promise<Response>,
  ): (request: Incoming, context: Context) => Promise<Response>;
  /**
   * Wraps the proxy: `export const proxy = sessions.proxy((session, request) => { … })`. It can send a cookie for pages, which
   * cannot send one. A page sees what the proxy saved. A handler that returns nothing passes the request on.
   */
  proxy<Incoming extends Request = Request, Event = unknown>(
    handler?: (
      session: Session<Data>,
      request: Incoming,
      event: Event,
    ) => Response | null | undefined | void | Promise<Response | null | undefined | void>,
  ): (request: Incoming, event: Event) => Promise<Response>;
}

/**
 * Sessions for Next.js 16 with the App Router.
 * @param create creates the manager. Called once per process, at the first request that needs it, and never by `next build`
 */
export function nextSessions<Data = SessionData>(
  create: () => SessionManager<Data>,
  options: NextSessionsOptions = {},
): NextSessions<Data> {
  refuseManager("nextSessions", create);
  followRequests();
  assertOptions("nextSessions", options, { name: isText, address: isFunction, onError: isFunction });
  const { name = "sessions", onError } = options;
  const shared = () => sharedManager(name, create);
  const pages = new WeakMap<object, Promise<PageSession<Data>>>();

  const load = (
    { response, sessions }: NextManager<Data>,
    headers: IncomingHeaders,
    cookie: string | null,
  ) => {
    const { address } = response; // asked for now: a connection that was cut has none
    const protocol = headers.get("x-forwarded-proto")?.split(",")[0] ?? "http";
    const request = {
      url: `${protocol}://${headers.get("host") ?? "localhost"}/`,
      headers: { get: (field: string) => (field === "cookie" ? cookie : headers.get(field)) },
    };
    return sessions.load(request as Request, () => ({
      address: options.address === undefined ? address : options.address(headers),
    }));
  };

  const view = async (sharing: NextManager<Data>, headers: IncomingHeaders, cookie: string | null) => {
    sharing.response.write({ accessed: true, setCookie: null });
    const session = await load(sharing, headers, cookie);
    sharing.touch(session);
    return pageOf(session, async (flash) => {
      if (isSpeculative(headers)) return undefined; // the visitor may never see the page
      const value = session.takeFlash(flash);
      if (value !== undefined) await sharing.manager.commit(session);
      return value;
    });
  };

  const own: Omit<NextSessions<Data>, keyof LazySessions<Data>> = {
    async auth() {
      const { headers, jar } = await incoming();
      const { connection } = await import("next/server.js");
      await connection(); // ends a prerender of the build here, and a prefetch: neither opens, touches or takes anything
      const sharing = shared();
      const running = sharing.running.getStore();
      if (running !== undefined) return pageOf(running, async (flash) => running.takeFlash(flash));
      let page = pages.get(jar);
      if (page === undefined) {
        page = view(sharing, headers, cookieHeader(sharing, headers, jar));
        pages.set(jar, page);
      }
      return page;
    },
    action:
      (work) =>
      async (...args) => {
        const { headers, jar } = await incoming();
        const sharing = shared();
        const around = sharing.running.getStore();
        if (around !== undefined) return work(around, ...args); // called by another action, which saves
        const session = await load(sharing, headers, cookieHeader(sharing, headers, jar));
        const before = sharing.versionOf(session);
        const outcome = await outcomeOf(() => sharing.running.run(session, () => work(session, ...args)));
        try {
          const cookie = (await sharing.sessions.save(session)) ?? cookieOfProxy(sharing, headers, jar);
          if (cookie !== null) jar.set(cookie);
        } catch (error) {
          if (outcome.ok || controlFlowOf(outcome.error) !== null) throw error;
        }
        sharing.response.write(sharing.effectOf(session));
        if (sharing.versionOf(session) !== before) await showChange();
        if (!outcome.ok) throw outcome.error;
        return outcome.value;
      },
    route: (handler) => async (request, context) => {
      const { headers, jar } = await incoming();
      const sharing = shared();
      return respondOfNext({
        shared: sharing,
        request,
        load: () => load(sharing, headers, cookieHeader(sharing, headers, jar)),
        handler: (session) => handler(session, request, context),
        onCookie: () => sharing.response.forbidStoring(),
        onError,
      });
    },
    proxy: (handler) => async (request, event) => {
      const { NextResponse } = await import("next/server.js");
      const sharing = shared();
      return respondOfNext({
        shared: sharing,
        request,
        load: () => load(sharing, request.headers, request.headers.get("cookie")),
        async handler(session) {
          const response = (await handler?.(session, request, event)) ?? NextResponse.next();
          return withAbsoluteLocation(response, request);
        },
        onCookie: (response, setCookie) => forwardCookie(request, response, setCookie),
        onError,
      });
    },
  };
  return Object.assign(lazySessions(keyOf(name), shared), own);
}

async function incoming(): Promise<{ headers: IncomingHeaders; jar: CookieJar }> {
  const { cookies, headers } = await import("next/headers.js");
  return { jar: await cookies(), headers: await headers() };
}

/** Renders the page of an action anew. Next.js does it by itself only if a cookie was set. */
async function showChange(): Promise<void> {
  const { refresh } = await import("next/cache.js");
  try {
    refresh();
  } catch {
    // Called by a route handler, which has no page.
  }
}

/** Next.js accepts only absolute URLs from a proxy, and makes those of its own host relative again. */
function withAbsoluteLocation(response: Response, request: Request): Response {
  const location = response.headers.get("location");
  if (location?.startsWith("/")) response.headers.set("location", new URL(location, request.url).toString());
  return response;
}

/**
 * A redirect to a path of this site. Its `Location` is relative, so it is correct behind a proxy, whose host name and
 * protocol the application does not know.
 * @param path refused if a browser would leave this site with it, as with `//host`, `/\\host` and `/<tab>/host`
 * @param status default 303, with which browsers GET the path after a POST
 */
export function redirectTo(path: string, status: 301 | 302 | 303 | 307 | 308 = 303): Response {
  const location = pathOfSite(path);
  if (location === null) {
    throw new TypeError(
      `redirectTo takes a path of this site, such as "/account". It was given ${JSON.stringify(path)}.`,
    );
  }
  return new Response(null, { status, headers: { location } });
}
