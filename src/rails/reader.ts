import { isUtf8 } from "node:buffer";
import { RefusedError } from "../errors.ts";
import { RubyFloat, RubyString, type RubyInteger } from "./types.ts";

/** Bytes that are not what Rails writes. */
export function refused(message: string, options?: ErrorOptions): RefusedError {
  return new RefusedError("decode", `The session's bytes are no MessagePack of Rails: ${message}`, options);
}

/** How much one reading may do. */
export interface ReadLimits {
  /** Containers inside one another. */
  readonly maxDepth: number;
  /** Keys of all maps together. */
  readonly maxKeys: number;
}

/** The header of a value, its length checked against the bytes that are there. */
export type Head =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "array" | "map"; readonly length: number }
  | { readonly kind: "ext"; readonly code: number; readonly payload: Uint8Array };

/**
 * Reads the wire form of MessagePack: one header at a time, in any width the format has.
 *
 * Nothing is allocated because a header asks for it (R47): a length is first held against the bytes that are left,
 * and every entry of an array takes at least one of them.
 */
export class Reader {
  readonly #bytes: Buffer;
  readonly limits: ReadLimits;
  #offset = 0;
  #keys = 0;

  constructor(bytes: Uint8Array, limits: ReadLimits) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.limits = limits;
  }

  get offset(): number {
    return this.#offset;
  }

  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  /** The bytes from `start` to here, as a copy that holds on to nothing else. */
  since(start: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(start, this.#offset));
  }

  /** A reader of an extension's payload; what it reads counts towards the same limits. */
  nested(payload: Uint8Array): Reader {
    const reader = new Reader(payload, this.limits);
    reader.#keys = this.#keys;
    return reader;
  }

  /** Counts the keys of a map of `length` entries. */
  countKeys(length: number): void {
    this.#keys += length;
    if (this.#keys > this.limits.maxKeys) throw refused(`more than ${this.limits.maxKeys} keys.`);
  }

  /** Takes over what a {@link nested} reader counted. */
  adopt(reader: Reader): void {
    this.#keys = reader.#keys;
  }

  end(): void {
    if (this.left !== 0) throw refused(`${this.left} bytes follow the value.`);
  }

  take(length: number): Buffer {
    if (length > this.left) throw refused("they are cut short.");
    const start = this.#offset;
    this.#offset += length;
    return this.#bytes.subarray(start, this.#offset);
  }

  head(): Head {
    const byte = this.#uint(1);
    if (byte <= 0x7f) return value(byte);
    if (byte >= 0xe0) return value(byte - 0x100);
    if (byte <= 0x8f) return this.#sized("map", byte & 0x0f);
    if (byte <= 0x9f) return this.#sized("array", byte & 0x0f);
    if (byte <= 0xbf) return this.#text(byte & 0x1f);
    switch (byte) {
      case 0xc0:
        return value(null);
      case 0xc2:
        return value(false);
      case 0xc3:
        return value(true);
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return value(new Uint8Array(this.take(this.#uint(1 << (byte - 0xc4)))));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#ext(this.#uint(1 << (byte - 0xc7)));
      case 0xca:
        return value(float(this.take(4).readFloatBE(0)));
      case 0xcb:
        return value(float(this.take(8).readDoubleBE(0)));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return value(this.#uint(1 << (byte - 0xcc)));
      case 0xcf:
        return value(safe(this.take(8).readBigUInt64BE(0)));
      case 0xd0:
      case 0xd1:
      case 0xd2: {
        const width = 1 << (byte - 0xd0);
        return value(this.take(width).readIntBE(0, width));
      }
      case 0xd3:
        return value(safe(this.take(8).readBigInt64BE(0)));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#ext(1 << (byte - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#uint(1 << (byte - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#sized("array", this.#uint(byte === 0xdc ? 2 : 4));
      case 0xde:
      case 0xdf:
        return this.#sized("map", this.#uint(byte === 0xde ? 2 : 4));
      default:
        throw refused("the byte 0xc1 starts no value.");
    }
  }

  /** An Integer that is not an extension. */
  smallInteger(): number {
    const head = this.head();
    if (head.kind !== "value" || typeof head.value !== "number" || !Number.isSafeInteger(head.value)) {
      throw refused("an integer was expected.");
    }
    return head.value;
  }

  /** A str that is UTF-8. */
  string(): string {
    const head = this.head();
    if (head.kind !== "value" || typeof head.value !== "string") throw refused("a string was expected.");
    return head.value;
  }

  #uint(width: number): number {
    return this.take(width).readUIntBE(0, width);
  }

  #text(length: number): Head {
    return value(stringOf(this.take(length)));
  }

  #ext(length: number): Head {
    const code = this.take(1).readInt8(0);
    return { kind: "ext", code, payload: this.take(length) };
  }

  #sized(kind: "array" | "map", length: number): Head {
    if (length * (kind === "map" ? 2 : 1) > this.left) throw refused("they are cut short.");
    if (kind === "map") this.countKeys(length);
    return { kind, length };
  }
}

function value(read: unknown): Head {
  return { kind: "value", value: read };
}

/** A Float as a number, unless that number would be written as an Integer. */
function float(read: number): number | RubyFloat {
  return Number.isSafeInteger(read) && !Object.is(read, -0) ? new RubyFloat(read) : read;
}

/** An integer as a number where that is exact. */
export function safe(read: bigint): RubyInteger {
  return read >= Number.MIN_SAFE_INTEGER && read <= Number.MAX_SAFE_INTEGER ? Number(read) : read;
}

/** Text where the bytes are UTF-8, else the bytes. */
export function stringOf(bytes: Buffer): string | RubyString {
  return isUtf8(bytes) ? bytes.toString("utf8") : new RubyString(new Uint8Array(bytes));
}
