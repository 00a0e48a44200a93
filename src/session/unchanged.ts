import { sameBytes } from "../shared/bytes.ts";
import type { SessionState } from "./state.ts";

/** Whether what the application holds is what was read or written last, byte by byte. */
export function isUnchanged(state: SessionState): boolean {
  if (!state.opened) return true;
  if (state.plaintext === null) return false;
  try {
    return sameBytes(state.settings.format.encode(state.content, state.plaintext), state.plaintext);
  } catch {
    return false; // something was put there that cannot be stored
  }
}
