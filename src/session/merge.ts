import type { Content } from "../codec/codec.ts";
import { isSameAuthentication } from "../codec/authentication.ts";
import { isSameDevice } from "../codec/device.ts";
import { addOwn } from "../codec/own.ts";

/** Three versions of one value; undefined if the key is absent. */
interface Versions {
  readonly base: unknown;
  readonly mine: unknown;
  readonly theirs: unknown;
}

/** Decides the value of a key that both sides changed differently. */
type Decide = (key: string, versions: Versions) => unknown;

/** What merging needs of a format. */
export interface MergeFormat {
  /** Whether a value changed. */
  same(a: unknown, b: unknown): boolean;
  readonly flashInData?: FlashInData;
}

/** For formats that keep flash messages under one key of `data`: merges each message, not the key as a whole. */
export interface FlashInData {
  readonly key: string;
  /** Makes `flash` and `data` of a content agree. `before` is the flash that was loaded. */
  agree(content: Content, before: Readonly<Record<string, unknown>>): void;
  /** Writes the flash into `data`. */
  write(data: Record<string, unknown>, flash: Readonly<Record<string, unknown>>): void;
}

/**
 * A three-way merge: applies my changes to theirs (promise 2, R39). Each key of `data` and each flash message is merged
 * by itself, and the user as one value. Deleting a key is a change. If both sides changed the same key differently, mine
 * wins, because it is the later commit. One exception: taking a flash message does not remove a newer message of the same
 * name, which this request never showed.
 *
 * The contents are not modified, except that `flashInData.agree` may modify mine. The result shares their values, and
 * prefers mine if both are equal, because the application may hold on to it. Keys keep their order in theirs, followed by
 * those that only mine has.
 *
 * @param base what both sides loaded
 * @param onConflict decides conflicts in keys of `data`, so that mine does not win automatically. Its result becomes the
 *   value; undefined deletes the key; its errors propagate
 */
export function mergeContent(
  codec: MergeFormat,
  base: Content,
  mine: Content,
  theirs: Content,
  onConflict?: (conflict: { key: string } & Versions) => unknown,
): Content {
  const mineWins: Decide = (_key, versions) => versions.mine;
  // I took the message that I loaded. Theirs is a newer one that was not shown yet.
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
      // Merged as `flash`. This only keeps the position of the key.
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
  const user = base.user === mine.user ? theirs.user : mine.user;
  // The authentication of the side that changed it, mine first, and never that of another user.
  const side = isSameAuthentication(base.authentication, mine.authentication) ? theirs : mine;
  const authentication = side.user === user ? side.authentication : undefined;
  const binder = isSameDevice(base.device, mine.device) ? theirs : mine;
  const device = binder.user === user ? binder.device : undefined;
  return {
    data,
    user,
    ...(authentication && { authentication }),
    ...(device && { device }),
    // The same object if nothing in it differs: Rails mode compares its identity.
    flash: isSame(flash, mine.flash) ? mine.flash : flash,
  };
}

/**
 * {@link mergeContent} with one `base` and `mine` for many `theirs`, which it modifies in place. The cost depends on the
 * number of keys that I changed, not on the size of theirs.
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
    const { user, authentication, device } = content;
    const picked: Content = { data: {}, user, flash: {}, authentication, device };
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
    for (const name of ["authentication", "device"] as const) {
      if (merged[name] === undefined) delete theirs[name];
      else Object.assign(theirs, { [name]: merged[name] });
    }
    return theirs;
  };
}

/** Whether both have the same values under the same names in the same order. */
function isSame(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  const [names, others] = [Object.keys(a), Object.keys(b)];
  return (
    names.length === others.length &&
    names.every((name, at) => others[at] === name && Object.is(a[name], b[name]))
  );
}

/** An own value. A key such as `constructor` must not find anything on the prototype (R46). */
function own(values: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(values, key) ? values[key] : undefined;
}
