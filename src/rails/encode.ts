import { LimitError, ValueError } from "../errors.ts";
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
import { safe } from "./reader.ts";
import * as ruby from "./types.ts";
import { uriText } from "./uri.ts";
import { Writer } from "./writer.ts";

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
        if (value < -(2n ** 63n) || value >= 2n ** 64n) this.#assertDepth(path);
        return this.#integer(writer, value);
      case "object":
        return value === null ? writer.nil() : this.#object(writer, value, path);
      default:
        throw new ValueError(path, `${path} is a ${typeof value}, which no session can hold.`);
    }
  }

  #object(writer: Writer, value: object, path: string): void {
    if (value instanceof Uint8Array) return writer.binary(value);
    if (value instanceof ruby.RubyFloat) return writer.float(value.value);
    if (value instanceof ruby.RubyString) return writer.stringBytes(value.bytes);
    if (this.#parents.has(value)) throw new ValueError(path, `${path} contains itself.`);
    this.#assertDepth(path);
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

  /** An extension counts as a level, as it does in reading. */
  #assertDepth(path: string): void {
    if (this.#parents.size >= this.#limits.maxDepth) {
      throw new LimitError("depth", `${path} is more than ${this.#limits.maxDepth} levels deep.`);
    }
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
      if (!isRange(value.begin, value.end)) {
        throw new ValueError(path, `${path} is a range between values that Ruby cannot compare.`);
      }
      return nested(EXT.range, (payload) => {
        this.write(payload, value.begin, `${path}.begin`);
        this.write(payload, value.end, `${path}.end`);
        payload.boolean(value.excludeEnd);
      });
    }
    if (value instanceof ruby.RubyUri) return named(EXT.uri, value.text);
    if (value instanceof URL) return named(EXT.uri, uriText(value));
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
