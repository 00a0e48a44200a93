import * as ruby from "./types.ts";

/**
 * Converts a Ruby value to the nearest value of a native session, for the last step of a migration. Symbols become
 * their names; hashes become plain objects (or a Map, if a key is not a string); floats and rationals become numbers;
 * times become Dates; other values become text.
 */
export function plainValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(plainValue);
  if (value instanceof Set) return new Set([...value].map(plainValue));
  if (value instanceof Map) return plainHash(value);
  if (value instanceof ruby.RubySymbol) return value.name;
  if (value instanceof ruby.RubyFloat) return value.value;
  if (value instanceof ruby.RubyString) return value.bytes;
  if (value instanceof ruby.RubySafeBuffer) return plainValue(value.content);
  if (value instanceof ruby.RubyRational) return Number(value.numerator) / Number(value.denominator);
  if (value instanceof ruby.RubyComplex) {
    return { real: plainValue(value.real), imaginary: plainValue(value.imaginary) };
  }
  if (value instanceof ruby.RubyDuration) return plainValue(value.value);
  if (value instanceof ruby.RubyTimeZone) return value.name;
  if (value instanceof ruby.RubyPathname) return value.path;
  if (value instanceof ruby.RubyRange) {
    const { begin, end, excludeEnd } = value;
    return { begin: plainValue(begin), end: plainValue(end), excludeEnd };
  }
  if (
    value instanceof ruby.RubyUri ||
    value instanceof ruby.RubyIpAddress ||
    value instanceof ruby.RubyRegexp
  )
    return value.text;
  if (value instanceof ruby.RubyDateTime) return value.toDate();
  if (value instanceof Date) return new Date(value.getTime());
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return String(value as { toString(): string });
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainValue(inner)]));
}

function plainHash(hash: ReadonlyMap<unknown, unknown>): unknown {
  const pairs = [...hash].map(([key, value]) => [plainValue(key), plainValue(value)] as const);
  return pairs.every(([key]) => typeof key === "string" && key !== "__proto__")
    ? Object.fromEntries(pairs as [string, unknown][])
    : new Map(pairs);
}
