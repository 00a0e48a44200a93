import { isIP } from "node:net";
import type { ReadLimits } from "./reader.ts";
import { RubyBigDecimal, RubyFloat, RubyRational, type RubyNumeric } from "./types.ts";

/** Limits of reading and writing (R45). */
export interface RubyLimits extends ReadLimits {
  /** Bytes of the whole. Default 1 MiB. */
  readonly maxBytes: number;
}

export const defaultLimits: RubyLimits = { maxBytes: 1_048_576, maxDepth: 32, maxKeys: 10_000 };

/** The integer 128 in uint8 form. */
export const SIGNATURE: Uint8Array = Uint8Array.of(0xcc, 0x80);

/** Type codes of ActiveSupport::MessagePack's extensions. */
export const EXT = {
  symbol: 0,
  bigInteger: 1,
  bigDecimal: 2,
  rational: 3,
  complex: 4,
  dateTime: 5,
  date: 6,
  time: 7,
  timeWithZone: 8,
  timeZone: 9,
  duration: 10,
  range: 11,
  set: 12,
  uri: 13,
  ipAddress: 14,
  pathname: 15,
  regexp: 16,
  indifferentHash: 17,
  safeBuffer: 18,
} as const;

/**
 * Order of keys of hashes that a plain object cannot keep itself: JavaScript moves keys such as "17" to the front.
 * Known as long as the object is; a copy made by the application has the order it was made in.
 */
export const keyOrder: WeakMap<object, readonly string[]> = new WeakMap();

/** Whether Ruby counts with it. */
export function isNumeric(value: unknown): value is RubyNumeric {
  return (
    typeof value === "number" ||
    typeof value === "bigint" ||
    value instanceof RubyFloat ||
    value instanceof RubyRational ||
    value instanceof RubyBigDecimal
  );
}

/** An address, or a network with its prefix. */
export function isAddress(text: string): boolean {
  if (text.length > 100) return false;
  const [address = "", prefix, ...more] = text.split("/");
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}

/** Turns the order of the 32-bit words around, leaving the bytes in each: Ruby puts the least significant first. */
export function swapWords(bytes: Uint8Array): Uint8Array {
  return Buffer.from(bytes.toReversed()).swap32();
}

/** The keys of an object in the order of {@link keyOrder}, then those that are new. */
export function orderedKeys(object: Record<string, unknown>): string[] {
  const keys = Object.keys(object);
  const order = keyOrder.get(object);
  if (order === undefined) return keys;
  const remaining = new Set(keys);
  return [...order.filter((key) => remaining.delete(key)), ...remaining];
}
