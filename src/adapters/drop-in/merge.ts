import type { Content } from "../../codec/codec.ts";
import { ConflictError } from "../../errors.ts";
import type { Settings } from "../../session/settings.ts";
import { handleOf } from "../../session/handle.ts";
import { ownChanges } from "../../session/identity.ts";
import { assertSameUser } from "../../session/login-rules.ts";
import { changeIn, mergeContent } from "../../session/merge.ts";
import { storedUser, userOfData, type Save } from "./save.ts";

/** A session as it is or will be stored. */
export interface Draft {
  readonly createdAt: number;
  readonly content: Content;
  /** When it ends. */
  readonly end: number;
}

/** What replaces a stored row. */
export interface Plan extends Draft {
  /**
   * Whether the session starts over: both timeouts restart, and saves of requests that loaded it before are discarded.
   */
  readonly anew: boolean;
}

/**
 * Applies a save to the session that is stored now. Returns null if the session that the request loaded has ended: its
 * row started over or now belongs to another user.
 *
 * Data of different users is never merged (R42). A change of user is a login (decision 4): an anonymous session keeps
 * its data; for a different user, or for nobody after a user, only what this request set is kept.
 * @throws {ConflictError} the merged data would belong to a user whom neither request logged in
 * @throws {TypeError} the data kept for another user belongs to someone else
 */
export function planSave(settings: Settings, save: Save, stored: Draft): Plan | null {
  const { base, mine, baseline, expiresAt } = save;
  const { createdAt, content: theirs } = stored;
  const [before, now, user] = [storedUser(settings, base), storedUser(settings, theirs), mine.user];
  const isSame = isLoaded(settings, save, stored);

  if (user === before) {
    if (!isSame) return null;
    const merged = merge(settings, save, stored);
    if (userOfData(settings, merged.content.data, base) === user) return { ...merged, anew: false };
    throw new ConflictError(
      `Merging the changes of another request would give session ${handleOf(baseline.row.id)} to another user. Nothing was saved. Retry the request.`,
    );
  }

  // A logout ends only the session it loaded, not one that a user has logged in to since.
  if (user === undefined && !isSame) return null;
  if ((isSame && user !== undefined && before === undefined) || (now === user && user !== undefined)) {
    const merged = merge(settings, save, stored);
    if (userOfData(settings, merged.content.data, base) === user) return { ...merged, anew: true };
  }
  const content = before === undefined ? mine : { ...mine, data: setByRequest(settings, save) };
  if (settings.userOf !== undefined) assertSameUser(settings.userOf, content, remedy);
  return { createdAt, content, end: expiresAt ?? stored.end, anew: true };
}

const remedy = "Set every key that `userOf` reads, or give the session a new id first (regenerate).";

/** Whether the stored session is the one that the request loaded: not started over, and of the same user. */
export function isLoaded(settings: Settings, { base, baseline }: Save, stored: Draft): boolean {
  const isSameUser = storedUser(settings, stored.content) === storedUser(settings, base);
  return stored.createdAt === baseline.row.createdAt && isSameUser;
}

/** Merges key by key. The keys that determine the session's end are merged as one value, together with the end. */
function merge(settings: Settings, save: Save, stored: Draft): Draft {
  const { format, onConflict } = settings;
  const decided = decide(settings, save, stored);
  const content = mergeContent(format, save.base, save.mine, stored.content, onConflict);
  content.user = save.mine.user;
  putLast(content.data, save.own, decided.values);
  return { createdAt: stored.createdAt, content, end: decided.end };
}

/**
 * The same for many drafts, in place, for a request that does not change the user. The work depends only on the number
 * of changed keys. The caller checks the resulting user.
 */
export function changeOf(settings: Settings, save: Save): (draft: Draft) => Draft {
  const { base, mine, own, baseline } = save;
  const change = changeIn(settings.format, without(base, own), without(mine, own), settings.onConflict);
  return (draft) => {
    if (draft.createdAt !== baseline.row.createdAt) throw new Error("The session started over.");
    const { values, end } = decide(settings, save, draft);
    const content = change(draft.content);
    content.user = mine.user;
    putLast(content.data, own, values);
    return { ...draft, content, end };
  };
}

/** The session's end, and the values of the keys that determine it: this request's or the stored ones. */
function decide(
  { format }: Settings,
  { base, mine, baseline, expiresAt, own }: Save,
  { content: theirs, end }: Draft,
): { values: Record<string, unknown>; end: number } {
  const differ = (a: Content, b: Content): boolean =>
    own.some((key) => !format.same(a.data[key], b.data[key]));
  const isMine = differ(base, mine);
  const deciding = (isMine ? mine : theirs).data;
  const values: Record<string, unknown> = {};
  for (const key of own) if (Object.hasOwn(deciding, key)) values[key] = deciding[key];
  if (expiresAt === null || (!isMine && differ(theirs, mine))) return { values, end };
  const decides = isMine || baseline.isShortenedTo(expiresAt);
  return { values, end: decides ? expiresAt : Math.max(expiresAt, end) };
}

/** They come last, as in saved data, so that equal data has equal bytes. */
function putLast(
  data: Record<string, unknown>,
  own: readonly string[],
  values: Readonly<Record<string, unknown>>,
): void {
  for (const key of own) {
    delete data[key];
    if (Object.hasOwn(values, key)) data[key] = values[key];
  }
}

function without(content: Content, own: readonly string[]): Content {
  const data = Object.fromEntries(Object.entries(content.data).filter(([key]) => !own.includes(key)));
  return { ...content, data };
}

/** What this request set, and the session's end. */
function setByRequest({ format }: Settings, { base, mine, own }: Save): Record<string, unknown> {
  const { data } = ownChanges(format, base, mine);
  putLast(data, own, mine.data);
  return data;
}
