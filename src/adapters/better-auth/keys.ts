import type { SessionFormat } from "../../session/format.ts";
import type { Token } from "../../session/token.ts";
import { dropInToken } from "../drop-in/token.ts";

/** The name of its entries in the data of a row. */
export const library = "better-auth";

/** A stored value. Null is a tombstone: the value was deleted, and what held it must not be revived. */
export type Value = string | number | null;

const activeSessions = "active-sessions-";
const revokedBefore = "revoked-sessions-before-";

/** What better-auth stores under a key. */
export type Kind = "session" | "active sessions" | "revoked before" | "other";

export function kindOf(key: string): Kind {
  if (key.startsWith(activeSessions)) return "active sessions";
  if (key.startsWith(revokedBefore)) return "revoked before";
  return /^[A-Za-z0-9_-]{20,}$/.test(key) ? "session" : "other";
}

/** The user of an `active-sessions-<user id>` key. */
export function userOfKey(key: string): string {
  return key.slice(activeSessions.length);
}

/**
 * Where the entry of a key is stored: first where new ones go. A session token is random, so its row id is its plain hash.
 * Other keys, such as those of rate limits, contain addresses and can be guessed, so theirs is a keyed hash, one for each key
 * of the ring.
 */
export function placesOf(format: SessionFormat, key: string): readonly Token[] {
  if (kindOf(key) === "session") return [dropInToken(key)];
  return format.userRefs(`better-auth:${key}`).map((id) => dropInToken(key, id));
}
