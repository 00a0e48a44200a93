import { isDeepStrictEqual } from "node:util";
import { isNumeric } from "./messagepack.ts";
import * as ruby from "./types.ts";

/** Kinds of ends that Rails compares although they differ. */
const MIXED = new Set([
  "time number",
  "time text",
  "text time",
  "text address",
  "address text",
  "address number",
]);

/**
 * Whether Ruby makes a Range of these ends, which needs that `begin <=> end` is not nil; an end of nil is open. Where
 * only the values tell (two Sets, mixed arrays), the answer is yes.
 */
export function isRange(begin: unknown, end: unknown): boolean {
  return begin === null || end === null || areComparable(begin, end);
}

function areComparable(a: unknown, b: unknown): boolean {
  const [kind, other] = [kindOf(a), kindOf(b)];
  if (kind !== other) return MIXED.has(`${kind} ${other}`);
  if (kind === "array") {
    const [[first], [second]] = [a as unknown[], b as unknown[]];
    return first === undefined || second === undefined || areComparable(first, second);
  }
  // An Object without an order of its own compares with its equals.
  return kind !== "object" || isDeepStrictEqual(a, b);
}

function kindOf(value: unknown): string {
  if (Number.isNaN(value instanceof ruby.RubyFloat ? value.value : value)) return "NaN";
  if (isNumeric(value) || value instanceof ruby.RubyComplex || value instanceof ruby.RubyDuration)
    return "number";
  if (typeof value === "string" || value instanceof Uint8Array) return "text";
  if (value instanceof ruby.RubyString || value instanceof ruby.RubySafeBuffer) return "text";
  if (value instanceof Date || value instanceof ruby.RubyDate || value instanceof ruby.RubyDateTime)
    return "time";
  if (value instanceof ruby.RubyIpAddress) return "address";
  if (value instanceof ruby.RubySymbol) return "symbol";
  if (value instanceof ruby.RubyPathname) return "path";
  if (value instanceof ruby.RubyTimeZone) return "zone";
  if (value instanceof Set) return "set";
  return Array.isArray(value) ? "array" : "object";
}
