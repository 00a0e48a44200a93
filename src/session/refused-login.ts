import type { SessionState } from "./state.ts";
import { StoredState } from "./stored-state.ts";
import type { Write } from "./write.ts";

/**
 * A login was refused. What was requested and changed up to it is dropped: the session is what the store has. The draft of
 * an update is dropped anyway, and what was requested meanwhile decides by itself.
 */
export function undoLogin(state: SessionState, { cut, draftOf }: Write): void {
  state.lost.clear();
  if (draftOf !== null && state.intent === "save") return;
  const { pending, plaintext, working, stored } = state;
  const hasGrown = pending.hasGrownSince(cut);
  pending.doneUpTo(cut, true);
  if (hasGrown) return;
  state.proof = undefined;
  if (stored === null || plaintext === null) {
    state.stored = null;
    working.clear();
  } else {
    state.stored = new StoredState(stored, stored.written, working.epoch);
    working.restore(plaintext);
  }
}
