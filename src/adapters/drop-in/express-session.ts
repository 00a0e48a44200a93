import { EventEmitter } from "node:events";
import type { SessionManager } from "../../manager.ts";
import { answer, type Callback } from "../answer.ts";
import { carried, carrying } from "./baseline-carrier.ts";
import type { Baseline } from "./baseline.ts";
import { ExpressClasses } from "./express-classes.ts";
import {
  contentOf,
  cookieOf,
  endOfCookie,
  timeOf,
  uncopiedContentOf,
  withExpiry,
  type MiddlewareCookie,
  type MiddlewareSession,
} from "./middleware-cookie.ts";
import { DropInSessions, type DropInStoreOptions } from "./drop-in-sessions.ts";
import { Marks } from "./marks.ts";
import { SerialQueue } from "./serial-queue.ts";

type Values = Record<string, unknown>;

/** Options of {@link StoredSessionStore}. */
export interface StoredSessionStoreOptions extends DropInStoreOptions {}

/** Determines when the session ends. */
const own = ["cookie"];

/**
 * A store for express-session, and for @fastify/session: `session({ store: new StoredSessionStore({ store, keys }),
 * secret, resave: false, saveUninitialized: false })`.
 *
 * Sessions are encrypted and their ids hashed. Changes of parallel requests are merged key by key. A save in flight
 * does not restore a destroyed session. A session that is only read is written at most once per `touchEvery`. A session
 * ends with its cookie, after `idleTimeout` without use if the cookie has no expiry (30 days), and after
 * `absoluteTimeout` at the latest (400 days). Every method accepts a callback, which is called exactly once, or returns
 * a promise. Under express-session, `touch` of a session that did not change calls back before it returns. A failed call
 * whose result is not handled emits the process warning STORED_SESSION_UNHEARD_FAILURE.
 *
 * The middleware owns the session id, so the store cannot change it at login: the application must regenerate the
 * session, as Passport does. If it does not, a session whose user changes (`userOf`) starts over under its id.
 */
export class StoredSessionStore extends EventEmitter {
  readonly #dropIn: DropInSessions;
  /** By session object, and by the result of `get`. */
  readonly #baselines: Marks<Baseline> = new Marks();
  /** By session object: the second of two concurrent saves is compared with the result of the first. */
  readonly #saves: SerialQueue = new SerialQueue();
  readonly #express: ExpressClasses = new ExpressClasses();

  constructor(options: StoredSessionStoreOptions) {
    super();
    this.#dropIn = new DropInSessions(options);
  }

  /** Set by express-session: gives a request a new session. */
  get generate(): ((request: never) => void) | undefined {
    return this.#express.generate;
  }

  set generate(generate: ((request: never) => void) | undefined) {
    this.#express.generate = generate;
  }

  /** For operations that need no cookie: `forUser(id).list()` and `.revokeAll()`, `expire`, `scheduleExpiry`. */
  get sessions(): SessionManager<Values> {
    return this.#dropIn.sessions;
  }

  /** Returns the session, or null if there is none. */
  get(id: string, callback: (error: unknown, session?: any) => void): void;
  get(id: string): Promise<any>;
  get(id: string, callback?: Callback<any>): Promise<any> | void {
    return answer("get()", this.#get(id), this.#handing(callback));
  }

  /** @fastify/session copies the session in the callback. express-session calls {@link createSession} to get it. */
  #handing(callback: Callback<any> | undefined): Callback<any> | undefined {
    if (typeof callback !== "function") return undefined;
    return (error, session?: object | null) => {
      const baseline = session && this.generate === undefined ? this.#baselines.get(session) : undefined;
      if (!session || baseline === undefined) return callback(error, session);
      carrying(session, baseline, () => callback(error, session));
    };
  }

  async #get(id: string): Promise<Values | null> {
    const loaded = await this.#dropIn.load(id);
    if (loaded === null) return null;
    const session = withExpiry(loaded.data, loaded.expiresAt);
    this.#baselines.set(session, loaded.baseline);
    return session;
  }

  /** Saves a session. One that ended since this request loaded it stays ended. */
  set(id: string, session: object, callback: (error?: unknown) => void): void;
  set(id: string, session: object): Promise<void>;
  set(id: string, session: object, callback?: Callback): Promise<void> | void {
    return answer("set()", this.#set(id, session as MiddlewareSession), callback);
  }

  async #set(id: string, session: MiddlewareSession): Promise<void> {
    // @fastify/session saves every session, with `rolling`, which is its default. express-session calls touch().
    if (this.generate !== undefined || !this.#touchedUnchanged(id, session)) await this.#save(id, session);
  }

  async #save(id: string, session: MiddlewareSession): Promise<void> {
    const cookie = cookieOf(session);
    const content = contentOf(session, cookie, this.#dropIn.maxBytes);
    const expiresAt = this.#endOf(cookie);
    await this.#saves.do(session, async () => {
      const baseline = this.#baselineOf(session);
      let end: number | null = expiresAt;
      if (expiresAt <= this.#dropIn.now()) {
        if (baseline === null || this.#dropIn.isToEnd(content, baseline, expiresAt, own)) {
          await this.#dropIn.destroy(id);
          return;
        }
        // The request outlived its session. A concurrent request may have extended it.
        end = null;
      }
      const saved = await this.#dropIn.save(id, content, baseline, end, own);
      if (saved !== null) this.#baselines.set(session, saved);
    });
  }

  /**
   * Records that a session was used. Saves it if it changed, for example in a Map, which express-session does not
   * detect.
   */
  touch(id: string, session: object, callback: (error?: unknown) => void): void;
  touch(id: string, session: object): Promise<void>;
  touch(id: string, session: object, callback?: Callback): Promise<void> | void {
    // express-session sends a response in two parts, unless this calls back before it returns.
    const isAtOnce = typeof callback === "function" && this.generate !== undefined;
    if (isAtOnce && this.#touchedUnchanged(id, session as MiddlewareSession)) return callback(null);
    return answer("touch()", this.#touch(id, session as MiddlewareSession), callback);
  }

  /** Nearly every touch is of a session that did not change, which is found out without copying it. */
  #touchedUnchanged(id: string, session: MiddlewareSession): boolean {
    const baseline = this.#baselineOf(session);
    if (baseline === null || this.#saves.isBusy(session)) return false;
    try {
      const cookie = cookieOf(session);
      const content = uncopiedContentOf(session, cookie);
      const touched = this.#dropIn.touchUnchanged(id, content, baseline, this.#endOf(cookie));
      if (touched !== null && touched !== baseline) this.#baselines.set(session, touched);
      return touched !== null;
    } catch {
      return false; // a getter or a toJSON of the application's
    }
  }

  async #touch(id: string, session: MiddlewareSession): Promise<void> {
    if (this.#baselineOf(session) === null)
      await this.#dropIn.touch(id, null, this.#endOf(cookieOf(session)));
    else if (!this.#touchedUnchanged(id, session)) await this.#save(id, session);
  }

  destroy(id: string, callback: (error?: unknown) => void): void;
  destroy(id: string): Promise<void>;
  destroy(id: string, callback?: Callback): Promise<void> | void {
    return answer("destroy()", this.#destroy(id), callback);
  }

  async #destroy(id: string): Promise<void> {
    await this.#dropIn.destroy(id);
  }

  /** Returns all live sessions, in no order. Their ids are unknown, because the table stores only hashes. */
  all(callback: (error: unknown, sessions?: any) => void): void;
  all(): Promise<any[]>;
  all(callback?: Callback<any[]>): Promise<any[]> | void {
    const all = this.#dropIn.all();
    return answer(
      "all()",
      all.then((found) => found.map(({ data, expiresAt }) => withExpiry(data, expiresAt))),
      callback,
    );
  }

  /** Returns the number of live sessions. */
  length(callback: (error: unknown, length?: number) => void): void;
  length(): Promise<number>;
  length(callback?: Callback<number>): Promise<number> | void {
    return answer("length()", this.#dropIn.length(), callback);
  }

  /** Ends every session in the table. */
  clear(callback: (error?: unknown) => void): void;
  clear(): Promise<void>;
  clear(callback?: Callback): Promise<void> | void {
    return answer("clear()", this.#dropIn.clear(), callback);
  }

  close(): Promise<void> {
    return this.#dropIn.close();
  }

  /** For express-session: ends the request's session and gives it a new one. */
  regenerate(request: any, callback: (error?: unknown) => void): void;
  regenerate(request: any): Promise<void>;
  regenerate(request: any, callback?: Callback): Promise<void> | void {
    return answer("regenerate()", this.#regenerate(request as { sessionID: string }), callback);
  }

  async #regenerate(request: { readonly sessionID: string }): Promise<void> {
    await this.#destroy(request.sessionID);
    this.#express.renew(request);
  }

  /** For express-session: creates a session without a request. Its `req` has only the id and the store. */
  load(id: string, callback: (error: unknown, session?: any) => void): void;
  load(id: string): Promise<any>;
  load(id: string, callback?: Callback<any>): Promise<any> | void {
    return answer("load()", this.#load(id), callback);
  }

  async #load(id: string): Promise<object | undefined> {
    const stored = await this.#get(id);
    return stored === null
      ? undefined
      : this.#sessionOver({ sessionID: id, sessionStore: this }, stored, null);
  }

  /** For express-session: creates the request's session object from the result of `get`. */
  createSession(request: any, data: any): any {
    return this.#sessionOver(request as object, data as MiddlewareSession, request as object);
  }

  /** @param sent the request, if a client sent it */
  #sessionOver(request: object, stored: MiddlewareSession, sent: object | null): object {
    const { Session, cookie: prototype } = this.#express.of(sent);
    const cookie = Object.create(prototype) as Values;
    const attributes = (stored.cookie ?? {}) as MiddlewareCookie & Values;
    cookie["path"] = "/";
    cookie["httpOnly"] = true;
    for (const name of Object.keys(attributes))
      if (name !== "expires" && name !== "originalMaxAge") cookie[name] = attributes[name];
    const end = timeOf(attributes.expires);
    cookie["expires"] = end === null ? null : new Date(end);
    cookie["originalMaxAge"] = attributes.originalMaxAge ?? null; // after `expires`, whose setter changes it
    const session = new Session(request, stored);
    session.cookie = cookie;
    const baseline = this.#baselineOf(stored);
    if (baseline !== null) this.#baselines.set(session, baseline);
    (request as { session?: object }).session = session;
    return session;
  }

  #baselineOf(session: MiddlewareSession): Baseline | null {
    return this.#baselines.get(session) ?? carried(session);
  }

  #endOf(cookie: MiddlewareCookie | null): number {
    return endOfCookie(cookie, this.#dropIn.now()) ?? this.#dropIn.defaultEnd();
  }
}
