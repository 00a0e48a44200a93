import { cycle } from "../codec/path.ts";
import { LimitError } from "../errors.ts";
import { assertDistinct } from "./distinct.ts";
import { writeInteger, writeIntegers, writeRational } from "./integers.ts";
import {
  defaultLimits,
  EXT,
  isAddress,
  isNumeric,
  orderedKeys,
  SIGNATURE,
  type RubyLimits,
} from "./messagepack.ts";
import { placeText, refusal, within, type Place } from "./place.ts";
import { isRange } from "./range.ts";
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
  const encoder = new Encoder(limits);
  const writer = encoder.writer();
  writer.raw(SIGNATURE);
  encoder.write(writer, value, path);
  return writer.finish();
}

/** Writes values; its limits hold for all that one encoder writes together. */
export class Encoder {
  readonly #limits: RubyLimits;
  readonly #parents = new Map<object, Place>();
  #at: Place = "value";
  #keys = 0;
  /** Keys without a value, which take no bytes but do take work. */
  #skipped = 0;

  constructor(limits: RubyLimits) {
    this.#limits = limits;
  }

  /** A writer whose errors name the value that this encoder writes at the time. */
  writer(): Writer {
    return new Writer(this.#limits.maxBytes, () => placeText(this.#at));
  }

  /** Bytes of one value, without a signature. */
  bare(value: unknown, place: Place): Uint8Array {
    const writer = this.writer();
    this.write(writer, value, place);
    return writer.finish();
  }

  write(writer: Writer, value: unknown, path: Place): void {
    this.#at = path;
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
        return writeInteger(writer, value);
      case "object":
        return value === null ? writer.nil() : this.#object(writer, value, path);
      default:
        throw refusal(path, `is a ${typeof value}, which no session can hold.`);
    }
  }

  #object(writer: Writer, value: object, path: Place): void {
    if (value instanceof Uint8Array) return writer.binary(value);
    if (value instanceof ruby.RubyFloat) return writer.float(value.value);
    if (value instanceof ruby.RubyString) return writer.stringBytes(value.bytes);
    const outer = this.#parents.get(value);
    if (outer !== undefined) throw refusal(path, cycle(placeText(outer)));
    this.#assertDepth(path);
    if (value instanceof ruby.RubySymbol) return writer.extension(EXT.symbol, Buffer.from(value.name));
    this.#parents.set(value, path);
    if (Array.isArray(value)) {
      writer.array(value.length);
      for (let index = 0; index < value.length; index++)
        this.write(writer, value[index], within(path, index));
    } else if (value instanceof ruby.RubyIndifferentHash) {
      this.#extension(writer, EXT.indifferentHash, (payload) => this.#map(payload, value, path));
    } else if (value instanceof Map) {
      this.#map(writer, value, path);
    } else if (value instanceof Set) {
      this.#extension(writer, EXT.set, (payload) => {
        payload.array(value.size);
        let index = 0;
        for (const key of value)
          this.write(payload, key, within(path, { of: "values", key, index: index++ }));
        assertDistinct(value, path);
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
  #assertDepth(path: Place): void {
    if (this.#parents.size >= this.#limits.maxDepth) {
      const text = placeText(path);
      throw new LimitError(
        "depth",
        `${text} lies deeper than ${this.#limits.maxDepth} levels. Store flatter data.`,
        text,
      );
    }
  }

  #plain(writer: Writer, object: Record<string, unknown>, path: Place): void {
    const entries: [string, unknown][] = [];
    for (const key of orderedKeys(object)) {
      const value = object[key];
      if (value === undefined) this.#skip(path);
      else entries.push([key, value]);
    }
    if (Object.getOwnPropertySymbols(object).length > 0) {
      throw refusal(path, "has keys that are symbols of JavaScript. For symbols of Ruby use symbolHash().");
    }
    this.countKeys(entries.length, path);
    writer.map(entries.length);
    for (const [key, value] of entries) {
      if (key === "__proto__") throw refusal(path, "has a key named __proto__.");
      const inner = within(path, key);
      this.#at = inner;
      writer.string(this.#text(key, inner));
      this.write(writer, value, inner);
    }
  }

  #map(writer: Writer, map: ReadonlyMap<unknown, unknown>, path: Place): void {
    this.countKeys(map.size, path);
    writer.map(map.size);
    let index = 0;
    for (const [key, value] of map) {
      this.write(writer, key, within(path, { of: "keys", key, index }));
      const name = key instanceof ruby.RubySymbol ? `:${key.name}` : key;
      this.write(writer, value, within(path, { of: "get", key: name, index: index++ }));
    }
    assertDistinct(map, path);
  }

  #skip(path: Place): void {
    const { maxKeys, maxBytes } = this.#limits;
    if (++this.#skipped > Math.max(maxKeys, maxBytes)) throw this.#tooManyKeys(path);
  }

  #wrapped(writer: Writer, value: object, path: Place): void {
    const nested = (code: number, write: (payload: Writer) => void): void =>
      this.#extension(writer, code, write);
    const named = (code: number, text: string): void => writer.extension(code, Buffer.from(text, "utf8"));

    if (value instanceof ruby.RubyTimeWithZone) {
      return nested(EXT.timeWithZone, (payload) => {
        const { seconds, nanosecond } = this.#instant(value, path);
        writeIntegers(payload, seconds, nanosecond, 0);
        payload.string(value.zone);
      });
    }
    if (value instanceof Date) {
      return nested(EXT.time, (payload) => {
        const { seconds, nanosecond } = this.#instant(value, path);
        writeIntegers(payload, seconds, nanosecond, value instanceof ruby.RubyTime ? value.utcOffset : 0);
      });
    }
    if (value instanceof ruby.RubyDate)
      return nested(EXT.date, (payload) => writeInteger(payload, value.julianDay));
    if (value instanceof ruby.RubyDateTime) {
      return nested(EXT.dateTime, (payload) => {
        writeIntegers(payload, value.date.julianDay, value.hour, value.minute, value.second);
        writeRational(payload, value.fraction);
        writeRational(payload, value.offset);
      });
    }
    if (value instanceof ruby.RubyTimeZone) return named(EXT.timeZone, value.name);
    if (value instanceof ruby.RubyDuration) {
      return nested(EXT.duration, (payload) => {
        this.#numeric(payload, value.value, within(path, "value"));
        payload.array(ruby.durationUnits.length);
        for (const unit of ruby.durationUnits) {
          const part = value.parts[unit];
          if (part === undefined) payload.nil();
          else this.#numeric(payload, part, within(path, unit));
        }
      });
    }
    if (value instanceof ruby.RubyRational)
      return nested(EXT.rational, (payload) => writeRational(payload, value));
    if (value instanceof ruby.RubyComplex) {
      return nested(EXT.complex, (payload) => {
        this.#numeric(payload, value.real, within(path, "real"));
        this.#numeric(payload, value.imaginary, within(path, "imaginary"));
      });
    }
    if (value instanceof ruby.RubyBigDecimal)
      return named(EXT.bigDecimal, `${value.precision}:${value.scientific}`);
    if (value instanceof ruby.RubyRange) {
      // Compared after they are written, which bounds the work.
      return nested(EXT.range, (payload) => {
        this.write(payload, value.begin, within(path, "begin"));
        this.write(payload, value.end, within(path, "end"));
        if (!isRange(value.begin, value.end)) {
          throw refusal(path, "is a range between values that Ruby cannot compare.");
        }
        payload.boolean(value.excludeEnd);
      });
    }
    if (value instanceof ruby.RubyUri) return named(EXT.uri, value.text);
    if (value instanceof URL) return named(EXT.uri, uriText(value));
    if (value instanceof ruby.RubyIpAddress) {
      if (!isAddress(value.text)) throw refusal(path, "is no IP address.");
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
    throw refusal(
      path,
      `is a ${name}, which Rails cannot read. Store plain values, or a class of stored-session/rails.`,
    );
  }

  /** Payloads are written apart, since their length comes before them. */
  #extension(writer: Writer, code: number, write: (payload: Writer) => void): void {
    const payload = this.writer();
    write(payload);
    writer.extension(code, payload.finish());
  }

  #numeric(writer: Writer, value: unknown, path: Place): void {
    if (!isNumeric(value)) throw refusal(path, "is no number.");
    this.write(writer, value, path);
  }

  #instant(time: Date, path: Place): { seconds: ruby.RubyInteger; nanosecond: number } {
    try {
      return ruby.instantOf(time);
    } catch (cause) {
      throw refusal(path, "is an invalid Date.", { cause });
    }
  }

  #text(text: string, path: Place): string {
    if (ruby.hasLoneSurrogate(text)) throw refusal(path, "holds a lone surrogate, which has no UTF-8 form.");
    return text;
  }

  countKeys(count: number, place: Place): void {
    this.#keys += count;
    if (this.#keys > this.#limits.maxKeys) throw this.#tooManyKeys(place);
  }

  #tooManyKeys(place: Place): LimitError {
    const path = placeText(place);
    return new LimitError(
      "keys",
      `The session has more than ${this.#limits.maxKeys} keys, counted up to those of ${path}. Store less in it.`,
      path,
    );
  }
}
