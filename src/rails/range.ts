import { isDeepStrictEqual } from "node:util";
import { isNumeric } from "./messagepack.ts";
import * as ruby from "./types.ts";

/** Types of ends that Rails can compare although they differ. */
const MIXED = new Set([
  "time number",
  "time text",
  "text time",
  "text address",
  "address text",
  "address number",
]);

/**
 * Whether Ruby can create a Range with these ends, which requires that `begin <=> end` is not nil; nil means open.
 * Returns true if only the values decide (two Sets, mixed arrays).
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
  // An Object without its own order only compares with equal ones.
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
