import { AsyncLocalStorage } from "node:async_hooks";
import { settingsOf, type SessionManager } from "../../manager.ts";
import { stateOf, type Session } from "../../session/session.ts";
import { fetchSessions, type FetchSessions } from "../fetch.ts";
import type { SessionEffect } from "../headers.ts";
import { touchIfDue } from "../touch.ts";
import { CurrentResponse } from "./current-response.ts";

/**
 * One manager and what works with it. Next.js bundles pages, route handlers and the proxy separately, and each bundle has
 * its own copy of this package. Their classes do not recognise each other's objects, so a bundle uses the manager of
 * another only by way of the functions in here, which belong to the copy that created it.
 */
export interface SharedManager<Data> {
  readonly manager: SessionManager<Data>;
  readonly sessions: FetchSessions<Data>;
  /** The session of the action, route handler or proxy that runs. */
  readonly running: AsyncLocalStorage<Session<Data>>;
  readonly response: CurrentResponse;
  readonly cookieName: string;
  /** The values of the session cookie in a `Cookie` header. */
  valuesIn(header: string): readonly string[];
  effectOf(session: Session<Data>): SessionEffect;
  /** The version of the stored session; undefined if there is none. Each write changes it. */
  versionOf(session: Session<Data>): number | undefined;
  /** Moves the idle limit if that is due, off the request's path. */
  touch(session: Session<Data>): void;
}

interface Shelf {
  readonly managers: Map<string, SharedManager<never>>;
  readonly response: CurrentResponse;
}

const place = Symbol.for("stored-session.next");

/** On `globalThis`, which the bundles share and which survives a hot reload. */
function shelf(): Shelf {
  const world = globalThis as { [place]?: Shelf };
  return (world[place] ??= { managers: new Map(), response: new CurrentResponse() });
}

/** Follows the responses of requests from now on. Opens nothing. */
export function followRequests(): void {
  shelf();
}

/** The manager of that name. It is created at first use, so that `next build` neither opens nor validates anything. */
export function sharedManager<Data>(name: string, create: () => SessionManager<Data>): SharedManager<Data> {
  const { managers, response } = shelf();
  let shared = managers.get(name) as SharedManager<Data> | undefined;
  if (shared === undefined) {
    shared = share(create(), response);
    managers.set(name, shared as SharedManager<never>);
  }
  return shared;
}

/** Forgets the manager of that name; null if there is none. */
export function takeSharedManager<Data>(name: string): SharedManager<Data> | null {
  const { managers } = shelf();
  const shared = managers.get(name) as SharedManager<Data> | undefined;
  managers.delete(name);
  return shared ?? null;
}

function share<Data>(manager: SessionManager<Data>, response: CurrentResponse): SharedManager<Data> {
  const sessions = fetchSessions(manager);
  const settings = settingsOf(manager as SessionManager<never>);
  const of = (session: Session<Data>) => stateOf(session as Session<never>);
  return {
    manager,
    sessions,
    running: new AsyncLocalStorage(),
    response,
    cookieName: settings.cookie.name,
    valuesIn: (header) => settings.cookie.read(header),
    effectOf: (session) => ({ accessed: of(session).accessed, setCookie: of(session).setCookie }),
    versionOf: (session) => of(session).stored?.row.version,
    touch: (session) => touchIfDue(manager, session),
  };
}
