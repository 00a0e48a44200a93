import { LimitError, ValueError } from "../errors.ts";
import type { Limits } from "./limits.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

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
  #spare: Writer | undefined;

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
    const writer = this.#take();
    writer.content(content.data, content.user, content.flash);
    return this.#finish(writer);
  }

  /** @throws {RefusedError} reason "decode": bytes that `encode` does not write */
  decode(bytes: Uint8Array): Content {
    const reader = new Reader(bytes, this.#limits);
    if (reader.elements() !== 2) throw reader.refusal("there is no pair of data and internals");
    const data = reader.map();
    let user: string | undefined;
    let flash: Record<string, unknown> | undefined;
    for (let left = reader.pairs(); left > 0; left--) {
      const name = reader.key();
      if (name === "u") user = userFrom(reader, user);
      else if (name === "f") flash = flashFrom(reader, flash);
      else throw reader.refusal("an internal key is unknown");
    }
    reader.end();
    return { data, user, flash: flash ?? {} };
  }

  /**
   * One value, as it would be stored within `data`.
   * @param path how errors call it
   */
  encodeValue(value: unknown, path: string = "value"): Uint8Array {
    const writer = this.#take();
    writer.value(value, path);
    return this.#finish(writer);
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
    const writer = this.#take();
    writer.map(map, path);
    return this.#finish(writer);
  }

  /** @throws {RefusedError} reason "decode": bytes that `encodeMap` does not write */
  decodeMap(bytes: Uint8Array): Record<string, unknown> {
    const reader = new Reader(bytes, this.#limits);
    const map = reader.map();
    reader.end();
    return map;
  }

  /** A getter of the session that is being written may have another one written meanwhile: with a writer of its own. */
  #take(): Writer {
    const writer = this.#spare ?? new Writer(this.#limits);
    this.#spare = undefined;
    return writer;
  }

  #finish(writer: Writer): Uint8Array {
    const bytes = writer.finish();
    if (writer.isSmall) this.#spare = writer;
    return bytes;
  }
}

function userFrom(reader: Reader, before: string | undefined): string {
  if (before !== undefined) throw reader.refusal("a key is there twice");
  const user = reader.text();
  if (user === "") throw reader.refusal("the user is empty");
  return user;
}

function flashFrom(reader: Reader, before: Record<string, unknown> | undefined): Record<string, unknown> {
  if (before !== undefined) throw reader.refusal("a key is there twice");
  const flash = reader.map();
  if (Object.keys(flash).length === 0) throw reader.refusal("the flash is empty");
  return flash;
}
