import type { Content } from "../codec/codec.ts";
import { addOwn } from "../codec/own.ts";

/** One value in its three versions; undefined stands for a key that is not there. */
interface Versions {
  readonly base: unknown;
  readonly mine: unknown;
  readonly theirs: unknown;
}

/** Tells what becomes of a key that both sides changed, each to something else. */
type Decide = (key: string, versions: Versions) => unknown;

/** What merging needs of a format. */
export interface MergeFormat {
  /** Whether a value changed. */
  same(a: unknown, b: unknown): boolean;
  readonly flashInData?: FlashInData;
}

/** For formats that keep the flash under a key of `data`, where whole values would compete instead of messages. */
export interface FlashInData {
  readonly key: string;
  /** Brings `flash` and `data` of a content into agreement. `before` is the flash that it was loaded with. */
  agree(content: Content, before: Readonly<Record<string, unknown>>): void;
  /** Puts the flash into data. */
  write(data: Record<string, unknown>, flash: Readonly<Record<string, unknown>>): void;
}

/**
 * Applies my changes on top of theirs (promise 2, R39): three-way, each key of `data` and each name of the flash for
 * itself, the user as one value. Deleting a key is a change like any other. Where both sides changed the same thing
 * to something else, mine, the later commit, wins. One exception: taking a flash message does not remove a newer
 * message of the same name, which this request never showed.
 *
 * None of the three contents is changed, apart from what `flashInData.agree` does to mine; the result shares their
 * values, mine where theirs is the same: the application may hold on to it. Keys come in the order of theirs, then
 * those that are new in mine.
 *
 * @param base as both sides loaded it
 * @param onConflict asked instead of letting mine win, for keys of `data` only. What it returns is taken, undefined
 *   deletes the key, what it throws passes through
 */
export function mergeContent(
  codec: MergeFormat,
  base: Content,
  mine: Content,
  theirs: Content,
  onConflict?: (conflict: { key: string } & Versions) => unknown,
): Content {
  const mineWins: Decide = (_key, versions) => versions.mine;
  // A message that I took is the one that I loaded; theirs is another, and nobody has shown it.
  const unseenStays: Decide = (_key, { mine: left, theirs: newer }) => (left === undefined ? newer : left);
  const { flashInData } = codec;
  flashInData?.agree(mine, base.flash);
  const ask: Decide | undefined = onConflict && ((key, versions) => onConflict({ key, ...versions }));

  const mergeKeys = (part: "data" | "flash", decide: Decide) => {
    const merged: Record<string, unknown> = {};
    for (const key of new Set([...Object.keys(theirs[part]), ...Object.keys(mine[part])])) {
      const versions = {
        base: own(base[part], key),
        mine: own(mine[part], key),
        theirs: own(theirs[part], key),
      };
      // Merged as the flash; this keeps its place among the keys.
      const isFlash = part === "data" && key === flashInData?.key;
      const value = isFlash ? versions.theirs : mergeValue(key, versions, decide);
      if (value !== undefined) addOwn(merged, key, value);
    }
    return merged;
  };

  const mergeValue = (key: string, versions: Versions, decide: Decide) => {
    if (codec.same(versions.mine, versions.theirs)) return versions.mine;
    if (codec.same(versions.base, versions.mine)) return versions.theirs;
    if (codec.same(versions.base, versions.theirs)) return versions.mine;
    return decide(key, versions);
  };

  const flash = mergeKeys("flash", unseenStays);
  const data = mergeKeys("data", ask ?? mineWins);
  if (!isSame(flash, theirs.flash)) flashInData?.write(data, flash);
  return {
    data,
    user: base.user === mine.user ? theirs.user : mine.user,
    // The object itself where nothing in it is another: Rails mode knows it again.
    flash: isSame(flash, mine.flash) ? mine.flash : flash,
  };
}

/**
 * The same as {@link mergeContent} with one `base` and `mine` for many `theirs`, which it changes in place: the work is
 * that of the keys that I changed, however large theirs is.
 */
export function changeIn(
  codec: MergeFormat,
  base: Content,
  mine: Content,
  onConflict?: (conflict: { key: string } & Versions) => unknown,
): (theirs: Content) => Content {
  if (codec.flashInData !== undefined) return (theirs) => mergeContent(codec, base, mine, theirs, onConflict);
  const parts = ["data", "flash"] as const;
  const changed = (part: "data" | "flash"): string[] =>
    [...new Set([...Object.keys(base[part]), ...Object.keys(mine[part])])].filter(
      (key) => !codec.same(own(base[part], key), own(mine[part], key)),
    );
  const keys = { data: changed("data"), flash: changed("flash") };
  const pick = (content: Content): Content => {
    const picked: Content = { data: {}, user: content.user, flash: {} };
    for (const part of parts) {
      for (const key of keys[part]) {
        if (Object.hasOwn(content[part], key)) addOwn(picked[part], key, content[part][key]);
      }
    }
    return picked;
  };
  const [before, after] = [pick(base), pick(mine)];
  return (theirs) => {
    const merged = mergeContent(codec, before, after, pick(theirs), onConflict);
    for (const part of parts) {
      for (const key of keys[part]) {
        const value = own(merged[part], key);
        if (value === undefined) delete theirs[part][key];
        else if (!addOwn(theirs[part], key, value)) theirs[part][key] = value;
      }
    }
    theirs.user = merged.user;
    return theirs;
  };
}

/** The same values under the same names in the same order. */
function isSame(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  const [names, others] = [Object.keys(a), Object.keys(b)];
  return (
    names.length === others.length &&
    names.every((name, at) => others[at] === name && Object.is(a[name], b[name]))
  );
}

/** Never what a key like `constructor` would find on the prototype (R46). */
function own(values: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(values, key) ? values[key] : undefined;
}
