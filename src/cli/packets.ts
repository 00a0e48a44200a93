import { LARGEST_BATCH } from "../store/pages.ts";
import { bytes } from "../shared/wording.ts";

/** Bytes beside the content: ids, times, user agents. */
const REST_OF_A_STATEMENT = 131_072;

/**
 * Whether the statements of this package fit through the server's `max_allowed_packet`.
 * @param maxSealedBytes of one session
 */
export function judgePackets(
  packet: number,
  maxSealedBytes: number,
): { readonly level: "good" | "warning"; readonly message: string } {
  const size = `max_allowed_packet=${bytes(packet)}`;
  if (packet < maxSealedBytes + REST_OF_A_STATEMENT) {
    const message = `${size} is too small for a session of maxBytes (${bytes(maxSealedBytes)} sealed), which would be refused: raise it, or lower maxBytes.`;
    return { level: "warning", message };
  }
  if (packet < LARGEST_BATCH + REST_OF_A_STATEMENT) {
    const message = `${size} is too small for many sessions in one statement (up to ${bytes(LARGEST_BATCH)}): raise it.`;
    return { level: "warning", message };
  }
  return { level: "good", message: size };
}
