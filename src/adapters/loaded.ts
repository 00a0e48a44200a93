import type { SessionManager } from "../manager.ts";
import type { Session } from "../session/session.ts";

const loaded = Symbol("stored-session.loaded");

interface Entry {
  readonly sessions: SessionManager<never>;
  session: Session<never>;
  /** The session of another manager: few requests have more than one. */
  readonly next: Entry | undefined;
}

/** A request, or a framework's context, that remembers the sessions loaded for it. */
interface Bearer {
  [loaded]?: Entry;
}

/** The session that this manager loaded for a request. Undefined if it loaded none. */
export function loadedFor<Data>(sessions: SessionManager<Data>, bearer: object): Session<Data> | undefined {
  let entry = (bearer as Bearer)[loaded];
  while (entry !== undefined && entry.sessions !== (sessions as unknown)) entry = entry.next;
  return entry?.session as Session<Data> | undefined;
}

/** Records the session that this manager loaded for a request, in place of an earlier one. */
export function remember<Data>(sessions: SessionManager<Data>, bearer: object, session: Session<Data>): void {
  const next = (bearer as Bearer)[loaded];
  for (let entry = next; entry !== undefined; entry = entry.next) {
    if (entry.sessions !== (sessions as unknown)) continue;
    entry.session = session as Session<never>;
    return;
  }
  (bearer as Bearer)[loaded] = {
    sessions: sessions as SessionManager<never>,
    session: session as Session<never>,
    next,
  };
}

/**
 * Returns the session of a request, typed by its manager: for applications with several managers.
 * @throws {TypeError} no middleware of this manager has run for the request
 */
export function sessionOf<Data>(sessions: SessionManager<Data>, bearer: object): Session<Data> {
  const found = loadedFor(sessions, bearer);
  if (found === undefined) {
    throw new TypeError(
      "This request has no session of this session manager. Mount its middleware before the handler.",
    );
  }
  return found;
}

/**
 * The one session of a request, for guards.
 * @param sessions required if several managers loaded one
 * @throws {TypeError} there is none, or there are several
 */
export function onlySession(bearer: object, sessions: SessionManager<any> | undefined): Session<never> {
  if (sessions !== undefined) return sessionOf(sessions, bearer) as Session<never>;
  const entry = (bearer as Bearer)[loaded];
  if (entry === undefined) {
    throw new TypeError("This request has no session. Mount the session middleware before requireFresh.");
  }
  if (entry.next !== undefined) {
    throw new TypeError(
      "This request has the sessions of several managers. Say which of them is meant: requireFresh(within, { sessions }).",
    );
  }
  return entry.session;
}
