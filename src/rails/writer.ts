import { LimitError } from "../errors.ts";

/** Writes the wire form of MessagePack, every header in its shortest form as Ruby does, up to `maxBytes`. */
export class Writer {
  readonly maxBytes: number;
  readonly #where: () => string | undefined;
  #buffer = Buffer.allocUnsafe(256);
  #length = 0;

  /** @param where the path of what is being written, for errors */
  constructor(maxBytes: number, where: () => string | undefined = () => undefined) {
    this.maxBytes = maxBytes;
    this.#where = where;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return new Uint8Array(this.#buffer.subarray(0, this.#length));
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#buffer.set(bytes, at);
  }

  nil(): void {
    this.#uint(1, 0xc0);
  }

  boolean(value: boolean): void {
    this.#uint(1, value ? 0xc3 : 0xc2);
  }

  float(value: number): void {
    this.#uint(1, 0xcb);
    const at = this.#reserve(8);
    this.#buffer.writeDoubleBE(value, at);
  }

  /** An integer of at most 53 bits. */
  integer(value: number): void {
    if (value > 0xffff_ffff || value < -0x8000_0000) this.integer64(BigInt(value));
    else if (value >= 0) {
      if (value <= 0x7f) this.#uint(1, value);
      else this.#sized(value, 0xcc, 0xcd, 0xce);
    } else if (value >= -32) this.#uint(1, value + 0x100);
    else {
      const width = value >= -0x80 ? 1 : value >= -0x8000 ? 2 : 4;
      this.#uint(1, width === 1 ? 0xd0 : width === 2 ? 0xd1 : 0xd2);
      const at = this.#reserve(width);
      this.#buffer.writeIntBE(value, at, width);
    }
  }

  /** An integer from -2^63 to 2^64 - 1 that needs more than 32 bits. */
  integer64(value: bigint): void {
    this.#uint(1, value < 0n ? 0xd3 : 0xcf);
    const at = this.#reserve(8);
    if (value < 0n) this.#buffer.writeBigInt64BE(value, at);
    else this.#buffer.writeBigUInt64BE(value, at);
  }

  string(text: string): void {
    if (text.length > this.maxBytes) throw this.#tooLarge();
    this.stringBytes(Buffer.from(text, "utf8"));
  }

  stringBytes(bytes: Uint8Array): void {
    if (bytes.length <= 31) this.#uint(1, 0xa0 | bytes.length);
    else this.#sized(bytes.length, 0xd9, 0xda, 0xdb);
    this.raw(bytes);
  }

  binary(bytes: Uint8Array): void {
    this.#sized(bytes.length, 0xc4, 0xc5, 0xc6);
    this.raw(bytes);
  }

  array(length: number): void {
    if (length <= 15) this.#uint(1, 0x90 | length);
    else this.#sized(length, null, 0xdc, 0xdd);
  }

  map(length: number): void {
    if (length <= 15) this.#uint(1, 0x80 | length);
    else this.#sized(length, null, 0xde, 0xdf);
  }

  extension(code: number, payload: Uint8Array): void {
    const fixed = [1, 2, 4, 8, 16].indexOf(payload.length);
    if (fixed >= 0) this.#uint(1, 0xd4 + fixed);
    else this.#sized(payload.length, 0xc7, 0xc8, 0xc9);
    this.#uint(1, code);
    this.raw(payload);
  }

  #sized(length: number, one: number | null, two: number, four: number): void {
    if (one !== null && length <= 0xff) {
      this.#uint(1, one);
      this.#uint(1, length);
    } else if (length <= 0xffff) {
      this.#uint(1, two);
      this.#uint(2, length);
    } else {
      this.#uint(1, four);
      this.#uint(4, length);
    }
  }

  #uint(width: number, value: number): void {
    const at = this.#reserve(width);
    this.#buffer.writeUIntBE(value, at, width);
  }

  /** Makes room, which may put another buffer in place of the present one: so call it before naming the buffer. */
  #reserve(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.maxBytes) {
      throw this.#tooLarge();
    }
    if (this.#length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#length, 2 * this.#buffer.length));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    return at;
  }

  #tooLarge(): LimitError {
    const path = this.#where();
    return new LimitError(
      "bytes",
      `The session takes more than ${this.maxBytes} bytes (maxBytes)${path === undefined ? "" : `, counted up to ${path}`}. Store less in it, or raise maxBytes.`,
      path,
    );
  }
}
