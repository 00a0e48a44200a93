import { assertOptions, isFunction, isProxyTrust } from "../shared/option-checks.ts";
import type { SessionManager } from "../manager.ts";
import type { DataOf, SessionData } from "../session/data.ts";
import { stateOf, type Session } from "../session/session.ts";
import type { Duration } from "../shared/duration.ts";
import { assertManager } from "./assert-manager.ts";
import type { H3Event, H3Event1, H3Event2 } from "./h3/events.ts";
import { sessionOfVersion1 } from "./h3/version-1.ts";
import { loadFailed, respondOfVersion2 } from "./h3/version-2.ts";
import { bounceResponse, deviceResponse, nodeBounce, nodeDeviceAnswer, sendDeviceAnswer } from "./device.ts";
import { fetchRequest, freshGuard, type GuardOptions } from "./fresh.ts";
import { nodeRequest } from "./node/challenge.ts";
import { loadedFor, onlySession, remember, sessionOf as sessionOfBearer } from "./loaded.ts";

export type { FreshOptions, GuardOptions } from "./fresh.ts";

export interface H3SessionOptions {
  /**
   * h3 1: how many proxies stand in front of the server, for `X-Forwarded-For` and `X-Forwarded-Proto`. `true` means 1.
   * Default 0.
   */
  trustProxy?: boolean | number;
  /** Returns the client address to store with a new session. Default: the address of the connection. */
  address?: (event: never) => string | undefined;
  /**
   * h3 1: responds when the session could not be saved, instead of the handler. Default: the status of the error and a short
   * text. In h3 2, `onError` of the application responds.
   */
  onError?: (error: unknown, event: never) => void;
}

/** Middleware for h3 1 and h3 2. */
export interface H3SessionMiddleware {
  (event: H3Event, next?: () => unknown): Promise<unknown>;
  /** Tells h3 1 that this is an event handler. */
  __is_handler__: true;
}

/** A session in the form of `useSession` of h3. */
export interface StoredH3Session<Data = SessionData> {
  /** The session's handle, which is not a credential. Undefined for a session that was never saved. */
  readonly id: string | undefined;
  readonly data: DataOf<Data>;
  /** Assigns values to the data, or those that a function of the data returns. Saved before the response is sent. */
  update(
    change: Partial<DataOf<Data>> | ((data: DataOf<Data>) => Partial<DataOf<Data>> | undefined),
  ): Promise<StoredH3Session<Data>>;
  /** Ends the session. */
  clear(): Promise<StoredH3Session<Data>>;
  /** The underlying session, for `login`, `flash` and its other methods. */
  readonly stored: Session<Data>;
}

/**
 * Middleware for h3, Nitro and Nuxt that loads the session and saves it before the response is sent, however the handler
 * responds. In Nitro and Nuxt: `export default storedSession(sessions)` in `server/middleware/`.
 */
export function storedSession<Data>(
  sessions: SessionManager<Data>,
  options: H3SessionOptions = {},
): H3SessionMiddleware {
  assertManager(sessions);
  assertOptions("storedSession", options, {
    trustProxy: isProxyTrust,
    address: isFunction,
    onError: isFunction,
  });
  // Two parameters: h3 2 recognises middleware by them.
  const middleware = async (event: H3Event, next?: () => unknown): Promise<unknown> => {
    const isMounted = loadedFor(sessions, event.context) !== undefined;
    if (isVersion1(event)) {
      const answering = nodeDeviceAnswer(sessions, event.node.req);
      if (answering !== null) return sendDeviceAnswer(event.node.res, await answering);
    } else {
      const answering = deviceResponse(sessions, (event as H3Event2).req);
      if (answering !== null) return answering;
    }
    if (next === undefined) {
      if (isMounted) return undefined;
      const session = await sessionOfVersion1(sessions, event as H3Event1, options as object);
      const { req, res } = (event as H3Event1).node;
      const bounced = nodeBounce(session, req);
      if (bounced !== null) return sendDeviceAnswer(res, bounced);
      keep(sessions, event, session);
      return undefined;
    }
    if (isMounted) return next();
    const session = await load(sessions, event as H3Event2, options);
    const bounced = bounceResponse(session, (event as H3Event2).req);
    if (bounced !== null) return bounced;
    keep(sessions, event, session);
    return respondOfVersion2(sessions, session, event as H3Event2, next);
  };
  return Object.assign(middleware, { __is_handler__: true as const });
}

async function load<Data>(
  sessions: SessionManager<Data>,
  event: H3Event2,
  { address }: H3SessionOptions,
): Promise<Session<Data>> {
  const { headers, ip } = event.req; // asked for now: a connection that was cut has no address
  try {
    return await sessions.load(headers.get("cookie"), () => ({
      address: address === undefined ? ip : address(event as never),
      userAgent: headers.get("user-agent") ?? undefined,
    }));
  } catch (error) {
    loadFailed(event);
    throw error;
  }
}

const latest = new WeakMap<object, Session<never>>();

function keep<Data>(sessions: SessionManager<Data>, { context }: H3Event, session: Session<Data>): void {
  remember(sessions, context, session);
  latest.set(context, session as Session<never>);
}

/**
 * The session of an event, in the form of `useSession`.
 * @throws {TypeError} the middleware has not run for this event
 */
export async function useStoredSession<Data = SessionData>(event: H3Event): Promise<StoredH3Session<Data>> {
  const stored = latest.get(event.context) as Session<Data> | undefined;
  if (stored === undefined) {
    throw new TypeError(
      "This event has no session: mount storedSession(sessions) before the handler, in Nitro and Nuxt as a file of server/middleware/.",
    );
  }
  const wrapped: StoredH3Session<Data> = {
    get id() {
      return stateOf(stored as Session<never>).stored === null ? undefined : stored.handle;
    },
    get data() {
      return stored.data;
    },
    async update(change) {
      const values = typeof change === "function" ? change(stored.data) : change;
      for (const [name, value] of Object.entries(values ?? {})) {
        // Not by assignment, which would take a key `__proto__` for the prototype.
        Object.defineProperty(stored.data, name, {
          value,
          writable: true,
          enumerable: true,
          configurable: true,
        });
      }
      return wrapped;
    },
    async clear() {
      stored.destroy();
      return wrapped;
    },
    stored,
  };
  return wrapped;
}

/**
 * The session of an event, typed by its manager: for applications with several managers.
 * @throws {TypeError} the middleware of this manager has not run for this event
 */
export function sessionOf<Data>(sessions: SessionManager<Data>, event: H3Event): Session<Data> {
  return sessionOfBearer(sessions, event.context);
}

/**
 * A guard for handlers of h3 1 and 2: `const denied = guard(event); if (denied) return denied;`. Returns undefined if the user
 * proved who they are within this time, by `stored.login` or `stored.elevate`. Otherwise it returns the response: 401, or for
 * pages and forms a redirect to `redirectTo`.
 */
export function requireFresh(
  within: Duration,
  options: GuardOptions = {},
): (event: H3Event) => Response | undefined {
  const fresh = freshGuard(within, options);
  return (event) => {
    const session = onlySession(event.context, options.sessions);
    const challenge = fresh(
      session,
      isVersion1(event) ? nodeRequest(event.node.req) : fetchRequest((event as H3Event2).req),
    );
    return challenge === null ? undefined : new Response(challenge.body, challenge);
  };
}

function isVersion1(event: H3Event): event is H3Event1 {
  return typeof (event as Partial<H3Event2>).req?.headers?.get !== "function";
}
