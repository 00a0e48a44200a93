import type { SessionManager } from "../session/manager.ts";
import type { Session } from "../session/session.ts";

const loaded = Symbol("stored-session.loaded");

/** A request, or a framework's context, that remembers the sessions loaded for it. */
interface Bearer {
  [loaded]?: Map<SessionManager<never>, Session<never>>;
}

/** The session that this manager loaded for a request; undefined when it loaded none. */
export function loadedFor<Data>(sessions: SessionManager<Data>, bearer: object): Session<Data> | undefined {
  return (bearer as Bearer)[loaded]?.get(sessions as SessionManager<never>) as Session<Data> | undefined;
}

export function remember<Data>(sessions: SessionManager<Data>, bearer: object, session: Session<Data>): void {
  ((bearer as Bearer)[loaded] ??= new Map()).set(
    sessions as SessionManager<never>,
    session as Session<never>,
  );
}

/**
 * The session of a request, with the manager's type of data: for applications whose managers differ in theirs.
 * @throws {TypeError} no middleware of this manager ran before
 */
export function sessionOf<Data>(sessions: SessionManager<Data>, bearer: object): Session<Data> {
  const found = loadedFor(sessions, bearer);
  if (found === undefined) {
    throw new TypeError(
      "This request has no session of this manager: mount its middleware before the handler.",
    );
  }
  return found;
}
