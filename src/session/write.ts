import type { Cut, Intent } from "./pending.ts";
import type { Token } from "./token.ts";
import type { WriteEvent } from "../telemetry/channels.ts";

/**
 * What a write covers, recorded when its bytes are made. Whatever the application does later comes after the write, even
 * while the write is in flight, or if its answer is lost and it is found later.
 */
export interface Write {
  readonly intent: Intent;
  /** The operations that the write does. */
  readonly cut: Cut;
  /** The token of the new id; null for a write over the stored row. */
  readonly token: Token | null;
  /** The epoch of the working copy that the bytes belong to. */
  readonly epoch: number;
  /** The bytes that `sessions.update` made its draft from; null for a commit, which writes the working copy itself. */
  readonly draftOf: Uint8Array | null;
  /**
   * For a draft that gives the session to another user: the working copy at that time. Null for every other write. What
   * the application sets while the answer is lost, it sets for the former user.
   */
  readonly before: Uint8Array | null;
}

/** The bytes of a content. */
export interface Written {
  /** The content as the application sees it. */
  readonly plaintext: Uint8Array;
  /** The bytes that are stored, if they hold keys that the schema strips; otherwise null. */
  readonly under: Uint8Array | null;
}

/** The bytes to store. */
export function bytesOf({ plaintext, under }: Written): Uint8Array {
  return under ?? plaintext;
}

export function reasonOf({ intent }: Write): WriteEvent["reason"] {
  return intent === "destroy" ? "save" : intent;
}
