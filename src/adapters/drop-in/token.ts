import { rowIdOf, type Token } from "../../session/token.ts";

/**
 * The token for another library's session id: the row id is its hash, and `sid`, if sealing needs it, consists of its
 * bytes.
 */
export function dropInToken(id: string): Token {
  if (typeof id !== "string" || id === "") throw new TypeError("A session id must be a non-empty string.");
  const sid = new Uint8Array(Buffer.from(id));
  return { text: id, sid, id: rowIdOf(sid), stale: false };
}
