import { indifferentIdentity, rubyIdentity } from "./identity.ts";
import { placeText, refusal, within, type Place } from "./place.ts";
import { RubyIndifferentHash, RubySymbol } from "./types.ts";

/**
 * Rejects a Map or Set with two keys or members that are equal in Ruby, which would keep only one. Call it after
 * writing the value, which bounds the work.
 * @throws {ValueError} with both paths
 */
export function assertDistinct(
  collection: ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>,
  path: Place,
): void {
  const isIndifferent = collection instanceof RubyIndifferentHash;
  if (areDistinct(collection.keys(), isIndifferent)) return;
  const identity = isIndifferent ? indifferentIdentity : rubyIdentity;
  const of = collection instanceof Map ? "keys" : "values";
  const places = new Map<string, Place>();
  let index = 0;
  for (const key of collection.keys()) {
    const place = within(path, { of, key, index: index++ });
    const name = identity(key);
    const before = places.get(name);
    if (before !== undefined) {
      throw refusal(place, `equals ${placeText(before)} in Ruby, which would keep only one of them.`);
    }
    places.set(name, place);
  }
}

/**
 * Leaves of keys that are equal in Ruby the first one, with the value of the last, and of equal members the first: what Ruby
 * makes of these bytes. It writes them for a Hash that compares its keys by identity.
 */
export function mergeEqual<Collection extends Map<unknown, unknown> | Set<unknown>>(
  collection: Collection,
): Collection {
  const isIndifferent = collection instanceof RubyIndifferentHash;
  if (areDistinct(collection.keys(), isIndifferent)) return collection;
  const identity = isIndifferent ? indifferentIdentity : rubyIdentity;
  const firsts = new Map<string, unknown>();
  for (const [key, value] of collection.entries()) {
    const name = identity(key);
    if (!firsts.has(name)) {
      firsts.set(name, key);
      continue;
    }
    collection.delete(key);
    if (collection instanceof Map) collection.set(firsts.get(name), value);
  }
  return collection;
}

/** Whether the types of the keys suffice to tell: JavaScript distinguishes these as Ruby does. */
function areDistinct(keys: Iterable<unknown>, isIndifferent: boolean): boolean {
  for (const key of keys) {
    if (typeof key === "string" || typeof key === "number") continue;
    if (key instanceof RubySymbol && !isIndifferent) continue;
    return false;
  }
  return true;
}
