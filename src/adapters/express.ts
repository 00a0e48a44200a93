import type { SessionData } from "../session/data.ts";
import type { ClientInfo } from "../session/format.ts";
import type { SessionManager } from "../manager.ts";
import type { Session } from "../session/session.ts";
import type { AnyFunction } from "./node/interceptors.ts";
import { assertManager } from "./assert-manager.ts";
import { loadedFor, remember } from "./loaded.ts";
import { guard } from "./node/node-response.ts";
import { connectPassport, type Passport } from "./passport.ts";
import type { ResponseGuard } from "./node/response-guard.ts";

export { sessionOf } from "./loaded.ts";

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    interface Request {
      /** The visitor's session, loaded by the `session` middleware. */
      session: Session<SessionData>;
    }
  }
}

/** As much of an Express request as this middleware looks at. */
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
   * The Passport instance, for `passport.authenticate`, `passport.session()`, `req.login` and `req.logout`. What its
   * `serializeUser` gives is kept in `data.passport.user`; who that is, for `session.user` and `sessions.forUser`, is
   * the manager's `userOf`, or the value itself where it is an id.
   */
  passport?: Passport;
}

/**
 * Express middleware: `req.session`, loaded before the handlers and committed before the response's first byte.
 *
 * A session that cannot be loaded, and one that cannot be saved, goes to the application's error handling with the
 * headers unsent. Addresses and https are those that Express believes (`app.set("trust proxy", …)`). Mounted twice,
 * it loads once.
 */
export function session<Data>(
  sessions: SessionManager<Data>,
  options: ExpressSessionOptions = {},
): (request: ExpressRequest, response: object, next: (error?: unknown) => void) => Promise<void> {
  assertManager(sessions);
  const { property = "session", passport } = options;
  if (passport !== undefined && property !== "session") {
    throw new TypeError(
      "Passport looks for the session in req.session: give `property` or `passport`, not both.",
    );
  }
  const connect = passport === undefined ? undefined : connectPassport(sessions, passport);
  return async function storedSession(request, response, next) {
    try {
      let visitor = loadedFor(sessions, request);
      if (visitor === undefined) {
        const { headers, socket } = request;
        visitor = await sessions.load(headers.cookie, new Client(request));
        remember(sessions, request, visitor);
        const guarding = guard(sessions, visitor, response, {
          onError: next,
          isSecure: () => request.secure,
          request: { headers, socket },
          current: () => (request as unknown as Record<string, unknown>)[property],
        });
        watchFiles(response, guarding);
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

const files = Symbol("stored-session.files");

interface FileSender {
  sendFile?: AnyFunction;
  [files]?: { guarding: ResponseGuard; own: AnyFunction | undefined };
}

/** Where the client goes away, `res.sendFile` and `res.download` drop the file without a call on the response. */
function watchFiles(response: FileSender, guarding: ResponseGuard): void {
  if (response[files] !== undefined || typeof response.sendFile !== "function") return;
  response[files] = { guarding, own: Object.hasOwn(response, "sendFile") ? response.sendFile : undefined };
  response.sendFile = sendFile as AnyFunction;
}

function sendFile(this: FileSender, ...args: unknown[]): unknown {
  const { guarding, own } = this[files]!;
  // Express exchanges the prototype for each application inside another
  const answer = (own ?? (Object.getPrototypeOf(this) as FileSender).sendFile!).apply(this, args);
  guarding.answering();
  return answer;
}

/**
 * Who a new session is begun by. The address is worked out when it is asked for: that costs as much as all the rest
 * here, and few requests begin a session.
 */
class Client implements ClientInfo {
  readonly #request: ExpressRequest;
  readonly #app: unknown;
  readonly userAgent: string | undefined;

  constructor(request: ExpressRequest) {
    this.#request = request;
    this.#app = request.app;
    this.userAgent = request.headers["user-agent"];
    void request.socket.remoteAddress; // the socket remembers it when the client has gone
  }

  get address(): string | undefined {
    const request = this.#request;
    if (request.app === this.#app) return request.ip;
    // An application mounted inside this one has the request now, and may believe other proxies.
    return Reflect.get(request, "ip", Object.create(request, { app: { value: this.#app } })) as string;
  }
}
