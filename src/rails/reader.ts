import { isUtf8 } from "node:buffer";
import { RefusedError } from "../errors.ts";
import { RubyFloat, RubyString, type RubyInteger } from "./types.ts";

/** The error for bytes that Rails cannot have written. */
export function refused(message: string, options?: ErrorOptions): RefusedError {
  return new RefusedError(
    "decode",
    `The stored session cannot be decoded as MessagePack of Rails: ${message}`,
    options,
  );
}

/** Limits of one decoding. */
export interface ReadLimits {
  /** Nesting depth of containers. */
  readonly maxDepth: number;
  /** Total number of map keys. */
  readonly maxKeys: number;
}

/** The header of a value. Its length has been checked against the remaining bytes. */
export type Head =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "array" | "map"; readonly length: number }
  | { readonly kind: "ext"; readonly code: number; readonly payload: Uint8Array };

/**
 * Reads MessagePack, one header at a time, in any width that the format allows.
 *
 * Checks a length against the remaining bytes before it allocates (R47); every element of an array takes at least one
 * byte.
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

  /** Returns a copy of the bytes from `start` to the current position. */
  since(start: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(start, this.#offset));
  }

  /** Returns a reader of an extension's payload. What it reads counts towards the same limits. */
  nested(payload: Uint8Array): Reader {
    const reader = new Reader(payload, this.limits);
    reader.#keys = this.#keys;
    return reader;
  }

  /** Counts the keys of a map of `length` entries. */
  countKeys(length: number): void {
    this.#keys += length;
    if (this.#keys > this.limits.maxKeys) throw refused(`there are more than ${this.limits.maxKeys} keys.`);
  }

  /** Adds what a {@link nested} reader counted. */
  adopt(reader: Reader): void {
    this.#keys = reader.#keys;
  }

  end(): void {
    if (this.left !== 0) throw refused(`there are ${this.left} unexpected trailing bytes.`);
  }

  take(length: number): Buffer {
    if (length > this.left) throw refused("the input ends unexpectedly.");
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
        throw refused("byte 0xc1 does not start a value.");
    }
  }

  /** Reads an Integer that is not an extension. */
  smallInteger(): number {
    const head = this.head();
    if (head.kind !== "value" || typeof head.value !== "number" || !Number.isSafeInteger(head.value)) {
      throw refused("an integer was expected.");
    }
    return head.value;
  }

  /** Reads a str of valid UTF-8. */
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
    if (length * (kind === "map" ? 2 : 1) > this.left) throw refused("the input ends unexpectedly.");
    if (kind === "map") this.countKeys(length);
    return { kind, length };
  }
}

function value(read: unknown): Head {
  return { kind: "value", value: read };
}

/** Returns a Float as a number, unless that number would be written back as an Integer. */
function float(read: number): number | RubyFloat {
  return Number.isSafeInteger(read) && !Object.is(read, -0) ? new RubyFloat(read) : read;
}

/** Returns an integer as a number if that is exact. */
export function safe(read: bigint): RubyInteger {
  return read >= Number.MIN_SAFE_INTEGER && read <= Number.MAX_SAFE_INTEGER ? Number(read) : read;
}

/** Returns text if the bytes are UTF-8, otherwise the bytes. */
export function stringOf(bytes: Buffer): string | RubyString {
  return isUtf8(bytes) ? bytes.toString("utf8") : new RubyString(new Uint8Array(bytes));
}
