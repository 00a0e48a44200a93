import { LimitError, ValueError } from "../errors.ts";
import type { Limits } from "./limits.ts";
import { Lowering, tooLarge } from "./lower.ts";
import { pack } from "./pack.ts";
import { Reader } from "./reader.ts";

/** What a session holds. */
export interface Content {
  data: Record<string, unknown>;
  /** Never empty. */
  user: string | undefined;
  flash: Record<string, unknown>;
}

/**
 * A session's content as bytes, and back: MessagePack, with Date, BigInt, Set, Map and URL as extensions.
 *
 * Whatever {@link Codec.encode} accepts comes back equal, apart from what it is documented to normalise: a property
 * that is undefined is left out, undefined in an array (a hole too) and as a value of a Map is null, a Buffer comes
 * back as a Uint8Array, an object without a prototype as a plain one, a getter as its value. Everything else is
 * refused with the path to it: functions, symbols, instances of classes, subclasses, invalid dates, cycles, a key
 * `__proto__`, lone surrogates, symbols as keys, undefined in a Set, getters that throw. `toJSON` is not asked.
 * An object that occurs twice is stored twice.
 *
 * {@link Codec.decode} accepts what `encode` writes and nothing else, under the same limits.
 */
export class Codec {
  readonly #limits: Limits;

  /**
   * @param options.maxBytes of the encoded plaintext
   * @param options.maxDepth levels of containers, `data` being the first; default 32
   * @param options.maxKeys keys of all objects together; default 10,000. Elements of arrays, Sets and Maps are
   *   bounded by the bytes they take
   */
  constructor(options: { maxBytes: number; maxDepth?: number; maxKeys?: number }) {
    const { maxBytes, maxDepth = 32, maxKeys = 10_000 } = options;
    this.#limits = { maxBytes, maxDepth, maxKeys };
  }

  /**
   * @throws {ValueError} a value that cannot be stored, with its path
   * @throws {LimitError} too large, too deep, too many keys
   */
  encode(content: Content): Uint8Array {
    const lowering = new Lowering(this.#limits);
    const data = lowering.map(content.data, "data");
    const internals: { u?: string; f?: Record<string, unknown> } = {};
    if (content.user !== undefined) internals.u = lowering.name(content.user, "user");
    const flash = lowering.map(content.flash, "flash");
    if (Object.keys(flash).length > 0) internals.f = flash;
    return this.#pack([data, internals]);
  }

  /** @throws {RefusedError} reason "decode": bytes that `encode` does not write */
  decode(bytes: Uint8Array): Content {
    const reader = new Reader(bytes, this.#limits);
    if (reader.elements() !== 2) throw reader.refusal("there is no pair of data and internals");
    const content: Content = { data: reader.map(), user: undefined, flash: {} };
    const seen = new Set<string>();
    for (let left = reader.pairs(); left > 0; left--) {
      const name = reader.key();
      if (seen.has(name)) throw reader.refusal("a key is there twice");
      seen.add(name);
      if (name === "u") content.user = userFrom(reader);
      else if (name === "f") content.flash = flashFrom(reader);
      else throw reader.refusal("an internal key is unknown");
    }
    reader.end();
    return content;
  }

  /**
   * One value, as it would be stored within `data`.
   * @param path how errors call it
   */
  encodeValue(value: unknown, path: string = "value"): Uint8Array {
    return this.#pack(new Lowering(this.#limits).value(value, path));
  }

  /** A copy that shares nothing with `value`, made by storing and reading it. */
  clone<T>(value: T, path?: string): T {
    const reader = new Reader(this.encodeValue(value, path), this.#limits);
    return reader.value() as T;
  }

  /**
   * Whether two values are stored as the same bytes. The order of keys matters. undefined is the same as undefined
   * only, and a value that cannot be stored is the same as itself only.
   */
  same(a: unknown, b: unknown): boolean {
    if (Object.is(a, b)) return true;
    if (a === undefined || b === undefined) return false;
    try {
      return Buffer.compare(this.encodeValue(a), this.encodeValue(b)) === 0;
    } catch (error) {
      if (error instanceof ValueError || error instanceof LimitError) return false;
      throw error;
    }
  }

  /** A MessagePack map. */
  encodeMap(map: Readonly<Record<string, unknown>>, path: string = "client"): Uint8Array {
    return this.#pack(new Lowering(this.#limits).map(map, path));
  }

  /** @throws {RefusedError} reason "decode": bytes that `encodeMap` does not write */
  decodeMap(bytes: Uint8Array): Record<string, unknown> {
    const reader = new Reader(bytes, this.#limits);
    const map = reader.map();
    reader.end();
    return map;
  }

  #pack(lowered: unknown): Uint8Array {
    const bytes = pack(lowered);
    if (bytes.length > this.#limits.maxBytes) throw tooLarge(bytes.length, this.#limits.maxBytes, "");
    return bytes;
  }
}

function userFrom(reader: Reader): string {
  const user = reader.key();
  if (user === "") throw reader.refusal("the user is empty");
  return user;
}

function flashFrom(reader: Reader): Record<string, unknown> {
  const flash = reader.map();
  if (Object.keys(flash).length === 0) throw reader.refusal("the flash is empty");
  return flash;
}
