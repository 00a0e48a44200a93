import { isIP } from "node:net";
import type { ReadLimits } from "./reader.ts";
import { RubyBigDecimal, RubyFloat, RubyRational, type RubyNumeric } from "./types.ts";

/** Limits of decoding and encoding (R45). */
export interface RubyLimits extends ReadLimits {
  /** Total size in bytes. Default 1 MiB. */
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
 * The key order of hashes that a plain object cannot preserve, because JavaScript moves keys such as "17" to the front.
 * Lost when the application copies the object.
 */
export const keyOrder: WeakMap<object, readonly string[]> = new WeakMap();

/** Whether the value is a Ruby number. */
export function isNumeric(value: unknown): value is RubyNumeric {
  return (
    typeof value === "number" ||
    typeof value === "bigint" ||
    value instanceof RubyFloat ||
    value instanceof RubyRational ||
    value instanceof RubyBigDecimal
  );
}

/** Whether the text is an address, or a network with its prefix. */
export function isAddress(text: string): boolean {
  if (text.length > 100) return false;
  const [address = "", prefix, ...more] = text.split("/");
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}

/** Reverses the order of 32-bit words but not the bytes in each: Ruby stores the least significant word first. */
export function swapWords(bytes: Uint8Array): Uint8Array {
  return Buffer.from(bytes.toReversed()).swap32();
}

/** Returns the keys of an object in the order of {@link keyOrder}, then new keys. */
export function orderedKeys(object: Record<string, unknown>): string[] {
  const keys = Object.keys(object);
  const order = keyOrder.get(object);
  if (order === undefined) return keys;
  const remaining = new Set(keys);
  return [...order.filter((key) => remaining.delete(key)), ...remaining];
}
