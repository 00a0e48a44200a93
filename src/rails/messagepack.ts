import { isIP } from "node:net";
import { LimitError, RefusedError, ValueError } from "../errors.ts";
import { Reader, refused, safe, stringOf, type ReadLimits } from "./reader.ts";
import * as ruby from "./types.ts";
import { Writer } from "./writer.ts";

/** Limits of reading and writing (R45). */
export interface RubyLimits extends ReadLimits {
  /** Bytes of the whole. Default 1 MiB. */
  readonly maxBytes: number;
}

export const defaultLimits: RubyLimits = { maxBytes: 1_048_576, maxDepth: 32, maxKeys: 10_000 };

/** The integer 128 in uint8 form. */
export const SIGNATURE: Uint8Array = Uint8Array.of(0xcc, 0x80);

/** Type codes of ActiveSupport::MessagePack's extensions. */
const EXT = {
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
const keyOrder = new WeakMap<object, readonly string[]>();

/**
 * The value of `ActiveSupport::MessagePack` bytes, signature included.
 *
 * Rails also takes a signature in a wider form than `cc 80`; no Rails writes one, and it is refused here.
 * @throws {RefusedError} "decode": anything but one whole value of known types within the limits
 */
export function decodeRuby(bytes: Uint8Array, limits: RubyLimits = defaultLimits): unknown {
  const reader = openRuby(bytes, limits);
  const value = readValue(reader, 0);
  reader.end();
  return value;
}

/** A reader that stands after the signature. @throws {RefusedError} */
export function openRuby(bytes: Uint8Array, limits: RubyLimits): Reader {
  if (bytes.length > limits.maxBytes) throw refused(`they are more than ${limits.maxBytes}.`);
  const reader = new Reader(bytes, limits);
  const signature = reader.take(2);
  if (signature[0] !== SIGNATURE[0] || signature[1] !== SIGNATURE[1])
    throw refused("the signature cc 80 is missing.");
  return reader;
}

/** Reads one value at `depth` containers. @throws {RefusedError} */
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

/** A plain object where all keys are strings, else a Map. `__proto__` makes it a Map too (R46). */
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
  return hash;
}

/** Map and Set take -0 for 0 and one NaN for another; as objects they stay what they are. */
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
    throw refused(`extension ${code} holds what its type cannot: ${(cause as Error).message}`, { cause });
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
      if (typeof excludeEnd !== "boolean") throw refused("a Range does not say whether its end counts.");
      return new ruby.RubyRange(begin, end, excludeEnd);
    }
    case EXT.set: {
      const members = readValue(reader, depth - 1);
      if (!Array.isArray(members)) throw refused("a Set is no array.");
      return new Set(members.map(member));
    }
    case EXT.uri:
      return new ruby.RubyUri(readText(reader));
    case EXT.ipAddress: {
      const address = reader.string();
      if (!isAddress(address)) throw refused("an IPAddr is no address.");
      return new ruby.RubyIpAddress(address);
    }
    case EXT.pathname:
      return new ruby.RubyPathname(readText(reader));
    case EXT.regexp:
      return new ruby.RubyRegexp(readText(reader));
    case EXT.indifferentHash: {
      const head = reader.head();
      if (head.kind !== "map") throw refused("a HashWithIndifferentAccess is no map.");
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

/** The whole payload as text. */
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

/** Turns the order of the 32-bit words around, leaving the bytes in each: Ruby puts the least significant first. */
function swapWords(bytes: Uint8Array): Uint8Array {
  return Buffer.from(bytes.toReversed()).swap32();
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

function isNumeric(value: unknown): value is ruby.RubyNumeric {
  return (
    typeof value === "number" ||
    typeof value === "bigint" ||
    value instanceof ruby.RubyFloat ||
    value instanceof ruby.RubyRational ||
    value instanceof ruby.RubyBigDecimal
  );
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
    throw refused("a Duration has no seven parts.");
  const parts: Partial<Record<ruby.RubyDurationUnit, ruby.RubyNumeric>> = {};
  for (const unit of ruby.durationUnits) {
    const part = readValue(reader, depth);
    if (part === null) continue;
    if (!isNumeric(part)) throw refused("a Duration's part is no number.");
    parts[unit] = part;
  }
  return new ruby.RubyDuration(value, parts);
}

function isAddress(text: string): boolean {
  if (text.length > 100) return false;
  const [address = "", prefix, ...more] = text.split("/");
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}

/** Raw text, or one nested str that fills the payload exactly: the latter starts with a byte that no text has. */
function readSafeBuffer(reader: Reader): ruby.RubySafeBuffer {
  const payload = reader.take(reader.left);
  const nested = reader.nested(payload);
  try {
    const head = nested.head();
    nested.end();
    if (head.kind === "value" && (typeof head.value === "string" || head.value instanceof ruby.RubyString)) {
      return new ruby.RubySafeBuffer(head.value, "nested");
    }
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
  }
  return new ruby.RubySafeBuffer(stringOf(payload), "raw");
}

/**
 * `ActiveSupport::MessagePack` bytes of a value, signature included: what Rails itself would write.
 *
 * Natural values: null, booleans, numbers (integers up to 2^53, all others as Float), bigint, string, Uint8Array
 * (a binary String), arrays, plain objects (string keys), Map (any keys), Set, Date and URL; and every class of
 * `types.ts`. `undefined` is left out of objects and is nil in arrays.
 * @throws {ValueError} a value that Ruby has no type for, with the path to it
 * @throws {LimitError} too large, too deep, too many keys
 */
export function encodeRuby(value: unknown, limits: RubyLimits = defaultLimits, path = "value"): Uint8Array {
  const writer = new Writer(limits.maxBytes);
  writer.raw(SIGNATURE);
  new Encoder(limits).write(writer, value, path);
  return writer.finish();
}

/** Writes values; its limits hold for all that one encoder writes together. */
export class Encoder {
  readonly #limits: RubyLimits;
  readonly #parents = new Set<object>();
  #keys = 0;

  constructor(limits: RubyLimits) {
    this.#limits = limits;
  }

  /** Bytes of one value, without a signature. */
  bare(value: unknown, path: string): Uint8Array {
    const writer = new Writer(this.#limits.maxBytes);
    this.write(writer, value, path);
    return writer.finish();
  }

  write(writer: Writer, value: unknown, path: string): void {
    switch (typeof value) {
      case "string":
        return writer.string(this.#text(value, path));
      case "number":
        if (Number.isSafeInteger(value) && !Object.is(value, -0)) writer.integer(value);
        else writer.float(value);
        return;
      case "boolean":
        return writer.boolean(value);
      case "undefined":
        return writer.nil();
      case "bigint":
        return this.#integer(writer, value);
      case "object":
        return value === null ? writer.nil() : this.#object(writer, value, path);
      default:
        throw new ValueError(path, `${path} is a ${typeof value}, which no session can hold.`);
    }
  }

  #object(writer: Writer, value: object, path: string): void {
    if (value instanceof Uint8Array) return writer.binary(value);
    if (this.#parents.has(value)) throw new ValueError(path, `${path} contains itself.`);
    if (this.#parents.size >= this.#limits.maxDepth) {
      throw new LimitError("depth", `${path} is more than ${this.#limits.maxDepth} levels deep.`);
    }
    if (value instanceof ruby.RubySymbol) return writer.extension(EXT.symbol, Buffer.from(value.name));
    this.#parents.add(value);
    if (Array.isArray(value)) {
      writer.array(value.length);
      for (let index = 0; index < value.length; index++)
        this.write(writer, value[index], `${path}[${index}]`);
    } else if (value instanceof ruby.RubyIndifferentHash) {
      this.#extension(writer, EXT.indifferentHash, (payload) => this.#map(payload, value, path));
    } else if (value instanceof Map) {
      this.#map(writer, value, path);
    } else if (value instanceof Set) {
      this.#extension(writer, EXT.set, (payload) => {
        payload.array(value.size);
        let index = 0;
        for (const entry of value) this.write(payload, entry, `${path}[${index++}]`);
      });
    } else {
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype === Object.prototype || prototype === null) {
        this.#plain(writer, value as Record<string, unknown>, path);
      } else this.#wrapped(writer, value, path);
    }
    this.#parents.delete(value);
  }

  #plain(writer: Writer, object: Record<string, unknown>, path: string): void {
    const keys = orderedKeys(object).filter((key) => object[key] !== undefined);
    if (Object.getOwnPropertySymbols(object).length > 0) {
      throw new ValueError(
        path,
        `${path} has keys that are symbols of JavaScript. For symbols of Ruby use symbolHash().`,
      );
    }
    this.countKeys(keys.length);
    writer.map(keys.length);
    for (const key of keys) {
      if (key === "__proto__") throw new ValueError(path, `${path} has a key named __proto__.`);
      const inner = `${path}.${key}`;
      writer.string(this.#text(key, inner));
      this.write(writer, object[key], inner);
    }
  }

  #map(writer: Writer, map: ReadonlyMap<unknown, unknown>, path: string): void {
    this.countKeys(map.size);
    writer.map(map.size);
    for (const [key, value] of map) {
      const name =
        key instanceof ruby.RubySymbol ? `:${key.name}` : typeof key === "object" ? "…" : String(key);
      this.write(writer, key, `${path} (a key)`);
      this.write(writer, value, `${path}[${name}]`);
    }
  }

  #wrapped(writer: Writer, value: object, path: string): void {
    const nested = (code: number, write: (payload: Writer) => void): void =>
      this.#extension(writer, code, write);
    const named = (code: number, text: string): void => writer.extension(code, Buffer.from(text, "utf8"));

    if (value instanceof ruby.RubyFloat) return writer.float(value.value);
    if (value instanceof ruby.RubyString) return writer.stringBytes(value.bytes);
    if (value instanceof ruby.RubyTimeWithZone) {
      return nested(EXT.timeWithZone, (payload) => {
        const { seconds, nanosecond } = this.#instant(value, path);
        this.#integers(payload, seconds, nanosecond, 0);
        payload.string(value.zone);
      });
    }
    if (value instanceof Date) {
      return nested(EXT.time, (payload) => {
        const { seconds, nanosecond } = this.#instant(value, path);
        this.#integers(payload, seconds, nanosecond, value instanceof ruby.RubyTime ? value.utcOffset : 0);
      });
    }
    if (value instanceof ruby.RubyDate)
      return nested(EXT.date, (payload) => this.#integer(payload, value.julianDay));
    if (value instanceof ruby.RubyDateTime) {
      return nested(EXT.dateTime, (payload) => {
        this.#integers(payload, value.date.julianDay, value.hour, value.minute, value.second);
        this.#rational(payload, value.fraction);
        this.#rational(payload, value.offset);
      });
    }
    if (value instanceof ruby.RubyTimeZone) return named(EXT.timeZone, value.name);
    if (value instanceof ruby.RubyDuration) {
      return nested(EXT.duration, (payload) => {
        this.#numeric(payload, value.value, `${path}.value`);
        payload.array(ruby.durationUnits.length);
        for (const unit of ruby.durationUnits) {
          const part = value.parts[unit];
          if (part === undefined) payload.nil();
          else this.#numeric(payload, part, `${path}.${unit}`);
        }
      });
    }
    if (value instanceof ruby.RubyRational)
      return nested(EXT.rational, (payload) => this.#rational(payload, value));
    if (value instanceof ruby.RubyComplex) {
      return nested(EXT.complex, (payload) => {
        this.#numeric(payload, value.real, `${path}.real`);
        this.#numeric(payload, value.imaginary, `${path}.imaginary`);
      });
    }
    if (value instanceof ruby.RubyBigDecimal)
      return named(EXT.bigDecimal, `${value.precision}:${value.scientific}`);
    if (value instanceof ruby.RubyRange) {
      return nested(EXT.range, (payload) => {
        this.write(payload, value.begin, `${path}.begin`);
        this.write(payload, value.end, `${path}.end`);
        payload.boolean(value.excludeEnd);
      });
    }
    if (value instanceof ruby.RubyUri) return named(EXT.uri, value.text);
    if (value instanceof URL) return named(EXT.uri, value.href);
    if (value instanceof ruby.RubyIpAddress) {
      if (!isAddress(value.text)) throw new ValueError(path, `${path} is no IP address.`);
      return nested(EXT.ipAddress, (payload) => payload.string(value.text));
    }
    if (value instanceof ruby.RubyPathname) return named(EXT.pathname, value.path);
    if (value instanceof ruby.RubyRegexp) return named(EXT.regexp, value.text);
    if (value instanceof ruby.RubySafeBuffer) {
      const bytes =
        typeof value.content === "string" ? Buffer.from(value.content, "utf8") : value.content.bytes;
      if (value.form === "raw") return writer.extension(EXT.safeBuffer, bytes);
      return nested(EXT.safeBuffer, (payload) => payload.stringBytes(bytes));
    }
    const name = value.constructor?.name || "an object without a class";
    throw new ValueError(
      path,
      `${path} is a ${name}, which Rails cannot read. Store plain values, or a class of stored-session/rails.`,
    );
  }

  /** Payloads are written apart, since their length comes before them. */
  #extension(writer: Writer, code: number, write: (payload: Writer) => void): void {
    const payload = new Writer(writer.maxBytes);
    write(payload);
    writer.extension(code, payload.finish());
  }

  #integers(writer: Writer, ...values: ruby.RubyInteger[]): void {
    for (const value of values) this.#integer(writer, value);
  }

  #integer(writer: Writer, value: ruby.RubyInteger): void {
    if (typeof value === "number") return writer.integer(value);
    const small = safe(value);
    if (typeof small === "number") return writer.integer(small);
    if (value > -(2n ** 63n) && value < 2n ** 64n) return writer.integer64(value);
    const hex = (value < 0n ? -value : value).toString(16);
    const words = swapWords(Buffer.from(hex.padStart(Math.ceil(hex.length / 8) * 8, "0"), "hex"));
    writer.extension(EXT.bigInteger, Buffer.concat([Uint8Array.of(value < 0n ? 1 : 0), words]));
  }

  #rational(writer: Writer, value: ruby.RubyRational): void {
    this.#integer(writer, value.numerator);
    if (value.numerator !== 0) this.#integer(writer, value.denominator);
  }

  #numeric(writer: Writer, value: unknown, path: string): void {
    if (!isNumeric(value)) throw new ValueError(path, `${path} is no number.`);
    this.write(writer, value, path);
  }

  #instant(time: Date, path: string): { seconds: ruby.RubyInteger; nanosecond: number } {
    try {
      return ruby.instantOf(time);
    } catch (cause) {
      throw new ValueError(path, `${path} is an invalid Date.`, { cause });
    }
  }

  #text(text: string, path: string): string {
    if (ruby.hasLoneSurrogate(text))
      throw new ValueError(path, `${path} holds a lone surrogate, which has no UTF-8 form.`);
    return text;
  }

  countKeys(count: number): void {
    this.#keys += count;
    if (this.#keys > this.#limits.maxKeys) {
      throw new LimitError("keys", `The session has more than ${this.#limits.maxKeys} keys.`);
    }
  }
}

function orderedKeys(object: Record<string, unknown>): string[] {
  const keys = Object.keys(object);
  const order = keyOrder.get(object);
  if (order === undefined) return keys;
  const remaining = new Set(keys);
  return [...order.filter((key) => remaining.delete(key)), ...remaining];
}
