import { RefusedError } from "../errors.ts";
import { mergeEqual } from "./distinct.ts";
import {
  defaultLimits,
  EXT,
  isAddress,
  isNumeric,
  keyOrder,
  SIGNATURE,
  swapWords,
  type RubyLimits,
} from "./messagepack.ts";
import { isRange } from "./range.ts";
import { Reader, refused, safe, stringOf } from "./reader.ts";
import * as ruby from "./types.ts";

/**
 * Decodes `ActiveSupport::MessagePack`, including the signature.
 *
 * Rails also accepts a wider form of the signature than `cc 80`, but never writes one; it is refused here.
 * @throws {RefusedError} reason "decode": not exactly one value of known types within the limits
 */
export function decodeRuby(bytes: Uint8Array, limits: RubyLimits = defaultLimits): unknown {
  const reader = openRuby(bytes, limits);
  const value = readValue(reader, 0);
  reader.end();
  return value;
}

/** Returns a reader positioned after the signature. @throws {RefusedError} */
export function openRuby(bytes: Uint8Array, limits: RubyLimits): Reader {
  if (bytes.length > limits.maxBytes) throw refused(`its size exceeds maxBytes, ${limits.maxBytes}.`);
  const reader = new Reader(bytes, limits);
  const signature = reader.take(2);
  if (signature[0] !== SIGNATURE[0] || signature[1] !== SIGNATURE[1])
    throw refused("the signature cc 80 is missing.");
  return reader;
}

/** Reads one value nested in `depth` containers. @throws {RefusedError} */
export function readValue(reader: Reader, depth: number): unknown {
  const head = reader.head();
  if (head.kind === "value") return head.value;
  if (head.kind === "ext") return readExtension(reader, head.code, head.payload, depth);
  if (depth >= reader.limits.maxDepth) throw refused(`more than ${reader.limits.maxDepth} levels deep.`);
  if (head.kind === "map") return readHash(reader, head.length, depth + 1);
  const array: unknown[] = [];
  for (let index = 0; index < head.length; index++) array.push(readValue(reader, depth + 1));
  return array;
}

/** Returns a plain object if all keys are strings, otherwise a Map. The key `__proto__` makes it a Map too (R46). */
function readHash(
  reader: Reader,
  length: number,
  depth: number,
): Record<string, unknown> | Map<unknown, unknown> {
  const pairs: [unknown, unknown][] = [];
  let plain = true;
  let ordered = true;
  for (let index = 0; index < length; index++) {
    const key = readValue(reader, depth);
    if (typeof key !== "string" || key === "__proto__") plain = false;
    else if (/^\d/.test(key)) ordered = false;
    pairs.push([key, readValue(reader, depth)]);
  }
  if (!plain) return fill(new Map<unknown, unknown>(), pairs);
  const object: Record<string, unknown> = {};
  for (const [key, value] of pairs) object[key as string] = value;
  if (!ordered) keyOrder.set(object, [...new Set(pairs.map(([key]) => key as string))]);
  return object;
}

function fill<Hash extends Map<unknown, unknown>>(hash: Hash, pairs: readonly [unknown, unknown][]): Hash {
  for (const [key, value] of pairs) hash.set(member(key), value);
  return mergeEqual(hash);
}

/** Map and Set treat -0 as 0 and all NaN as equal; wrapped in objects, they stay distinct. */
function member(value: unknown): unknown {
  return typeof value === "number" && (Number.isNaN(value) || Object.is(value, -0))
    ? new ruby.RubyFloat(value)
    : value;
}

function readExtension(outer: Reader, code: number, payload: Uint8Array, depth: number): unknown {
  const { maxDepth } = outer.limits;
  if (depth >= maxDepth) throw refused(`more than ${maxDepth} levels deep.`);
  const reader = outer.nested(payload);
  try {
    const value = readTyped(reader, code, depth + 1);
    reader.end();
    outer.adopt(reader);
    return value;
  } catch (cause) {
    if (cause instanceof RefusedError) throw cause;
    throw refused(`extension ${code} has an invalid value: ${(cause as Error).message}`, { cause });
  }
}

function readTyped(reader: Reader, code: number, depth: number): unknown {
  switch (code) {
    case EXT.symbol:
      return ruby.RubySymbol.for(readText(reader));
    case EXT.bigInteger:
      return readBigInteger(reader);
    case EXT.bigDecimal: {
      const match = /^(\d*):(.+)$/s.exec(readText(reader));
      if (match === null) throw refused("a BigDecimal has no precision.");
      return new ruby.RubyBigDecimal(match[2] ?? "", match[1] ?? "");
    }
    case EXT.rational:
      return readRational(reader);
    case EXT.complex:
      return new ruby.RubyComplex(readNumeric(reader, depth), readNumeric(reader, depth));
    case EXT.dateTime:
      return new ruby.RubyDateTime(
        new ruby.RubyDate(readInteger(reader)),
        reader.smallInteger(),
        reader.smallInteger(),
        reader.smallInteger(),
        readRational(reader),
        readRational(reader),
      );
    case EXT.date:
      return new ruby.RubyDate(readInteger(reader));
    case EXT.time:
      return readTime(readInteger(reader), reader.smallInteger(), reader.smallInteger());
    case EXT.timeWithZone: {
      const [seconds, nanosecond] = [readInteger(reader), reader.smallInteger()];
      if (reader.smallInteger() !== 0) throw refused("a TimeWithZone has an offset.");
      return new ruby.RubyTimeWithZone(seconds, nanosecond, reader.string());
    }
    case EXT.timeZone:
      return new ruby.RubyTimeZone(readText(reader));
    case EXT.duration:
      return readDuration(reader, depth);
    case EXT.range: {
      const [begin, end, excludeEnd] = [
        readValue(reader, depth),
        readValue(reader, depth),
        readValue(reader, depth),
      ];
      if (typeof excludeEnd !== "boolean")
        throw refused("a Range has no flag for whether its end is excluded.");
      if (!isRange(begin, end)) throw refused("a Range has ends that cannot be compared.");
      return new ruby.RubyRange(begin, end, excludeEnd);
    }
    case EXT.set: {
      const members = readValue(reader, depth - 1);
      if (!Array.isArray(members)) throw refused("a Set is not an array.");
      return mergeEqual(new Set(members.map(member)));
    }
    case EXT.uri:
      return new ruby.RubyUri(readText(reader));
    case EXT.ipAddress: {
      const address = reader.string();
      if (!isAddress(address)) throw refused("an IPAddr is not an address.");
      return new ruby.RubyIpAddress(address);
    }
    case EXT.pathname:
      return new ruby.RubyPathname(readText(reader));
    case EXT.regexp:
      return new ruby.RubyRegexp(readText(reader));
    case EXT.indifferentHash: {
      const head = reader.head();
      if (head.kind !== "map") throw refused("a HashWithIndifferentAccess is not a map.");
      const pairs: [unknown, unknown][] = [];
      for (let index = 0; index < head.length; index++) {
        const key = readValue(reader, depth);
        pairs.push([key instanceof ruby.RubySymbol ? key.name : key, readValue(reader, depth)]);
      }
      return fill(new ruby.RubyIndifferentHash(), pairs);
    }
    case EXT.safeBuffer:
      return readSafeBuffer(reader);
    default:
      throw refused(`extension type ${code} is unknown.`);
  }
}

/** Reads the whole payload as text. */
function readText(reader: Reader): string {
  const text = stringOf(reader.take(reader.left));
  if (typeof text !== "string") throw refused("a name is not UTF-8.");
  return text;
}

function readBigInteger(reader: Reader): ruby.RubyInteger {
  const sign = reader.take(1)[0];
  const words = reader.take(reader.left);
  if (sign === undefined || sign > 1 || words.length % 4 !== 0) throw refused("a big integer is malformed.");
  const magnitude = BigInt(`0x0${Buffer.from(swapWords(words)).toString("hex")}`);
  return safe(sign === 1 ? -magnitude : magnitude);
}

function readInteger(reader: Reader): ruby.RubyInteger {
  const head = reader.head();
  if (head.kind === "value" && (typeof head.value === "bigint" || Number.isSafeInteger(head.value))) {
    return head.value as ruby.RubyInteger;
  }
  if (head.kind === "ext" && head.code === EXT.bigInteger) {
    const nested = reader.nested(head.payload);
    return readBigInteger(nested);
  }
  throw refused("an integer was expected.");
}

function readRational(reader: Reader): ruby.RubyRational {
  const numerator = readInteger(reader);
  return numerator === 0 ? new ruby.RubyRational(0) : new ruby.RubyRational(numerator, readInteger(reader));
}

function readNumeric(reader: Reader, depth: number): ruby.RubyNumeric {
  const value = readValue(reader, depth);
  if (!isNumeric(value)) throw refused("a number was expected.");
  return value;
}

function readTime(seconds: ruby.RubyInteger, nanosecond: number, utcOffset: number): Date {
  const time = new ruby.RubyTime(seconds, nanosecond, utcOffset);
  const exact = utcOffset === 0 && nanosecond % 1_000_000 === 0 && !Number.isNaN(time.getTime());
  return exact ? new Date(time.getTime()) : time;
}

function readDuration(reader: Reader, depth: number): ruby.RubyDuration {
  const value = readNumeric(reader, depth);
  const head = reader.head();
  if (head.kind !== "array" || head.length !== ruby.durationUnits.length)
    throw refused("a Duration does not have seven parts.");
  const parts: Partial<Record<ruby.RubyDurationUnit, ruby.RubyNumeric>> = {};
  for (const unit of ruby.durationUnits) {
    const part = readValue(reader, depth);
    if (part === null) continue;
    if (!isNumeric(part)) throw refused("a part of a Duration is not a number.");
    parts[unit] = part;
  }
  return new ruby.RubyDuration(value, parts);
}

/**
 * Reads raw text, or one nested str that fills the payload exactly: for most lengths, no text starts with its header.
 */
function readSafeBuffer(reader: Reader): ruby.RubySafeBuffer {
  const payload = reader.take(reader.left);
  const nested = wholeString(payload);
  return nested === null
    ? new ruby.RubySafeBuffer(stringOf(payload), "raw")
    : new ruby.RubySafeBuffer(stringOf(nested), "nested");
}

/**
 * Returns the content of a str that fills the whole payload, from its header alone, without throwing for other bytes.
 */
function wholeString(payload: Buffer): Buffer | null {
  const first = payload[0] ?? 0;
  const fixed = first >= 0xa0 && first <= 0xbf;
  if (!fixed && !(first >= 0xd9 && first <= 0xdb)) return null;
  const width = fixed ? 0 : 1 << (first - 0xd9);
  const left = payload.length - 1 - width;
  if (left < 0) return null;
  const length = fixed ? first & 0x1f : payload.readUIntBE(1, width);
  return length === left ? payload.subarray(1 + width) : null;
}
