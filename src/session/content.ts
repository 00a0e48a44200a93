import type { Content } from "../codec/codec.ts";
import { addOwn } from "../codec/own.ts";

export function emptyContent(): Content {
  return { data: {}, user: undefined, flash: {} };
}

export function isEmpty(content: Content): boolean {
  return (
    content.user === undefined &&
    Object.keys(content.data).length === 0 &&
    Object.keys(content.flash).length === 0
  );
}

/** Replaces the values of an object. False if it cannot be modified, because the application froze it. */
export function refill(target: Record<string, unknown>, source: Record<string, unknown>): boolean {
  if (!Object.isExtensible(target)) return false;
  for (const key of Object.keys(target)) if (!Reflect.deleteProperty(target, key)) return false;
  for (const key of Object.keys(source)) addOwn(target, key, source[key]);
  return true;
}
