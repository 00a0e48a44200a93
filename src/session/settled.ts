import { endOf, isTouchDue } from "./lifetime.ts";
import type { SessionState } from "./state.ts";
import { isUnchanged } from "./unchanged.ts";

/**
 * Whether a commit would do nothing, known at once: nothing to write, no touch or cookie due, no hook of the
 * application to ask. False also where only the commit can tell. It does not know of commits and updates under way,
 * which a commit would wait for.
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
