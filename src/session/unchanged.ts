import { sameBytes } from "../shared/bytes.ts";
import type { SessionState } from "./state.ts";

/** Whether the working copy equals what was last read or written, byte for byte. */
export function isUnchanged(state: SessionState): boolean {
  if (!state.opened) return true;
  const { plaintext, content } = state;
  if (plaintext === null) return false;
  const { format } = state.settings;
  const { snapshot } = state.working;
  try {
    if (snapshot?.bytes === plaintext && snapshot.isSame(content)) return true;
    return format.encodesTo?.(content, plaintext) ?? sameBytes(format.encode(content, plaintext), plaintext);
  } catch {
    return false; // it holds a value that cannot be stored
  }
}
