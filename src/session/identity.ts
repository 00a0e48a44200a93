import type { Content } from "../codec/codec.ts";
import { addOwn } from "../codec/own.ts";
import type { MergeFormat } from "./merge.ts";

/** What a save does to the user of a session (decision 4). */
export type UserChange =
  | "none"
  /** Nobody was logged in: the session goes on under a new id. */
  | "login"
  /** Another user was: a session of its own, with what this request set. */
  | "switch"
  /** Nobody is any more: a session of its own, with what this request set. */
  | "sign-out";

/** Both users as `userOf` or a login named them; undefined for nobody. */
export function changeOfUser(before: string | undefined, after: string | undefined): UserChange {
  if (before === after) return "none";
  if (after === undefined) return "sign-out";
  return before === undefined ? "login" : "switch";
}

type UserOf = (data: Record<string, unknown>) => string | undefined;

/**
 * Whose session a stored content is: by `userOf`, where that finds somebody, and otherwise by what was stored with it.
 * So an application that gets a `userOf`, or another, logs nobody out: only a request that changes what it reads is a
 * change of user.
 */
export function userOfStored(userOf: UserOf | undefined, { data, user }: Content): string | undefined {
  if (userOf === undefined) return user;
  try {
    return userOf(data) ?? user;
  } catch {
    return user; // the hook is asked again about what is to be written, and that failure is told
  }
}

/**
 * Who is logged in once a request has changed `data`: whom `userOf` finds there. Where it finds nobody, and found nobody
 * in what was stored either, nothing that it reads was changed: the user who was stored stays.
 * @param base what was stored; null where nothing was, or nothing of it stays
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
 * Whether what another request stored under the same id may be merged with what this one did: never where that brings
 * the data of two users together. The first to log in may take along what nobody's session held.
 */
export function mayMerge(
  base: string | undefined,
  mine: string | undefined,
  theirs: string | undefined,
): boolean {
  return theirs === base || theirs === mine || (base === undefined && mine === undefined);
}

/**
 * What a request set or changed since it loaded `base`: all that another user's session may begin with, and all that is
 * left of a session that ended elsewhere. Key by key, like merging: a key whose value is another is kept whole, one that
 * was given the value it had is not kept. Shares its values with `mine`.
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
