import { AsyncLocalStorage } from "node:async_hooks";
import { settingsOf, type SessionManager } from "../manager.ts";
import type { UserSessions } from "../operator/users.ts";
import type { DataOf, SessionData } from "../session/data.ts";
import { stateOf, type Session } from "../session/session.ts";
import type { UserId } from "../session/user-id.ts";
import { bounceResponse } from "./device.ts";
import { fetchSessions, type FetchSessions } from "./fetch.ts";
import type { FetchRequest } from "./fresh.ts";
import type { SessionEffect } from "./headers.ts";
import { changedSinceCommit } from "./state.ts";
import { touchIfDue } from "./touch.ts";

/**
 * One manager and what works with it. A framework may bundle its parts separately, each with its own copy of this package.
 * Their classes do not recognise each other's objects, so a bundle uses the manager of another only by way of the functions
 * in here, which belong to the copy that created it.
 */
export interface SharedManager<Data> {
  readonly manager: SessionManager<Data>;
  readonly sessions: FetchSessions<Data>;
  /** The session of the code that runs. */
  readonly running: AsyncLocalStorage<Session<Data>>;
  readonly cookieName: string;
  /** The values of the session cookie in a `Cookie` header. */
  valuesIn(header: string): readonly string[];
  effectOf(session: Session<Data>): SessionEffect;
  /** See `bounce`. */
  bounceOf(session: Session<Data>, request: FetchRequest): Response | null;
  /** Whether a commit would write what the application did. */
  isChanged(session: Session<Data>): boolean;
  /** The version of the stored session; undefined if there is none. Each write changes it. */
  versionOf(session: Session<Data>): number | undefined;
  /** Moves the idle limit if that is due, off the request's path. */
  touch(session: Session<Data>): void;
}

export function shareManager<Data>(manager: SessionManager<Data>): SharedManager<Data> {
  const sessions = fetchSessions(manager);
  const { cookie } = settingsOf(manager as SessionManager<never>);
  const of = (session: Session<Data>) => stateOf(session as Session<never>);
  return {
    manager,
    sessions,
    running: new AsyncLocalStorage(),
    cookieName: cookie.name,
    valuesIn: (header) => cookie.read(header),
    effectOf(session) {
      const { accessed, setCookie, device } = of(session);
      return { accessed, setCookie, also: device.headers };
    },
    bounceOf: bounceResponse,
    isChanged: (session) => changedSinceCommit(of(session)),
    versionOf: (session) => of(session).stored?.row.version,
    touch: (session) => touchIfDue(manager, session),
  };
}

const place = Symbol.for("stored-session.kept");

/** On `globalThis`, which the bundles of an application share and which survives a hot reload. */
function shelf(): Map<string, unknown> {
  const world = globalThis as { [place]?: Map<string, unknown> };
  return (world[place] ??= new Map());
}

/** The value that is kept under this key for the whole process. Made at first use. */
export function kept<Value>(key: string, make: () => Value): Value {
  const values = shelf();
  if (!values.has(key)) values.set(key, make());
  return values.get(key) as Value;
}

/** Forgets the value under this key; undefined if there is none. */
export function takeKept<Value>(key: string): Value | undefined {
  const values = shelf();
  const value = values.get(key) as Value | undefined;
  values.delete(key);
  return value;
}

/** A manager that is created at first use, so that a build neither opens nor validates anything. */
export interface LazySessions<Data = SessionData> {
  /** The manager. The first access creates it: do not access it while a module is evaluated. */
  readonly manager: SessionManager<Data>;
  /** See `SessionManager.update`. */
  update(session: Session<Data>, change: (data: DataOf<Data>) => void | DataOf<Data>): Promise<void>;
  /** See `SessionManager.forUser`. */
  forUser(userId: UserId): UserSessions;
  /** Closes the manager, if one was created. The next use creates another. */
  close(): Promise<void>;
}

/**
 * @param caller the exported function, for the message of the error
 * @throws {TypeError} `create` is not a function
 */
export function refuseManager(caller: string, create: unknown): void {
  if (typeof create === "function") return;
  throw new TypeError(
    `${caller} takes a function that creates the manager: ${caller}(() => createSessionManager({ … })).`,
  );
}

/** @param key under which the manager is kept */
export function lazySessions<Data>(key: string, shared: () => SharedManager<Data>): LazySessions<Data> {
  return {
    get manager() {
      return shared().manager;
    },
    update: (session, change) => shared().manager.update(session, change),
    forUser: (userId) => shared().manager.forUser(userId),
    async close() {
      await takeKept<SharedManager<Data>>(key)?.manager.close();
    },
  };
}
