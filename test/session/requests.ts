import type { Session, SessionManager } from "../../src/index.ts";
import { commitForResponse } from "../../src/manager.ts";

export type Data = Record<string, any>;
export type Sessions = SessionManager<Data>;
/** What a request does with its session. */
export type Act = (session: Session<Data>) => unknown;

/** A request: loads the session of a cookie, acts on it and commits it. Returns the Set-Cookie header. */
export async function requestOn(sessions: Sessions, cookie: string | null, act: Act): Promise<string | null> {
  const session = await sessions.load(cookie);
  await act(session);
  return commitForResponse(sessions as never, session as never);
}
