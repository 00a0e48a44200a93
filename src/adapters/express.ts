import { assertOptions, isAnything, isText } from "../shared/option-checks.ts";
import type { SessionData } from "../session/data.ts";
import type { ClientInfo } from "../session/format.ts";
import type { SessionManager } from "../manager.ts";
import type { Session } from "../session/session.ts";
import type { Duration } from "../shared/duration.ts";
import type { AnyFunction } from "./node/interceptors.ts";
import { assertManager } from "./assert-manager.ts";
import { nodeBounce, nodeDeviceAnswer, sendDeviceAnswer } from "./device.ts";
import { freshGuard, type GuardOptions } from "./fresh.ts";
import { loadedFor, onlySession, remember } from "./loaded.ts";
import { nodeRequest, sendChallenge } from "./node/challenge.ts";
import { guard, type GuardedRequest } from "./node/node-response.ts";
import type { NodeRequest, NodeResponse } from "./node/request-types.ts";
import { connectPassport, type Passport } from "./passport.ts";
import type { ResponseGuard } from "./node/response-guard.ts";

export { sessionOf } from "./loaded.ts";
export type { FreshOptions, GuardOptions } from "./fresh.ts";

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    interface Request {
      /** The visitor's session, loaded by the `session` middleware. */
      session: Session<SessionData>;
    }
  }
}

/** The part of an Express request that this middleware uses. */
export interface ExpressRequest {
  readonly headers: {
    readonly cookie?: string | undefined;
    readonly "user-agent"?: string | undefined;
    readonly host?: string | undefined;
  };
  readonly socket: { readonly remoteAddress?: string | undefined };
  readonly app?: unknown;
  readonly ip?: string | undefined;
  readonly secure: boolean;
}

export interface ExpressSessionOptions {
  /** The property of the request that holds the session. Default "session". */
  property?: string;
  /**
   * The Passport instance, to support `passport.authenticate`, `passport.session()`, `req.login` and `req.logout`. The result
   * of its `serializeUser` is stored in `data.passport.user`. For `session.user` and `sessions.forUser`, the manager's
   * `userOf` derives the user id from it; without `userOf`, the value itself must be the user id.
   */
  passport?: Passport;
}

/**
 * Express middleware that provides `req.session`. Loads the session before the handlers run and commits it before the first
 * byte of the response.
 *
 * If loading or saving fails, the error is passed to Express's error handlers before any header is sent. Client address
 * and protocol follow Express's proxy settings (`app.set("trust proxy", …)`). Mounting it twice loads the session once.
 */
export function session<Data>(
  sessions: SessionManager<Data>,
  options: ExpressSessionOptions = {},
): (request: ExpressRequest, response: object, next: (error?: unknown) => void) => Promise<void> {
  assertManager(sessions);
  assertOptions("session", options, { property: isText, passport: isAnything }); // Passport is checked where it is connected
  const { property = "session", passport } = options;
  if (passport !== undefined && property !== "session") {
    throw new TypeError(
      "`property` and `passport` cannot be combined, because Passport expects the session in req.session. Leave out one of them.",
    );
  }
  const connect = passport === undefined ? undefined : connectPassport(sessions, passport);
  return async function storedSession(request, response, next) {
    try {
      const answering = nodeDeviceAnswer(sessions, request as unknown as NodeRequest);
      if (answering !== null) return sendDeviceAnswer(response as NodeResponse, await answering);
      let visitor = loadedFor(sessions, request);
      if (visitor === undefined) {
        const client = new Client(request);
        const loading = new Loading(request, property, next);
        visitor = await sessions.load(request.headers.cookie, client);
        const bounced = nodeBounce(visitor, request as unknown as NodeRequest);
        if (bounced !== null) return sendDeviceAnswer(response as NodeResponse, bounced);
        remember(sessions, request, visitor);
        watchFiles(response, guard(sessions, visitor, response, loading));
      }
      connect?.(request, visitor);
      (request as unknown as Record<string, unknown>)[property] = visitor;
    } catch (error) {
      next(error);
      return;
    }
    next();
  };
}

/** What the guard of a response asks about its request. */
class Loading implements GuardedRequest {
  readonly #request: ExpressRequest;
  readonly #property: string;
  readonly onError: (error: unknown) => void;
  readonly headers: ExpressRequest["headers"];
  readonly socket: ExpressRequest["socket"];

  constructor(request: ExpressRequest, property: string, next: (error?: unknown) => void) {
    this.#request = request;
    this.#property = property;
    this.onError = next;
    this.headers = request.headers;
    this.socket = request.socket;
  }

  get request(): GuardedRequest["request"] {
    return this as GuardedRequest["request"];
  }

  isSecure(): boolean {
    return this.#request.secure;
  }

  current(): unknown {
    return (this.#request as unknown as Record<string, unknown>)[this.#property];
  }
}

const files = Symbol("stored-session.files");

interface FileSender {
  sendFile?: AnyFunction;
  [files]?: { guarding: ResponseGuard; own: AnyFunction | undefined };
}

/** If the client disconnects, `res.sendFile` and `res.download` stop without calling a method of the response. */
function watchFiles(response: FileSender, guarding: ResponseGuard): void {
  if (response[files] !== undefined || typeof response.sendFile !== "function") return;
  response[files] = { guarding, own: Object.hasOwn(response, "sendFile") ? response.sendFile : undefined };
  response.sendFile = sendFile as AnyFunction;
}

function sendFile(this: FileSender, ...args: unknown[]): unknown {
  const { guarding, own } = this[files]!;
  // Express swaps the prototype for each mounted sub-application.
  const answer = (own ?? (Object.getPrototypeOf(this) as FileSender).sendFile!).apply(this, args);
  guarding.answering();
  return answer;
}

/**
 * Client metadata of a new session. The address is computed lazily: that costs as much as the rest of this middleware, and
 * few requests create a session.
 */
class Client implements ClientInfo {
  readonly #request: ExpressRequest;
  readonly #app: unknown;
  readonly userAgent: string | undefined;

  constructor(request: ExpressRequest) {
    this.#request = request;
    this.#app = request.app;
    this.userAgent = request.headers["user-agent"];
    void request.socket.remoteAddress; // cache the address on the socket, so that it is available after a disconnect
  }

  get address(): string | undefined {
    const request = this.#request;
    if (request.app === this.#app) return request.ip;
    // A mounted sub-application owns the request now and may have other proxy settings.
    return Reflect.get(request, "ip", Object.create(request, { app: { value: this.#app } })) as string;
  }
}

/**
 * Express middleware that lets a request pass only if its user proved who they are within this time, by `session.login` or
 * `session.elevate`. Mount it after the session: `app.post("/email", requireFresh("5 min", { redirectTo: "/confirm" }), …)`.
 * Otherwise it answers 401, or redirects pages and forms to `redirectTo`.
 */
export function requireFresh(
  within: Duration,
  options: GuardOptions = {},
): (request: NodeRequest, response: NodeResponse, next: (error?: unknown) => void) => void {
  const guarding = freshGuard(within, options);
  return function requireFreshSession(request, response, next) {
    const challenge = guarding(onlySession(request, options.sessions), nodeRequest(request));
    if (challenge === null) next();
    else sendChallenge(response, challenge);
  };
}
