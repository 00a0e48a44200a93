import type { Content } from "../../codec/codec.ts";
import { ConflictError } from "../../errors.ts";
import type { Settings } from "../../session/settings.ts";
import type { SessionRow } from "../../store/row.ts";
import { handleOf } from "../../session/handle.ts";
import { plainAnswer, userIn } from "../../session/hooks.ts";
import { ownChanges } from "../../session/identity.ts";
import { mergeContent } from "../../session/merge.ts";
import type { Baseline } from "./baseline.ts";

/** One save by a request. */
export interface Save {
  /** What the request knew to be stored before. */
  readonly base: Content;
  readonly mine: Content;
  readonly baseline: Baseline;
  /** When the session ends; null leaves that as it is stored. */
  readonly expiresAt: number | null;
  /** Keys of the data that say when the session ends. They are merged as one value. */
  readonly own: readonly string[];
}

/** What takes the place of a stored row. */
export interface Plan {
  readonly content: Content;
  readonly end: number;
  /** Whether the session begins anew: both clocks restart, and saves of requests that loaded it before are dropped. */
  readonly anew: boolean;
}

/** Who is logged in according to the application's `userOf`; undefined for nobody, and without `userOf`. */
export function foreignUser({ userOf }: Settings, data: Record<string, unknown>): string | undefined {
  return userOf && userIn(userOf, data);
}

/**
 * Who was logged in in a session that is stored. Judged by the `userOf` of today, like what is saved: a session that
 * was stored under an earlier one has not changed its user. Where that cannot answer, the user it was stored with.
 */
export function storedUser(settings: Settings, { data, user }: Content): string | undefined {
  try {
    return foreignUser(settings, data);
  } catch {
    return user;
  }
}

/**
 * What a save makes of the row that is stored now. Null when the session that the request loaded has ended: its row
 * was begun anew or belongs to another user by now.
 *
 * Data of one user never meets that of another (R42). A change of user is a login (decision 4): a visitor keeps what
 * is in the session, a different user, or nobody after a user, keeps only what this request set.
 * @throws {ConflictError} the merged data would belong to somebody whom neither request logged in
 */
export function planSave(settings: Settings, save: Save, row: SessionRow, theirs: Content): Plan | null {
  const { base, mine, baseline, expiresAt } = save;
  const [before, now, user] = [storedUser(settings, base), storedUser(settings, theirs), mine.user];
  const isSame = row.createdAt === baseline.row.createdAt && now === before;

  if (user === before) {
    if (!isSame) return null;
    const merged = merge(settings, save, row, theirs);
    if (foreignUser(settings, merged.content.data) === user) return { ...merged, anew: false };
    throw new ConflictError(
      `Merged with the changes of another request, session ${handleOf(row.id)} would belong to another user. Nothing of this request is stored; try again.`,
    );
  }

  // A logout ends the session it loaded, never one that somebody logged in to since.
  if (user === undefined && !isSame) return null;
  if ((isSame && user !== undefined && before === undefined) || (now === user && user !== undefined)) {
    const { content, end } = merge(settings, save, row, theirs);
    if (foreignUser(settings, content.data) === user) return { content, end, anew: true };
  }
  const content = before === undefined ? mine : { ...mine, data: setByRequest(settings, save) };
  return { content, end: expiresAt ?? row.expiresAt, anew: true };
}

/** Key by key, the keys that say when the session ends as one value, and the end with them. */
function merge(
  settings: Settings,
  { base, mine, baseline, expiresAt, own }: Save,
  row: SessionRow,
  theirs: Content,
): Omit<Plan, "anew"> {
  const { format, onConflict } = settings;
  const ask =
    onConflict &&
    ((conflict: Parameters<typeof onConflict>[0]) => plainAnswer("onConflict", onConflict(conflict)));
  const content = mergeContent(format, base, mine, theirs, ask);
  content.user = mine.user;
  const differ = (a: Content, b: Content): boolean =>
    own.some((key) => !format.same(a.data[key], b.data[key]));
  const isMine = differ(base, mine);
  const deciding = isMine ? mine : theirs;
  for (const key of own) {
    delete content.data[key]; // they come last, as they do in what is saved, so that equal data is equal bytes
    if (Object.hasOwn(deciding.data, key)) content.data[key] = deciding.data[key];
  }
  if (expiresAt === null || (!isMine && differ(theirs, mine))) return { content, end: row.expiresAt };
  const decides = isMine || baseline.isShortenedTo(expiresAt);
  return { content, end: decides ? expiresAt : Math.max(expiresAt, row.expiresAt) };
}

/** What this request set, and when the session ends. */
function setByRequest({ format }: Settings, { base, mine, own }: Save): Record<string, unknown> {
  const { data } = ownChanges(format, base, mine);
  for (const key of own) {
    delete data[key]; // last, as in what is saved
    if (Object.hasOwn(mine.data, key)) data[key] = mine.data[key];
  }
  return data;
}
