import type { Content } from "../codec/codec.ts";
import { isSameAuthentication } from "../codec/authentication.ts";
import { addOwn } from "../codec/own.ts";
import type { MergeFormat } from "./merge.ts";

/** What a save does to the user of a session (decision 4). */
export type UserChange =
  | "none"
  /** An anonymous session gets a user: it continues under a new id. */
  | "login"
  /** A different user: a new session that starts with what this request set. */
  | "switch"
  /** No user any more: a new session that starts with what this request set. */
  | "sign-out";

/** @param before, after the users by `userOf` or login; undefined for an anonymous session */
export function changeOfUser(before: string | undefined, after: string | undefined): UserChange {
  if (before === after) return "none";
  if (after === undefined) return "sign-out";
  return before === undefined ? "login" : "switch";
}

type UserOf = (data: Record<string, unknown>) => string | undefined;

/**
 * The user of a stored content: the one that `userOf` finds, or else the one that was stored with it. So a release that
 * adds or changes `userOf` logs nobody out. Only a request that changes the keys it reads changes the user.
 */
export function userOfStored(userOf: UserOf | undefined, { data, user }: Content): string | undefined {
  if (userOf === undefined) return user;
  try {
    return userOf(data) ?? user;
  } catch {
    return user; // the commit calls the hook again with the data to write, and reports that failure
  }
}

/**
 * The user after a request changed `data`: the one that `userOf` finds. If it finds none, in the stored data either, the
 * request changed nothing that `userOf` reads, and the stored user stays.
 * @param base what was stored; null if nothing was, or none of it is kept
 */
export function userAfter(userOf: UserOf, data: Content["data"], base: Content | null): string | undefined {
  const user = userOf(data);
  if (user !== undefined || base?.user === undefined) return user;
  try {
    return userOf(base.data) === undefined ? base.user : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether the changes of this request may be merged with what another request stored under the same id. False if that
 * would mix the data of two users (R42). The first login keeps what the anonymous session held.
 */
export function mayMerge(
  base: string | undefined,
  mine: string | undefined,
  theirs: string | undefined,
): boolean {
  return theirs === base || theirs === mine || (base === undefined && mine === undefined);
}

/** The authentication of this request; undefined if it is the stored one. */
export function ownAuthentication(base: Content, mine: Content): Content["authentication"] {
  return isSameAuthentication(base.authentication, mine.authentication) ? undefined : mine.authentication;
}

/**
 * What a request set or changed since it loaded `base`. Another user's session starts with only this, and only this is
 * left when a session ended elsewhere. Works key by key, like merging: a key with a different value is kept whole; a key
 * that was set to its old value is not. Shares its values with `mine`.
 */
export function ownChanges(format: MergeFormat, base: Content, mine: Content): Content {
  const { flashInData } = format;
  flashInData?.agree(mine, base.flash);
  const changed = (part: "data" | "flash"): Record<string, unknown> => {
    const own: Record<string, unknown> = {};
    for (const key of Object.keys(mine[part])) {
      if (part === "data" && key === flashInData?.key) continue;
      const wasThere = Object.hasOwn(base[part], key);
      if (!wasThere || !format.same(base[part][key], mine[part][key])) addOwn(own, key, mine[part][key]);
    }
    return own;
  };
  const [data, flash] = [changed("data"), changed("flash")];
  if (Object.keys(flash).length > 0) flashInData?.write(data, flash);
  return { data, user: mine.user === base.user ? undefined : mine.user, flash };
}
