import { EventEmitter } from "node:events";
import type { SessionManager } from "../session/manager.ts";
import { ForeignSessions, Baseline, type ForeignStoreOptions } from "./foreign-sessions.ts";
import { InOrder } from "./in-order.ts";
import { plainObject, plainValue } from "./plain-values.ts";

type Values = Record<string, unknown>;
type Callback<Answer = void> = (error?: unknown, answer?: Answer) => void;

/** As much of a session of express-session or @fastify/session as the store looks at. */
interface ForeignSession extends Values {
  cookie?: ForeignCookie | null;
}

interface ForeignCookie {
  expires?: Date | string | number | boolean | null | undefined;
  maxAge?: number | null | undefined;
  originalMaxAge?: number | null | undefined;
  toJSON?(): ForeignCookie | undefined;
}

/** Options of {@link StoredSessionStore}. */
export interface StoredSessionStoreOptions extends ForeignStoreOptions {}

/**
 * Where @fastify/session keeps the baseline: it copies the enumerable properties of what `get` answered into its own
 * object, those with names of text only, and offers nothing else to tell one request's session from another's.
 * Leaves no trace in JSON.
 */
const tag = "stored-session:baseline";

/**
 * A store for express-session, and for @fastify/session: `session({ store: new StoredSessionStore({ store, keys }),
 * secret, resave: false, saveUninitialized: false })`.
 *
 * Sessions are encrypted and their ids hashed; parallel requests merge, key by key; a save in flight does not bring
 * back a session that was destroyed; a session that is only read is written at most once every `touchEvery`. It ends
 * when its cookie does, after `idleTimeout` without use where the cookie names no time (30 days), and after
 * `absoluteTimeout` at the latest (400 days). Every method takes a callback, which is called exactly once, or
 * returns a promise.
 */
export class StoredSessionStore extends EventEmitter {
  readonly #foreign: ForeignSessions;
  /** By session object, and by what `get` answered. */
  readonly #baselines: WeakMap<object, Baseline> = new WeakMap();
  /** By session object: of two saves in flight the second is measured against the first. */
  readonly #saves: InOrder = new InOrder();
  #classes: { Session: new (request: object, data: object) => object; cookie: object } | null = null;
  /** Set by express-session: gives a request a new session. */
  generate?: (request: never) => void;

  constructor(options: StoredSessionStoreOptions) {
    super();
    this.#foreign = new ForeignSessions(options);
  }

  /** For what needs no cookie: `forUser(id).list()` and `.revokeAll()`, `expire`, `scheduleExpiry`. */
  get sessions(): SessionManager<Values> {
    return this.#foreign.sessions;
  }

  /** Answers the session, or null when there is none. */
  get(id: string, callback: (error: unknown, session?: any) => void): void;
  get(id: string): Promise<any>;
  get(id: string, callback?: Callback<any>): Promise<any> | void {
    return answer(this.#get(id), callback);
  }

  async #get(id: string): Promise<Values | null> {
    const loaded = await this.#foreign.load(id);
    if (loaded === null) return null;
    const session = withExpiry(loaded.data, loaded.expiresAt);
    this.#baselines.set(session, loaded.baseline);
    if (this.generate === undefined) session[tag] = loaded.baseline;
    return session;
  }

  /** Saves a session. One that ended since this request loaded it stays ended. */
  set(id: string, session: object, callback: (error?: unknown) => void): void;
  set(id: string, session: object): Promise<void>;
  set(id: string, session: object, callback?: Callback): Promise<void> | void {
    return answer(this.#set(id, session as ForeignSession), callback);
  }

  async #set(id: string, session: ForeignSession): Promise<void> {
    const now = this.#foreign.now();
    const expiresAt = this.#endOf(session);
    if (expiresAt <= now) {
      await this.#foreign.destroy(id);
      return;
    }
    const content = contentOf(session);
    await this.#saves.do(session, async () => {
      const saved = await this.#foreign.save(id, content, this.#baselineOf(session), expiresAt, ["cookie"]);
      if (saved !== null) this.#baselines.set(session, saved);
    });
  }

  /** Notes that a session was used; saves it when it did change, in a Map for example, which express-session misses. */
  touch(id: string, session: object, callback: (error?: unknown) => void): void;
  touch(id: string, session: object): Promise<void>;
  touch(id: string, session: object, callback?: Callback): Promise<void> | void {
    return answer(this.#touch(id, session as ForeignSession), callback);
  }

  async #touch(id: string, session: ForeignSession): Promise<void> {
    if (this.#baselineOf(session) !== null) return this.#set(id, session);
    await this.#foreign.touch(id, null, this.#endOf(session));
  }

  destroy(id: string, callback: (error?: unknown) => void): void;
  destroy(id: string): Promise<void>;
  destroy(id: string, callback?: Callback): Promise<void> | void {
    return answer(this.#destroy(id), callback);
  }

  async #destroy(id: string): Promise<void> {
    await this.#foreign.destroy(id);
  }

  /** All sessions that have not ended, in no order. Their ids are not known: the table holds only hashes. */
  all(callback: (error: unknown, sessions?: any) => void): void;
  all(): Promise<any[]>;
  all(callback?: Callback<any[]>): Promise<any[]> | void {
    const all = this.#foreign.all();
    return answer(
      all.then((found) => found.map(({ data, expiresAt }) => withExpiry(data, expiresAt))),
      callback,
    );
  }

  /** How many sessions have not ended. */
  length(callback: (error: unknown, length?: number) => void): void;
  length(): Promise<number>;
  length(callback?: Callback<number>): Promise<number> | void {
    return answer(this.#foreign.length(), callback);
  }

  /** Ends every session in the table. */
  clear(callback: (error?: unknown) => void): void;
  clear(): Promise<void>;
  clear(callback?: Callback): Promise<void> | void {
    return answer(this.#foreign.clear(), callback);
  }

  close(): Promise<void> {
    return this.#foreign.close();
  }

  /** For express-session: ends the request's session and gives it a new one. */
  regenerate(request: any, callback: (error?: unknown) => void): void {
    this.destroy(request.sessionID as string, (error) => {
      if (!error) this.#generate()(request as never);
      callback(error);
    });
  }

  /** For express-session: a session without a request. */
  load(id: string, callback: (error: unknown, session?: any) => void): void {
    this.get(id, (error, data) => {
      if (error || !data) return callback(error);
      let session: unknown;
      try {
        // `headers`, because express-session asks behind which proxy the request came.
        session = this.createSession({ sessionID: id, sessionStore: this, headers: {} }, data as object);
      } catch (failed) {
        return callback(failed);
      }
      callback(null, session);
    });
  }

  /** For express-session: the request's session object over what `get` answered. */
  createSession(request: any, data: any): any {
    const stored = data as ForeignSession;
    const { Session, cookie: prototype } = this.#classesOf(request as object);
    const cookie = Object.create(prototype) as Values;
    const { expires, originalMaxAge = null, ...attributes } = stored.cookie ?? {};
    Object.assign(cookie, { path: "/", httpOnly: true }, attributes);
    const end = timeOf(expires);
    cookie["expires"] = end === null ? null : new Date(end);
    cookie["originalMaxAge"] = originalMaxAge; // after `expires`, whose setter changes it
    const session = new Session(request as object, { ...stored, cookie });
    const baseline = this.#baselineOf(stored);
    if (baseline !== null) this.#baselines.set(session, baseline);
    (request as { session?: object }).session = session;
    return session;
  }

  /** express-session's own classes, as `generate` makes them: so nothing of it needs to be imported. */
  #classesOf(request: object): { Session: new (request: object, data: object) => object; cookie: object } {
    if (this.#classes === null) {
      const probe = Object.create(request) as { session: object & { cookie: object } };
      this.#generate()(probe as never);
      const { session } = probe;
      this.#classes = {
        Session: session.constructor as new (request: object, data: object) => object,
        cookie: Object.getPrototypeOf(session.cookie) as object,
      };
    }
    return this.#classes;
  }

  #generate(): (request: never) => void {
    if (this.generate === undefined)
      throw new TypeError("This method is for express-session: pass the store to session({ store }) first.");
    return this.generate;
  }

  #baselineOf(session: ForeignSession): Baseline | null {
    const tagged = session[tag];
    return this.#baselines.get(session) ?? (tagged instanceof Baseline ? tagged : null);
  }

  #endOf(session: ForeignSession): number {
    const cookie = jsonOf(session.cookie);
    const { expires, maxAge } = cookie ?? {};
    const end = timeOf(expires);
    if (end !== null) return end;
    return typeof maxAge === "number" ? this.#foreign.now() + maxAge : this.#foreign.defaultEnd();
  }
}

/**
 * What is sealed: the session's own properties. Of the cookie's expiry only that there is one, because the row has
 * the time itself, and a touch moves it there.
 */
function contentOf(session: ForeignSession): Values {
  const { cookie: _cookie, ...rest } = session;
  if (rest[tag] instanceof Baseline) delete rest[tag];
  const content = plainObject(rest);
  const cookie = jsonOf(session.cookie);
  if (cookie !== null) {
    const {
      expires,
      originalExpires: _originalExpires,
      maxAge,
      originalMaxAge = maxAge,
      ...attributes
    } = cookie as ForeignCookie & Values;
    const ends = timeOf(expires) !== null || typeof maxAge === "number";
    content["cookie"] = plainValue({
      originalMaxAge: rounded(originalMaxAge),
      ...attributes,
      ...(ends && { expires: true }),
    });
  }
  return content;
}

/** The time that a cookie's `expires` names; `false`, which express-session makes of `maxAge: false`, names none. */
function timeOf(expires: ForeignCookie["expires"]): number | null {
  if (!expires || expires === true) return null;
  const time = new Date(expires).getTime();
  return Number.isNaN(time) ? null : time;
}

/** express-session computes it from two readings of the clock, so that it wanders by a millisecond for no reason. */
function rounded(milliseconds: number | null | undefined): number | null {
  return typeof milliseconds === "number" ? Math.round(milliseconds / 10) * 10 : null;
}

function jsonOf(cookie: ForeignCookie | null | undefined): ForeignCookie | null {
  if (typeof cookie !== "object" || cookie === null) return null;
  const json: unknown = typeof cookie.toJSON === "function" ? cookie.toJSON() : cookie;
  return typeof json === "object" ? json : null;
}

function withExpiry(data: Values, expiresAt: number): Values {
  const cookie = data["cookie"] as Values | undefined;
  if (cookie === undefined) return data;
  return { ...data, cookie: { ...cookie, expires: cookie["expires"] === true ? new Date(expiresAt) : null } };
}

/** Calls back exactly once, outside the promise, so that what a callback throws is not taken for an answer's error. */
function answer<Answer>(
  promise: Promise<Answer>,
  callback: Callback<Answer> | undefined,
): Promise<Answer> | void {
  if (callback === undefined) return promise;
  promise.then(
    (value) => process.nextTick(callback, null, value),
    (error: unknown) => process.nextTick(callback, error),
  );
}
