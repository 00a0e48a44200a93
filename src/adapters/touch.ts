import { recordsOf, settingsOf, type SessionManager } from "../manager.ts";
import { isTouchDue } from "../session/lifetime.ts";
import { stateOf, type Session } from "../session/session.ts";

/**
 * Moves the idle limit of a session that is only looked at, if that is due. Nobody waits for it, and a touch that fails is
 * published. For places that commit nothing, because they cannot send a cookie.
 */
export function touchIfDue<Data>(sessions: SessionManager<Data>, session: Session<Data>): void {
  const { stored } = stateOf(session as Session<never>);
  const records = recordsOf(sessions as SessionManager<never>);
  const { touchEvery } = settingsOf(sessions as SessionManager<never>);
  if (stored !== null && isTouchDue(stored.row, records.now(), touchEvery)) records.touchLater(stored.row);
}
