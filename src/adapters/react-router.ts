import { assertOptions, isAnything } from "../shared/option-checks.ts";
import type { SessionData, Unmarked } from "../session/data.ts";
import type { SessionManager } from "../manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import { assertManager } from "./assert-manager.ts";
import { withMutableHeaders } from "./fetch-response.ts";
import { writeResponseHeaders } from "./fetch.ts";
import { commitInRequest, followHttpRequests, loadInRequest, withinRequest } from "./request-scope.ts";
import { bounceResponse, deviceResponse, mayBounce } from "./device.ts";
import { fetchRequest, freshGuard, type FetchRequest, type FreshOptions } from "./fresh.ts";
import type { Duration } from "../shared/duration.ts";
import { tellOfLateChanges } from "./state.ts";

export type { FreshOptions } from "./fresh.ts";

/** A session in the form of React Router and Remix. */
export interface RouterSession<Data = SessionData, FlashData = Data> {
  /** The session's handle, which is not a credential. "" for a session that was never saved. */
  readonly id: string;
  /** A copy of all values in the session, including flashed ones. */
  readonly data: Partial<Data & FlashData>;
  has(name: (keyof Data | keyof FlashData) & string): boolean;
  /** Returns a value. Removes it if it was flashed. */
  get<Name extends (keyof Data | keyof FlashData) & string>(
    name: Name,
  ):
    | (Name extends keyof Data ? Data[Name] : undefined)
    | (Name extends keyof FlashData ? FlashData[Name] : undefined)
    | undefined;
  set<Name extends keyof Data & string>(name: Name, value: Data[Name]): void;
  /** Stores a value that is removed when it is read. */
  flash<Name extends keyof FlashData & string>(name: Name, value: FlashData[Name]): void;
  unset(name: keyof Data & string): void;
}

/** A {@link RouterSession} that `getSession` of this storage returned. */
export interface StoredRouterSession<Data = SessionData, FlashData = Data> extends RouterSession<
  Unmarked<Data>,
  Unmarked<FlashData>
> {
  /** The underlying session, for `login`, `regenerate` and its other methods. */
  readonly stored: Session<Data>;
}

/** React Router's session storage, with additional methods. */
export interface StoredSessionStorage<Data = SessionData, FlashData = Data> {
  /**
   * Loads the session of a request. Within one request, returns its latest state, for example if an action logged in or out
   * before a loader runs. Without arguments, returns a new session.
   * @throws {StoreError} the store is unavailable
   */
  getSession(cookieHeader?: string | null, options?: unknown): Promise<StoredRouterSession<Data, FlashData>>;
  /** Saves the session. Returns a `Set-Cookie` value, or "" if none is needed. Calling it again returns the same value. */
  commitSession(
    session: RouterSession<Unmarked<Data>, Unmarked<FlashData>>,
    options?: unknown,
  ): Promise<string>;
  /** Ends the session. Returns the `Set-Cookie` value that clears the cookie, or "" if none is needed. */
  destroySession(
    session: RouterSession<Unmarked<Data>, Unmarked<FlashData>>,
    options?: unknown,
  ): Promise<string>;
  /** Saves the session. Returns all headers that it requires, for `redirect(url, { headers })` and `data(…)`. */
  commitHeaders(
    session: RouterSession<Unmarked<Data>, Unmarked<FlashData>>,
    headers?: ConstructorParameters<typeof Headers>[0],
  ): Promise<Headers>;
  /**
   * React Router middleware for the root route (`export const middleware = [sessionMiddleware]`) that associates the actions
   * and loaders of one request. On a `node:http` server it is needed only for concurrent visitors without a session:
   * without it, their loaders do not see the changes of their actions. Device-bound sessions (option `deviceBinding`) need it:
   * it answers their endpoint, which needs a route, and adds their headers to the responses.
   */
  sessionMiddleware<Answer>(args: unknown, next: () => Promise<Answer>): Promise<Answer | Response>;
  /** The manager passed to `createStoredSessionStorage`. */
  readonly manager: SessionManager<Data>;
}

/**
 * Creates a session storage for React Router and Remix from a session manager.
 *
 * The manager determines the cookie attributes. `commitSession` rejects cookie options, because a cookie whose attributes
 * vary between requests cannot be cleared reliably.
 */
export function createStoredSessionStorage<Data = SessionData, FlashData = Data>(options: {
  sessions: SessionManager<Data>;
}): StoredSessionStorage<Data, FlashData> {
  const { sessions } = (options as typeof options | undefined) ?? {};
  if (sessions === undefined)
    throw new TypeError("createStoredSessionStorage({ sessions }): `sessions` is missing.");
  assertManager(sessions);
  assertOptions("createStoredSessionStorage", options, { sessions: isAnything });

  followHttpRequests();

  const commit = async (session: RouterSession<Unmarked<Data>, Unmarked<FlashData>>) => {
    const wrapped = wrappedOf(session);
    const committed = await commitInRequest(
      sessions as SessionManager<never>,
      wrapped.stored as Session<never>,
    );
    const { accessed } = stateOf(wrapped.stored as Session<never>);
    wrapped.stored = committed.session as Session<never>;
    const committedState = stateOf(committed.session);
    tellOfLateChanges(committedState, committedState.uses);
    return { setCookie: committed.setCookie, accessed, also: committedState.device.headers };
  };

  /** See `bounce`. */
  const reload = async (request: Request | undefined): Promise<Response | null> => {
    if (request === undefined || !mayBounce(sessions, request)) return null;
    const cookie = request.headers.get("cookie");
    return bounceResponse(await loadInRequest(sessions as SessionManager<never>, cookie), request);
  };

  return {
    async getSession(cookieHeader) {
      return new WrappedSession(
        await loadInRequest(sessions as SessionManager<never>, cookieHeader),
      ) as unknown as StoredRouterSession<Data, FlashData>;
    },
    async commitSession(session, given) {
      refuseOptions("commitSession", given);
      return (await commit(session)).setCookie ?? "";
    },
    async destroySession(session) {
      wrappedOf(session).stored.destroy();
      return (await commit(session)).setCookie ?? "";
    },
    async commitHeaders(session, init) {
      const headers = new Headers(init);
      writeResponseHeaders(headers, await commit(session));
      return headers;
    },
    async sessionMiddleware<Answer>(args: unknown, next: () => Promise<Answer>): Promise<Answer | Response> {
      const { request } = (args ?? {}) as { readonly request?: Request };
      const answering = request === undefined ? null : deviceResponse(sessions, request);
      if (answering !== null) return answering;
      return withinRequest(async (committed) => {
        const reloading = await reload(request);
        return reloading ?? withDevices(await next(), committed);
      });
    },
    manager: sessions,
  };
}

/**
 * A guard for loaders and actions: `fresh(session, request)`. Returns if the user proved who they are within this time, by
 * `stored.login` or `stored.elevate`. Otherwise it throws the response: a redirect to `redirectTo`, or 401 without it.
 */
export function requireFresh(
  within: Duration,
  options: FreshOptions = {},
): <Data, FlashData>(session: RouterSession<Data, FlashData>, request: FetchRequest) => void {
  const fresh = freshGuard(within, options);
  return (session, request) => {
    const guarded = fetchRequest(request);
    const challenge = fresh(wrappedOf(session).stored as Session<never>, {
      ...guarded,
      // React Router fetches the data of a navigation and follows the redirect itself.
      header: (name) => (name === "sec-fetch-mode" ? "navigate" : guarded.header(name)),
    });
    if (challenge === null) return;
    throw new Response(challenge.body, {
      status: challenge.status,
      headers: { ...challenge.headers, vary: "Cookie" },
    });
  };
}

class WrappedSession {
  stored: Session<Record<string, unknown>>;

  constructor(stored: Session<never>) {
    this.stored = stored as Session<Record<string, unknown>>;
  }

  get #flash(): Record<string, unknown> {
    return stateOf(this.stored as Session<never>).content.flash;
  }

  get id(): string {
    return this.stored.isNew ? "" : this.stored.handle;
  }

  get data(): Record<string, unknown> {
    return { ...this.stored.data, ...this.#flash };
  }

  has(name: string): boolean {
    return Object.hasOwn(this.stored.data, name) || Object.hasOwn(this.#flash, name);
  }

  get(name: string): unknown {
    const { data } = this.stored;
    return Object.hasOwn(data, name) ? data[name] : this.stored.takeFlash(name);
  }

  set(name: string, value: unknown): void {
    Object.defineProperty(this.stored.data, name, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }

  flash(name: string, value: unknown): void {
    this.stored.flash(name, value);
  }

  unset(name: string): void {
    delete this.stored.data[name];
  }
}

/** Adds the headers about devices: of what a loader or an action returned, React Router sends only the cookies. */
function withDevices<Answer>(answer: Answer, committed: ReadonlySet<Session<never>>): Answer | Response {
  const owed = [...committed].flatMap((session) => stateOf(session).device.headers);
  if (owed.length === 0 || !(answer instanceof Response)) return answer;
  const response = withMutableHeaders(answer);
  writeResponseHeaders(response.headers, { accessed: true, setCookie: null, also: owed });
  return response;
}

function wrappedOf(session: unknown): WrappedSession {
  if (session instanceof WrappedSession) return session;
  throw new TypeError(
    "This session belongs to another storage. Pass a session that getSession of this storage returned.",
  );
}

function refuseOptions(method: string, options: unknown): void {
  if (options === undefined || Object.keys(options as object).length === 0) return;
  throw new TypeError(
    `${method} does not accept cookie options. Set them in createSessionManager({ cookie: { … } }).`,
  );
}
