import { rowIdOf, type Token } from "../../session/token.ts";

/**
 * The token for another library's session id: the row id is its hash, and `sid`, if sealing needs it, consists of its
 * bytes.
 * @param rowId the row id, if it is another one
 */
export function dropInToken(id: string, rowId?: Uint8Array): Token {
  if (typeof id !== "string" || id === "") throw new TypeError("A session id must be a non-empty string.");
  return new DropInToken(id, rowId ?? rowIdOf(Buffer.from(id)));
}

class DropInToken implements Token {
  readonly text: string;
  readonly id: Uint8Array;
  readonly stale = false;

  constructor(text: string, id: Uint8Array) {
    this.text = text;
    this.id = id;
  }

  /** Copied when it is used: most requests only need the row id. */
  get sid(): Uint8Array {
    return new Uint8Array(Buffer.from(this.text));
  }
}
