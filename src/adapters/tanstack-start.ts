import { assertOptions, isFunction, isText } from "../shared/option-checks.ts";
import type { SessionManager } from "../manager.ts";
import type { SessionData } from "../session/data.ts";
import type { Session } from "../session/session.ts";
import { plainError, respond } from "./respond.ts";
import { kept, lazySessions, refuseManager, shareManager, type LazySessions } from "./shared-manager.ts";

export { requireFresh, type FreshOptions } from "./fetch.ts";
export type { LazySessions } from "./shared-manager.ts";

export interface TanStackSessionsOptions {
  /** Distinguishes the managers of an application that has several. Default "sessions". */
  name?: string;
  /**
   * Returns the client address to store with a new session. Default: `request.ip`, which servers based on srvx provide, such
   * as Nitro.
   */
  address?: (request: Request) => string | undefined;
  /**
   * Responds when the session could not be loaded or saved. Default: store and conflict errors are logged and answered with
   * their status (503, 409) and a short text. Other errors go to the server.
   */
  onError?: (error: unknown, request: Request) => Response | Promise<Response>;
}

/** Sessions of a TanStack Start application. */
export interface TanStackSessions<Data = SessionData> extends LazySessions<Data> {
  /**
   * Wraps the server entry: `createServerEntry({ fetch: sessions.fetch(handler.fetch) })` in `src/server.ts`. The session is
   * saved before the response is sent, also if it is a thrown `redirect()`.
   */
  fetch<Options extends unknown[]>(
    handler: (request: Request, ...options: Options) => Response | Promise<Response>,
  ): (request: Request, ...options: Options) => Promise<Response>;
  /**
   * The session of the current request, for server functions, server routes, middleware, and loaders on the server.
   * @throws {TypeError} no request is being handled, or its page is prerendered
   */
  session(): Session<Data>;
}

/**
 * Sessions for TanStack Start.
 * @param create creates the manager. Called once per process, at the first request, and never by a build
 */
export function tanStackSessions<Data = SessionData>(
  create: () => SessionManager<Data>,
  options: TanStackSessionsOptions = {},
): TanStackSessions<Data> {
  refuseManager("tanStackSessions", create);
  assertOptions("tanStackSessions", options, { name: isText, address: isFunction, onError: isFunction });
  const { name = "sessions", address, onError } = options;
  const key = `tanstack-start ${name}`;
  const shared = () => kept(key, () => shareManager(create()));

  const own: Omit<TanStackSessions<Data>, keyof LazySessions> = {
    fetch:
      (handler) =>
      async (request, ...rest) => {
        if (isPrerendering()) return handler(request, ...rest);
        const sharing = shared();
        const { ip } = request as Request & { readonly ip?: string }; // asked for now: a connection that was cut has none
        return respond({
          shared: sharing,
          request,
          headers: request.headers,
          load: () =>
            sharing.sessions.load(request, () => ({
              address: address === undefined ? ip : address(request),
            })),
          handler: (session) =>
            sharing.running.run(session, async () => handler(withoutAbort(request), ...rest)),
          onError: (error) => (onError === undefined ? plainError(error) : onError(error, request)),
        });
      },
    session() {
      if (isPrerendering()) {
        throw new TypeError(
          "A prerendered page has no session. Do not prerender this page, or read the session in a server function that the browser calls.",
        );
      }
      const session = shared().running.getStore();
      if (session !== undefined) return session;
      throw new TypeError(
        "There is no session here. Wrap the server entry: createServerEntry({ fetch: sessions.fetch(handler.fetch) }) in src/server.ts, and call session() while a request is handled.",
      );
    },
  };
  return Object.assign(lazySessions(key, shared), own);
}

/** Set by the build while it requests the pages to prerender. */
function isPrerendering(): boolean {
  return process.env["TSS_PRERENDERING"] === "true";
}

/**
 * When a client disconnects, TanStack Start responds before its handlers have finished, and what they change afterwards
 * would be lost.
 */
function withoutAbort(request: Request): Request {
  return Object.defineProperty(request, "signal", {
    value: new AbortController().signal,
    configurable: true,
  });
}
