import { indifferentIdentity, rubyIdentity } from "./identity.ts";
import { placeText, refusal, within, type Place } from "./place.ts";
import { RubyIndifferentHash, RubySymbol } from "./types.ts";

/**
 * Refuses a Map or Set in which two keys or members are one in Ruby, which would keep one of them. To be called once
 * it is written: that bounds the work.
 * @throws {ValueError} naming both
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
      throw refusal(place, `is in Ruby the same as ${placeText(before)}: Ruby would keep one of them.`);
    }
    places.set(name, place);
  }
}

/** Whether a look at the kinds of the keys is enough: JavaScript tells these apart as Ruby does. */
function areDistinct(keys: Iterable<unknown>, isIndifferent: boolean): boolean {
  for (const key of keys) {
    if (typeof key === "string" || typeof key === "number") continue;
    if (key instanceof RubySymbol && !isIndifferent) continue;
    return false;
  }
  return true;
}
