import { LimitError, ValueError } from "../errors.ts";
import { readAuthentication, type Authentication } from "./authentication.ts";
import { readDevice, type DeviceBinding } from "./device.ts";
import type { Limits } from "./limits.ts";
import { Reader } from "./reader.ts";
import type { Snapshot } from "./snapshot.ts";
import { Writer } from "./writer.ts";

/** The content of a session. */
export interface Content {
  data: Record<string, unknown>;
  /** Never empty. */
  user: string | undefined;
  flash: Record<string, unknown>;
  /** How the user last proved who they are. Not stored without a user. */
  authentication?: Authentication | undefined;
  /** The device that the session is bound to. Not stored without a user. */
  device?: DeviceBinding | undefined;
}

/**
 * Encodes the content of a session as MessagePack, with extensions for Date, BigInt, Set, Map and URL, and decodes it.
 *
 * Every value that {@link Codec.encode} accepts decodes to an equal value, with these normalizations: an undefined property
 * is omitted; undefined becomes null in an array (holes too) and as a value of a Map; a Buffer becomes a Uint8Array, an
 * object without a prototype a plain object, and a getter its value. All other values are rejected with their path:
 * functions, symbols, class instances, subclasses, invalid dates, cycles, a key `__proto__`, lone surrogates, symbols as
 * keys, undefined in a Set, getters that throw. `toJSON` is not called. An object referenced twice is stored twice.
 *
 * {@link Codec.decode} accepts only what `encode` writes, under the same limits.
 */
export class Codec {
  readonly #limits: Limits;
  #spare: Writer | undefined;

  /**
   * @param options.maxBytes maximum size of the encoded plaintext
   * @param options.maxDepth maximum nesting depth; `data` is level 1. Default 32
   * @param options.maxKeys maximum total number of object keys. Default 10,000. `maxBytes` bounds the elements of arrays,
   *   Sets and Maps
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
    writer.content(content);
    return this.#finish(writer);
  }

  /** Whether {@link encode} would return these bytes. It makes no copy of them. @throws like `encode` */
  encodesTo(content: Content, bytes: Uint8Array): boolean {
    const writer = this.#take();
    writer.content(content);
    const isSame = writer.finishAs(bytes);
    if (writer.isSmall) this.#spare = writer;
    return isSame;
  }

  /**
   * @param snapshot of these bytes, to find out later whether the content was changed
   * @throws {RefusedError} reason "decode": bytes that `encode` cannot have written
   */
  decode(bytes: Uint8Array, snapshot?: Snapshot): Content {
    const content = this.#decode(bytes, snapshot?.entries ?? null);
    snapshot?.complete(content);
    return content;
  }

  #decode(bytes: Uint8Array, entries: unknown[] | null): Content {
    const reader = new Reader(bytes, this.#limits);
    const format = formatOf(reader);
    const data = reader.recordedMap(entries);
    let user: string | undefined;
    let flash: Record<string, unknown> | undefined;
    let authentication: Authentication | undefined;
    let device: DeviceBinding | undefined;
    for (let left = reader.pairs(); left > 0; left--) {
      const name = reader.key();
      if (name === "u") user = userFrom(reader, user);
      else if (name === "f") flash = flashFrom(reader, flash, entries);
      else if (name === "a" && format > 1)
        authentication = readAuthentication(reader, authentication, format);
      else if (name === "d" && format === 4) device = readDevice(reader, device);
      else throw reader.refusal("an internal key is unknown");
    }
    reader.end();
    if (flash === undefined) {
      flash = {};
      entries?.push(flash, 0);
    }
    if (format === 1) return { data, user, flash };
    if (user === undefined || (format === 4 ? device : authentication) === undefined)
      throw reader.refusal("the user, the authentication or the device is missing");
    return {
      data,
      user,
      flash,
      ...(authentication && { authentication }),
      ...(device && { device }),
    };
  }

  /**
   * Encodes a single value as it would be stored within `data`.
   * @param path the name of the value in errors
   */
  encodeValue(value: unknown, path: string = "value"): Uint8Array {
    const writer = this.#take();
    writer.value(value, path);
    return this.#finish(writer);
  }

  /** Returns a deep copy of `value`, made by encoding and decoding it. */
  clone<T>(value: T, path?: string): T {
    const reader = new Reader(this.encodeValue(value, path), this.#limits);
    return reader.value() as T;
  }

  /**
   * Whether two values encode to the same bytes. The order of keys matters. undefined equals only undefined, and a value
   * that cannot be stored equals only itself.
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

  /** Encodes a plain object as a MessagePack map. */
  encodeMap(map: Readonly<Record<string, unknown>>, path: string = "client"): Uint8Array {
    const writer = this.#take();
    writer.map(map, path);
    return this.#finish(writer);
  }

  /** @throws {RefusedError} reason "decode": bytes that `encodeMap` cannot have written */
  decodeMap(bytes: Uint8Array): Record<string, unknown> {
    const reader = new Reader(bytes, this.#limits);
    const map = reader.map();
    reader.end();
    return map;
  }

  /** Takes the spare writer or creates one: encoding is reentrant, because a getter may encode another session. */
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

/**
 * Whether the bytes of a content may hold links: format 3, which only sessions with links have, or format 4, that of sessions bound
 * to a device. Decodes nothing.
 */
export function hasLinks(plaintext: Uint8Array): boolean {
  return plaintext[0] === 0x93 && (plaintext[1] === 3 || plaintext[1] === 4);
}

/** Reads the start of a content. From format 2 on, it is an array of three that begins with the number. */
function formatOf(reader: Reader): number {
  const elements = reader.elements();
  if (elements === 2) return 1;
  const format = elements === 3 && reader.value();
  if (format === 2 || format === 3 || format === 4) return format;
  throw reader.refusal("a pair of data and internals was expected");
}

function userFrom(reader: Reader, before: string | undefined): string {
  if (before !== undefined) throw reader.refusal("a key is duplicated");
  const user = reader.text();
  if (user === "") throw reader.refusal("the user is empty");
  return user;
}

function flashFrom(
  reader: Reader,
  before: Record<string, unknown> | undefined,
  entries: unknown[] | null,
): Record<string, unknown> {
  if (before !== undefined) throw reader.refusal("a key is duplicated");
  const flash = reader.recordedMap(entries);
  if (Object.keys(flash).length === 0) throw reader.refusal("the flash is empty");
  return flash;
}
