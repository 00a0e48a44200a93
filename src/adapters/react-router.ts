import type { SessionData, Unmarked } from "../session/data.ts";
import type { SessionManager } from "../manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import { assertManager } from "./assert-manager.ts";
import { writeResponseHeaders } from "./fetch.ts";
import { commitInRequest, followHttpRequests, loadInRequest, withinRequest } from "./request-scope.ts";
import { tellOfLateChanges } from "./state.ts";

/** React Router's and Remix's session, over one of this package. */
export interface RouterSession<Data = SessionData, FlashData = Data> {
  /** The session's handle: it names the session and opens nothing. "" for a session that was never saved. */
  readonly id: string;
  /** A copy of everything in the session, flashed values included. */
  readonly data: Partial<Data & FlashData>;
  has(name: (keyof Data | keyof FlashData) & string): boolean;
  /** A value; one that was flashed is gone after this. */
  get<Name extends (keyof Data | keyof FlashData) & string>(
    name: Name,
  ):
    | (Name extends keyof Data ? Data[Name] : undefined)
    | (Name extends keyof FlashData ? FlashData[Name] : undefined)
    | undefined;
  set<Name extends keyof Data & string>(name: Name, value: Data[Name]): void;
  /** Keeps a value until it is got. */
  flash<Name extends keyof FlashData & string>(name: Name, value: FlashData[Name]): void;
  unset(name: keyof Data & string): void;
}

/** A {@link RouterSession} that `getSession` of this storage returned. */
export interface StoredRouterSession<Data = SessionData, FlashData = Data> extends RouterSession<
  Unmarked<Data>,
  Unmarked<FlashData>
> {
  /** The session itself, for `login`, `regenerate` and all the rest. */
  readonly stored: Session<Data>;
}

/** What `createSessionStorage` of React Router returns, and a little more. */
export interface StoredSessionStorage<Data = SessionData, FlashData = Data> {
  /**
   * The session of a request: in one request the newest, where an action logged in or out before a loader asks. Without
   * any argument, a new one.
   * @throws {StoreError} the store is down
   */
  getSession(cookieHeader?: string | null, options?: unknown): Promise<StoredRouterSession<Data, FlashData>>;
  /** Saves the session. Answers a `Set-Cookie` value, the same when called again, or "" where there is nothing to send. */
  commitSession(
    session: RouterSession<Unmarked<Data>, Unmarked<FlashData>>,
    options?: unknown,
  ): Promise<string>;
  /** Ends the session. Answers the `Set-Cookie` value that clears the cookie, or "" where there is nothing to send. */
  destroySession(
    session: RouterSession<Unmarked<Data>, Unmarked<FlashData>>,
    options?: unknown,
  ): Promise<string>;
  /** Saves the session. Answers all the headers that it causes: for `redirect(url, { headers })` and `data(…)`. */
  commitHeaders(
    session: RouterSession<Unmarked<Data>, Unmarked<FlashData>>,
    headers?: ConstructorParameters<typeof Headers>[0],
  ): Promise<Headers>;
  /**
   * Middleware of React Router for the root route, `export const middleware = [sessionMiddleware]`: keeps actions and
   * loaders of one request together. Where a `node:http` server takes the requests it is needed for visitors without a
   * session who come at the same time: without it, what their actions did is not looked up for their loaders.
   */
  sessionMiddleware<Answer>(args: unknown, next: () => Promise<Answer>): Promise<Answer>;
  /** The manager that the storage was given. */
  readonly manager: SessionManager<Data>;
}

/**
 * A session storage for React Router and Remix over a manager.
 *
 * Cookie attributes are the manager's: options given to `commitSession` are refused, since a cookie that differs from
 * request to request cannot be cleared.
 */
export function createStoredSessionStorage<Data = SessionData, FlashData = Data>(options: {
  sessions: SessionManager<Data>;
}): StoredSessionStorage<Data, FlashData> {
  const { sessions } = (options as typeof options | undefined) ?? {};
  if (sessions === undefined)
    throw new TypeError("createStoredSessionStorage({ sessions }): `sessions` is missing.");
  assertManager(sessions);

  followHttpRequests();

  const commit = async (session: RouterSession<Unmarked<Data>, Unmarked<FlashData>>) => {
    const wrapped = wrappedOf(session);
    const committed = await commitInRequest(
      sessions as SessionManager<never>,
      wrapped.stored as Session<never>,
    );
    const { accessed } = stateOf(wrapped.stored as Session<never>);
    wrapped.stored = committed.session as Session<never>;
    tellOfLateChanges(stateOf(committed.session));
    return { setCookie: committed.setCookie, accessed };
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
    sessionMiddleware: (_args, next) => withinRequest(next),
    manager: sessions,
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

function wrappedOf(session: unknown): WrappedSession {
  if (session instanceof WrappedSession) return session;
  throw new TypeError("This session is of another storage: pass what getSession of this one returned.");
}

function refuseOptions(method: string, options: unknown): void {
  if (options === undefined || Object.keys(options as object).length === 0) return;
  throw new TypeError(
    `${method} takes no cookie options: give them to createSessionManager({ cookie: { … } }).`,
  );
}
