import { Output } from "../codec/output.ts";
import { cycle } from "../codec/path.ts";
import { LimitError } from "../errors.ts";
import { assertDistinct } from "./distinct.ts";
import { extension, writeRubyObject, type WriteValue } from "./encode-objects.ts";
import { writeInteger } from "./integers.ts";
import { defaultLimits, EXT, orderedKeys, SIGNATURE, type RubyLimits } from "./messagepack.ts";
import { placeText, refusal, within, type Place } from "./place.ts";
import * as ruby from "./types.ts";

/**
 * Encodes a value as `ActiveSupport::MessagePack`, including the signature, with the same bytes as Rails.
 *
 * Accepts null, booleans, numbers (integers up to 2^53, all others as Float), bigints, strings, Uint8Arrays (binary
 * Strings), arrays, plain objects (string keys), Maps (any keys), Sets, Dates, URLs, and every class of `types.ts`. A key
 * with the value undefined is omitted; undefined in an array becomes nil.
 * @throws {ValueError} Ruby has no type for a value; includes its path
 * @throws {LimitError} too large, too deep, too many keys
 */
export function encodeRuby(value: unknown, limits: RubyLimits = defaultLimits, path = "value"): Uint8Array {
  const output = new Output(initialSize);
  output.raw(SIGNATURE);
  new Encoder(limits).write(output, value, path);
  return finished(output, limits.maxBytes);
}

/** Initial capacity of an output in bytes. */
export const initialSize = 512;

/** @throws {LimitError} the output is larger than `maxBytes` */
export function finished(output: Output, maxBytes: number): Uint8Array {
  if (output.length > maxBytes) throw tooLarge(maxBytes);
  const { buffer, byteOffset, length } = output.copy();
  return new Uint8Array(buffer, byteOffset, length); // not a Buffer, whose slice() shares memory
}

/** @param path where counting stopped */
function tooLarge(maxBytes: number, path?: string): LimitError {
  const counted = path === undefined ? "" : `, counted up to ${path}`;
  return new LimitError(
    "bytes",
    `The session takes more than ${maxBytes} bytes (maxBytes)${counted}. Store less in it, or raise maxBytes.`,
    path,
  );
}

/** Encodes values. The limits apply to all values that one encoder writes. */
export class Encoder {
  readonly #limits: RubyLimits;
  readonly #parents = new Map<object, Place>();
  /** Reused by {@link bare}. */
  readonly #spare = new Output(initialSize);
  #keys = 0;
  /** Number of keys with the value undefined: they take no bytes, but cost time. */
  #skipped = 0;

  readonly #writePart: WriteValue = (output, value, path) => this.write(output, value, path);

  constructor(limits: RubyLimits) {
    this.#limits = limits;
  }

  /** Encodes one value without a signature. */
  bare(value: unknown, place: Place): Uint8Array {
    const output = this.#spare;
    output.rewind();
    this.write(output, value, place);
    return output.copy();
  }

  write(output: Output, value: unknown, path: Place): void {
    this.#value(output, value, path);
    if (output.length > this.#limits.maxBytes) throw tooLarge(this.#limits.maxBytes, placeText(path));
  }

  #value(output: Output, value: unknown, path: Place): void {
    switch (typeof value) {
      case "string":
        return this.#text(output, value, path);
      case "number":
        return output.number(value);
      case "boolean":
        return output.boolean(value);
      case "undefined":
        return output.null();
      case "bigint":
        if (value < -(2n ** 63n) || value >= 2n ** 64n) this.#assertDepth(path);
        return writeInteger(output, value);
      case "object":
        return value === null ? output.null() : this.#object(output, value, path);
      default:
        throw refusal(path, `is a ${typeof value}, which a session cannot hold.`);
    }
  }

  #object(output: Output, value: object, path: Place): void {
    if (value instanceof Uint8Array) return output.binary(this.#fitting(value, path));
    if (value instanceof ruby.RubyFloat) return output.float(value.value);
    if (value instanceof ruby.RubyString) return output.textBytes(this.#fitting(value.bytes, path));
    const outer = this.#parents.get(value);
    if (outer !== undefined) throw refusal(path, cycle(placeText(outer)));
    this.#assertDepth(path);
    if (value instanceof ruby.RubySymbol)
      return extension(output, EXT.symbol, () => output.payload(value.name));
    this.#parents.set(value, path);
    if (Array.isArray(value)) {
      output.array(value.length);
      for (let index = 0; index < value.length; index++)
        this.write(output, value[index], within(path, index));
    } else if (value instanceof ruby.RubyIndifferentHash) {
      extension(output, EXT.indifferentHash, () => this.#map(output, value, path));
    } else if (value instanceof Map) {
      this.#map(output, value, path);
    } else if (value instanceof Set) {
      extension(output, EXT.set, () => {
        output.array(value.size);
        let index = 0;
        for (const key of value) this.write(output, key, within(path, { of: "values", key, index: index++ }));
        assertDistinct(value, path);
      });
    } else {
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype === Object.prototype || prototype === null) {
        this.#plain(output, value as Record<string, unknown>, path);
      } else writeRubyObject(output, value, path, this.#writePart);
    }
    this.#parents.delete(value);
  }

  /** An extension counts as a level, as it does when reading. */
  #assertDepth(path: Place): void {
    if (this.#parents.size >= this.#limits.maxDepth) {
      const text = placeText(path);
      throw new LimitError(
        "depth",
        `${text} is nested deeper than ${this.#limits.maxDepth} levels. Store flatter data.`,
        text,
      );
    }
  }

  #plain(output: Output, object: Record<string, unknown>, path: Place): void {
    const entries: [string, unknown][] = [];
    for (const key of orderedKeys(object)) {
      const value = object[key];
      if (value === undefined) this.#skip(path);
      else entries.push([key, value]);
    }
    if (Object.getOwnPropertySymbols(object).length > 0) {
      throw refusal(path, "has a JavaScript symbol as a key. For Ruby symbols, use symbolHash().");
    }
    this.countKeys(entries.length, path);
    output.map(entries.length);
    for (const [key, value] of entries) {
      if (key === "__proto__")
        throw refusal(
          path,
          "has the key `__proto__`, which is not allowed: it could cause prototype pollution.",
        );
      const inner = within(path, key);
      this.#text(output, key, inner);
      this.write(output, value, inner);
    }
  }

  #map(output: Output, map: ReadonlyMap<unknown, unknown>, path: Place): void {
    this.countKeys(map.size, path);
    output.map(map.size);
    let index = 0;
    for (const [key, value] of map) {
      this.write(output, key, within(path, { of: "keys", key, index }));
      const name = key instanceof ruby.RubySymbol ? `:${key.name}` : key;
      this.write(output, value, within(path, { of: "get", key: name, index: index++ }));
    }
    assertDistinct(map, path);
  }

  #skip(path: Place): void {
    const { maxKeys, maxBytes } = this.#limits;
    if (++this.#skipped > Math.max(maxKeys, maxBytes)) throw this.#tooManyKeys(path);
  }

  /** Checks the size before the bytes are copied. */
  #fitting(bytes: Uint8Array, path: Place): Uint8Array {
    if (bytes.length > this.#limits.maxBytes) throw tooLarge(this.#limits.maxBytes, placeText(path));
    return bytes;
  }

  #text(output: Output, text: string, path: Place): void {
    // Check first: long text takes three times its length of memory while it is written.
    if (text.length > this.#limits.maxBytes) throw tooLarge(this.#limits.maxBytes, placeText(path));
    if (!output.text(text)) {
      throw refusal(
        path,
        "contains a lone surrogate, which UTF-8 cannot encode. Repair it with toWellFormed().",
      );
    }
  }

  countKeys(count: number, place: Place): void {
    this.#keys += count;
    if (this.#keys > this.#limits.maxKeys) throw this.#tooManyKeys(place);
  }

  #tooManyKeys(place: Place): LimitError {
    const path = placeText(place);
    return new LimitError(
      "keys",
      `The session has more than ${this.#limits.maxKeys} keys; ${path} exceeds the limit. Store less in it.`,
      path,
    );
  }
}
