/** The notation of the vectors' README: JSON that says which Ruby value is meant. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as ruby from "../../src/rails/types.ts";

/* eslint-disable @typescript-eslint/no-explicit-any */
export type Typed = any;

export function vectors(name: string): any {
  return JSON.parse(readFileSync(new URL(`../vectors/rails/${name}.json`, import.meta.url), "utf8"));
}

export const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
export const hex = (value: Uint8Array): string => Buffer.from(value).toString("hex");
export const sha256 = (value: Uint8Array): string => createHash("sha256").update(value).digest("hex");

const integer = (text: string): number | bigint =>
  Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text);
const fraction = (text: string): ruby.RubyRational => {
  const [numerator = "0", denominator = "1"] = text.split("/");
  return new ruby.RubyRational(integer(numerator), integer(denominator));
};
const float = (text: string): number | ruby.RubyFloat => {
  const value = Number(text);
  return Number.isSafeInteger(value) && !Object.is(value, -0) ? new ruby.RubyFloat(value) : value;
};

/** What Node would hold for a value of the vectors. */
export function fromTyped(typed: Typed): unknown {
  if (Array.isArray(typed)) return typed.map(fromTyped);
  if (typed === null || typeof typed !== "object") return typed;
  const [[tag, given] = ["", null]] = Object.entries<Typed>(typed);
  switch (tag) {
    case "$map":
      return new Map(given.map(([key, value]: [Typed, Typed]) => [fromTyped(key), fromTyped(value)]));
    case "$hwia":
      return new ruby.RubyIndifferentHash(
        given.map(([key, value]: [Typed, Typed]) => [fromTyped(key), fromTyped(value)]),
      );
    case "$symbol":
      return ruby.RubySymbol.for(given);
    case "$bigint":
      return BigInt(given);
    case "$float":
      return float(given);
    case "$binary":
      return bytes(given);
    case "$string":
      if (given.encoding === "ISO-8859-1") return Buffer.from(given.hex, "hex").toString("latin1");
      if (given.encoding === "UTF-16LE") return Buffer.from(given.hex, "hex").toString("utf16le");
      return new ruby.RubyString(bytes(given.hex));
    case "$time": {
      const time = new ruby.RubyTime(given.sec, given.nsec, given.utc_offset);
      return given.utc_offset === 0 && given.nsec % 1e6 === 0 ? new Date(time.getTime()) : time;
    }
    case "$datetime":
      return new ruby.RubyDateTime(
        new ruby.RubyDate(given.jd),
        given.hour,
        given.min,
        given.sec,
        fraction(given.sec_fraction),
        fraction(given.offset_days),
      );
    case "$date":
      return new ruby.RubyDate(given.jd);
    case "$time_with_zone":
      return new ruby.RubyTimeWithZone(given.sec, given.nsec, given.zone);
    case "$time_zone":
      return new ruby.RubyTimeZone(given);
    case "$duration":
      return new ruby.RubyDuration(
        fromTyped(given.value) as ruby.RubyNumeric,
        Object.fromEntries(Object.entries(given.parts).map(([unit, part]) => [unit, fromTyped(part)])),
      );
    case "$bigdecimal":
      return new ruby.RubyBigDecimal(given);
    case "$rational":
      return fraction(given);
    case "$complex":
      return new ruby.RubyComplex(
        fromTyped(given[0]) as ruby.RubyNumeric,
        fromTyped(given[1]) as ruby.RubyNumeric,
      );
    case "$range":
      return new ruby.RubyRange(fromTyped(given[0]), fromTyped(given[1]), given[2]);
    case "$set":
      return new Set(given.map(fromTyped));
    case "$uri":
      return new ruby.RubyUri(given);
    case "$ipaddr":
      return new ruby.RubyIpAddress(given);
    case "$pathname":
      return new ruby.RubyPathname(given);
    case "$regexp":
      return new ruby.RubyRegexp(given.to_s);
    case "$repeat":
      return repeat(given);
  }
  if (Object.hasOwn(typed, "__proto__")) {
    return new Map(Object.entries(typed).map(([key, value]) => [key, fromTyped(value)]));
  }
  return Object.fromEntries(Object.entries(typed).map(([key, value]) => [key, fromTyped(value)]));
}

function repeat({ kind, of, times }: { kind: string; of: Typed; times: number }): unknown {
  switch (kind) {
    case "string":
      return of.repeat(times);
    case "symbol":
      return ruby.RubySymbol.for(of.repeat(times));
    case "binary":
      return bytes(of.repeat(times));
    case "array":
      return Array.from({ length: times }, () => fromTyped(of));
    case "map from integer keys 1..times":
      return new Map(Array.from({ length: times }, (_, index) => [index + 1, fromTyped(of)]));
    default:
      throw new Error(`unknown kind ${kind}`);
  }
}
