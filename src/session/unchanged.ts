import { sameBytes } from "../shared/bytes.ts";
import type { SessionState } from "./state.ts";

/** Whether the working copy equals what was last read or written, byte for byte. */
export function isUnchanged(state: SessionState): boolean {
  if (!state.opened) return true;
  if (state.plaintext === null) return false;
  try {
    return sameBytes(state.settings.format.encode(state.content, state.plaintext), state.plaintext);
  } catch {
    return false; // it holds a value that cannot be stored
  }
}
