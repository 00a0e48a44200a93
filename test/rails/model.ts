import * as ruby from "../../src/rails/types.ts";
import type { Model } from "./independent.ts";
import { hex } from "./typed.ts";

const utf8 = (text: string): string => Buffer.from(text, "utf8").toString("hex");
const integer = (value: ruby.RubyInteger): Model => ["integer", String(value)];
function float(value: number): Model {
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleBE(value);
  return ["float", buffer.toString("hex")];
}
const rational = (value: ruby.RubyRational): Model[] =>
  value.numerator === 0 ? [integer(0)] : [integer(value.numerator), integer(value.denominator)];

/** What the description says that a value of Node is in Ruby. */
export function modelOf(value: unknown): Model {
  if (value === null) return ["nil"];
  if (typeof value === "boolean") return [String(value)];
  if (typeof value === "string") return ["string", utf8(value)];
  if (typeof value === "bigint") return integer(value);
  if (typeof value === "number") {
    return Number.isSafeInteger(value) && !Object.is(value, -0) ? integer(value) : float(value);
  }
  if (value instanceof ruby.RubyFloat) return float(value.value);
  if (value instanceof Uint8Array) return ["binary", hex(value)];
  if (value instanceof ruby.RubyString) return ["string", hex(value.bytes)];
  if (Array.isArray(value)) return ["array", ...value.map(modelOf)];
  if (value instanceof ruby.RubyIndifferentHash) return ["hwia", ["hash", ...[...value].flat().map(modelOf)]];
  if (value instanceof Map) return ["hash", ...[...value].flat().map(modelOf)];
  if (value instanceof Set) return ["set", ["array", ...[...value].map(modelOf)]];
  if (value instanceof ruby.RubySymbol) return ["symbol", utf8(value.name)];
  if (value instanceof ruby.RubyTime) {
    return ["time", integer(value.epochSeconds), integer(value.nanosecond), integer(value.utcOffset)];
  }
  if (value instanceof ruby.RubyTimeWithZone) {
    return [
      "zoned",
      integer(value.epochSeconds),
      integer(value.nanosecond),
      integer(0),
      ["string", utf8(value.zone)],
    ];
  }
  if (value instanceof Date) {
    const seconds = Math.floor(value.getTime() / 1000);
    return ["time", integer(seconds), integer((value.getTime() - 1000 * seconds) * 1_000_000), integer(0)];
  }
  if (value instanceof ruby.RubyRational) return ["rational", ...rational(value)];
  if (value instanceof ruby.RubyComplex) return ["complex", modelOf(value.real), modelOf(value.imaginary)];
  if (value instanceof ruby.RubyBigDecimal)
    return ["decimal", utf8(`${value.precision}:${value.scientific}`)];
  if (value instanceof ruby.RubyDate) return ["date", integer(value.julianDay)];
  if (value instanceof ruby.RubyDateTime) {
    const clock = [value.date.julianDay, value.hour, value.minute, value.second].map(integer);
    return ["datetime", ...clock, ...rational(value.fraction), ...rational(value.offset)];
  }
  if (value instanceof ruby.RubyTimeZone) return ["zone", utf8(value.name)];
  if (value instanceof ruby.RubyDuration) {
    const parts = ["years", "months", "weeks", "days", "hours", "minutes", "seconds"] as const;
    return [
      "duration",
      modelOf(value.value),
      ["array", ...parts.map((part) => modelOf(value.parts[part] ?? null))],
    ];
  }
  if (value instanceof ruby.RubyRange) {
    return ["range", modelOf(value.begin), modelOf(value.end), modelOf(value.excludeEnd)];
  }
  if (value instanceof ruby.RubyUri) return ["uri", utf8(value.text)];
  if (value instanceof ruby.RubyIpAddress) return ["address", ["string", utf8(value.text)]];
  if (value instanceof ruby.RubyPathname) return ["pathname", utf8(value.path)];
  if (value instanceof ruby.RubyRegexp) return ["regexp", utf8(value.text)];
  if (value instanceof ruby.RubySafeBuffer) return ["safe", utf8(String(value.content))];
  return [
    "hash",
    ...Object.entries(value as object)
      .flat()
      .map(modelOf),
  ];
}
