import type { Content } from "../../codec/codec.ts";
import { ConflictError } from "../../errors.ts";
import type { Settings } from "../../session/settings.ts";
import { handleOf } from "../../session/handle.ts";
import { ownChanges } from "../../session/identity.ts";
import { assertSameUser } from "../../session/login-rules.ts";
import { changeIn, mergeContent } from "../../session/merge.ts";
import { storedUser, userOfData, type Save } from "./save.ts";

/** A session as it is stored, or as it is to be. */
export interface Draft {
  readonly createdAt: number;
  readonly content: Content;
  /** When it ends. */
  readonly end: number;
}

/** What takes the place of a stored row. */
export interface Plan extends Draft {
  /** Whether the session begins anew: both clocks restart, and saves of requests that loaded it before are dropped. */
  readonly anew: boolean;
}

/**
 * What a save makes of the session that is stored now. Null when the session that the request loaded has ended: its row
 * was begun anew or belongs to another user by now.
 *
 * Data of one user never meets that of another (R42). A change of user is a login (decision 4): a visitor keeps what
 * is in the session, a different user, or nobody after a user, keeps only what this request set.
 * @throws {ConflictError} the merged data would belong to somebody whom neither request logged in
 * @throws {TypeError} what is left for another user belongs to somebody else
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

  // A logout ends the session it loaded, never one that somebody logged in to since.
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

/** Whether the session that is stored is the one that the request loaded: not begun anew, and of the same user. */
export function isLoaded(settings: Settings, { base, baseline }: Save, stored: Draft): boolean {
  const isSameUser = storedUser(settings, stored.content) === storedUser(settings, base);
  return stored.createdAt === baseline.row.createdAt && isSameUser;
}

/** Key by key, the keys that say when the session ends as one value, and the end with them. */
function merge(settings: Settings, save: Save, stored: Draft): Draft {
  const { format, onConflict } = settings;
  const decided = decide(settings, save, stored);
  const content = mergeContent(format, save.base, save.mine, stored.content, onConflict);
  content.user = save.mine.user;
  putLast(content.data, save.own, decided.values);
  return { createdAt: stored.createdAt, content, end: decided.end };
}

/**
 * The same for many drafts, in place, for a request that does not change the user. The work is that of the keys that
 * the request changed, however large the session is. Who is logged in afterwards is the caller's to check.
 */
export function changeOf(settings: Settings, save: Save): (draft: Draft) => Draft {
  const { base, mine, own, baseline } = save;
  const change = changeIn(settings.format, without(base, own), without(mine, own), settings.onConflict);
  return (draft) => {
    if (draft.createdAt !== baseline.row.createdAt) throw new Error("The session began anew.");
    const { values, end } = decide(settings, save, draft);
    const content = change(draft.content);
    content.user = mine.user;
    putLast(content.data, own, values);
    return { ...draft, content, end };
  };
}

/** When the session ends, and the values of the keys that say so: this request's, or those that are stored. */
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

/** They come last, as they do in what is saved, so that equal data is equal bytes. */
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

/** What this request set, and when the session ends. */
function setByRequest({ format }: Settings, { base, mine, own }: Save): Record<string, unknown> {
  const { data } = ownChanges(format, base, mine);
  putLast(data, own, mine.data);
  return data;
}
