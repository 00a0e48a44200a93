import { isIP } from "node:net";
import * as ruby from "./types.ts";

const none = new ruby.RubyRational(0);

/** In Ruby, NaN equals nothing, not even itself. */
let nan = 0;

/**
 * Returns a text that is the same for two values exactly if Ruby treats them as the same key of a Hash or member of a
 * Set: they are `eql?` and have the same `hash`. Integers and Floats differ (`1` and `1.0`), times of the same instant
 * are equal, and a String is compared by its text, whatever its class.
 *
 * Pass only values that were encoded before, so that they contain no cycle and have a bounded size.
 */
export function rubyIdentity(value: unknown): string {
  switch (typeof value) {
    case "string":
      return `s${JSON.stringify(value)}`;
    case "number":
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? `i${value}` : float(value);
    case "bigint":
      return `i${value}`;
    case "boolean":
      return String(value);
    case "object":
      return value === null ? "nil" : identityOf(value);
    default:
      return "nil";
  }
}

/** Like {@link rubyIdentity}, for a key of a HashWithIndifferentAccess, which turns symbols into strings. */
export function indifferentIdentity(key: unknown): string {
  return rubyIdentity(key instanceof ruby.RubySymbol ? key.name : key);
}

function float(value: number): string {
  // -0.0 and 0.0 are the same key in Ruby; the sum is 0 for both
  return Number.isNaN(value) ? `n${nan++}` : `f${value + 0}`;
}

function bytes(value: Uint8Array, encoding: "b" | "u"): string {
  const text = Buffer.from(value).toString("latin1");
  // the encoding matters only if the text is not ASCII
  const isAscii = value.every((byte) => byte < 0x80);
  return isAscii ? rubyIdentity(text) : `${encoding}${JSON.stringify(text)}`;
}

function identityOf(value: object): string {
  if (value instanceof Uint8Array) return bytes(value, "b");
  if (value instanceof ruby.RubyString) return utf8(value);
  if (value instanceof ruby.RubySafeBuffer) {
    return typeof value.content === "string" ? rubyIdentity(value.content) : utf8(value.content);
  }
  if (value instanceof ruby.RubySymbol) return `:${JSON.stringify(value.name)}`;
  if (value instanceof ruby.RubyFloat) return float(value.value);
  if (value instanceof ruby.RubyRational) return `r${rational(value)}`;
  if (value instanceof ruby.RubyComplex)
    return `c(${rubyIdentity(value.real)},${rubyIdentity(value.imaginary)})`;
  if (value instanceof ruby.RubyBigDecimal)
    return value.scientific === "NaN" ? `n${nan++}` : `d${value.scientific}`;
  if (value instanceof Date) {
    const { seconds, nanosecond } = ruby.instantOf(value);
    return `t${seconds}.${nanosecond}`;
  }
  if (value instanceof ruby.RubyDate) return `j${rational(day(value, 0, none, none))}`;
  if (value instanceof ruby.RubyDateTime) {
    const { date, hour, minute, second, fraction, offset } = value;
    return `j${rational(day(date, hour * 3600 + minute * 60 + second, fraction, offset))}`;
  }
  if (value instanceof ruby.RubyDuration) return `p${rubyIdentity(value.value)}`;
  if (value instanceof ruby.RubyRange) {
    return `${value.excludeEnd ? "x" : "y"}(${rubyIdentity(value.begin)},${rubyIdentity(value.end)})`;
  }
  if (value instanceof ruby.RubyIpAddress) return `a${network(value.text)}`;
  if (value instanceof URL || value instanceof ruby.RubyUri) {
    const { text } = value instanceof URL ? new ruby.RubyUri(value) : value;
    // Ruby lowercases the scheme only
    return `w${JSON.stringify(text.replace(/^[^/?#:]*/, (scheme) => scheme.toLowerCase()))}`;
  }
  if (value instanceof ruby.RubyTimeZone) return `z${JSON.stringify(value.name)}`;
  if (value instanceof ruby.RubyPathname) return `/${JSON.stringify(value.path)}`;
  if (value instanceof ruby.RubyRegexp) return `~${JSON.stringify(value.text)}`;
  if (Array.isArray(value)) return `[${Array.from(value, rubyIdentity).join(",")}]`;
  if (value instanceof Set) return `<${Array.from(value, rubyIdentity).toSorted().join(",")}>`;
  return hash(value);
}

/** Hashes are equal whatever the order of their keys, and whether or not they have indifferent access. */
function hash(value: object): string {
  const keyOf = value instanceof ruby.RubyIndifferentHash ? indifferentIdentity : rubyIdentity;
  const pairs =
    value instanceof Map ? [...value] : Object.entries(value).filter(([, item]) => item !== undefined);
  return `{${pairs
    .map(([key, item]) => `${keyOf(key)}=${rubyIdentity(item)}`)
    .toSorted()
    .join(",")}}`;
}

/** Valid UTF-8 is compared as a string. */
function utf8(value: ruby.RubyString): string {
  const text = Buffer.from(value.bytes).toString("utf8");
  const isValid = Buffer.from(text, "utf8").equals(value.bytes);
  return isValid ? rubyIdentity(text) : bytes(value.bytes, "u");
}

interface Ratio {
  readonly numerator: ruby.RubyInteger;
  readonly denominator: ruby.RubyInteger;
}

/** In lowest terms. */
function rational({ numerator, denominator }: Ratio): string {
  let [a, b] = [BigInt(numerator), BigInt(denominator)];
  while (b !== 0n) [a, b] = [b, a % b];
  const divisor = a < 0n ? -a : a;
  return `${BigInt(numerator) / divisor}/${BigInt(denominator) / divisor}`;
}

/** The instant as an exact Julian day in UTC, as Ruby compares dates and times of that calendar. */
function day(
  date: ruby.RubyDate,
  seconds: number,
  fraction: ruby.RubyRational,
  offset: ruby.RubyRational,
): Ratio {
  const [fn, fd] = [BigInt(fraction.numerator), BigInt(fraction.denominator)];
  const [on, od] = [BigInt(offset.numerator), BigInt(offset.denominator)];
  const whole = BigInt(date.julianDay) * 86_400n + BigInt(seconds);
  // (whole + fn/fd) / 86400 - on/od
  return {
    numerator: (whole * fd + fn) * od - on * fd * 86_400n,
    denominator: fd * od * 86_400n,
  };
}

/** An address with the bits beyond its prefix cleared, as IPAddr keeps it. */
function network(text: string): string {
  const [address = "", prefix] = text.split("/");
  const [plain = "", zone = ""] = address.split("%");
  const bits = isIP(plain) === 4 ? 32n : 128n;
  const length = prefix === undefined ? bits : BigInt(prefix);
  const value = bits === 32n ? ipv4(plain) : ipv6(plain);
  const free = bits - length;
  return `${bits}:${(value >> free) << free}/${length}%${zone}`;
}

function ipv4(text: string): bigint {
  return text.split(".").reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function ipv6(text: string): bigint {
  const tail = /(?<=:)\d+\.\d+\.\d+\.\d+$/.exec(text)?.[0];
  const low = tail === undefined ? 0n : ipv4(tail);
  const hex =
    tail === undefined
      ? text
      : `${text.slice(0, -tail.length)}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
  const [before = "", after] = hex.split("::");
  const left = before === "" ? [] : before.split(":");
  const right = after === undefined || after === "" ? [] : after.split(":");
  const gap = after === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(gap).fill("0"), ...right];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}
