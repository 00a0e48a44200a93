import { endOf, isTouchDue } from "./lifetime.ts";
import type { SessionState } from "./state.ts";
import { isUnchanged } from "./unchanged.ts";

/**
 * Whether a commit would do nothing, determined synchronously: nothing to write, no touch or cookie due, no hook to call.
 * False also if only the commit can determine it. Ignores commits and updates in flight, which a commit would wait for.
 */
export function settledWithoutStore(state: SessionState): boolean {
  if (state.intent !== "save" || state.ended || state.setCookie !== null || !state.lost.isEmpty) return false;
  const { stored, settings } = state;
  if (state.opened && settings.userOf !== undefined) return false;
  if (stored === null) return state.isUnused();
  const { row, token } = stored;
  const now = settings.clock();
  return (
    !token.stale &&
    now < endOf(row, settings) &&
    !isTouchDue(row, now, settings.touchEvery) &&
    isUnchanged(state)
  );
}
