const initialSize = 8192;
/** Up to this length, a JavaScript loop writes ASCII faster than a native call. */
const shortText = 24;

/** Writes MessagePack, each value in its shortest form, to a growable, reusable buffer. */
export class Output {
  #bytes: Buffer;
  #view: DataView;
  #at = 0;

  /** @param size initial capacity in bytes */
  constructor(size: number = initialSize) {
    this.#bytes = Buffer.allocUnsafeSlow(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Number of bytes written. */
  get length(): number {
    return this.#at;
  }

  /** Capacity of the buffer in bytes. */
  get size(): number {
    return this.#bytes.length;
  }

  /** Discards everything after the first `length` bytes. */
  rewind(length: number = 0): void {
    this.#at = length;
  }

  /** Returns a copy of the bytes written. */
  copy(): Uint8Array {
    const copy = Buffer.allocUnsafe(this.#at);
    this.#bytes.copy(copy, 0, 0, this.#at);
    return copy;
  }

  /** Whether these are the bytes written. */
  equals(bytes: Uint8Array): boolean {
    return bytes.length === this.#at && this.#bytes.compare(bytes, 0, this.#at, 0, this.#at) === 0;
  }

  null(): void {
    this.#reserve(1);
    this.#byte(0xc0);
  }

  boolean(value: boolean): void {
    this.#reserve(1);
    this.#byte(value ? 0xc3 : 0xc2);
  }

  number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) return this.float(value);
    this.#reserve(9);
    if (value >= 0) this.#positive(value);
    else this.#negative(value);
  }

  /** A float64, whatever the value. */
  float(value: number): void {
    this.#reserve(9);
    this.#byte(0xcb);
    // NaN has many bit patterns. Use a canonical one, so that equal values encode to equal bytes.
    this.#view.setFloat64(this.#at, Number.isNaN(value) ? NaN : value);
    this.#at += 8;
  }

  /** An integer from -2^63 to 2^64 - 1 that needs more than 32 bits. */
  integer64(value: bigint): void {
    this.#reserve(9);
    this.#byte(value < 0n ? 0xd3 : 0xcf);
    this.#view.setBigInt64(this.#at, value);
    this.#at += 8;
  }

  /** @returns false if the text contains a lone surrogate, which UTF-8 cannot encode */
  text(value: string): boolean {
    const { length } = value;
    this.#reserve(length * 3 + 5);
    if (length <= shortText && this.#shortAscii(value)) return true;
    const start = this.#at;
    // The header depends on the encoded length. Guess that the text is ASCII.
    const guess = start + textHeaderSize(length);
    const written = this.#bytes.write(value, guess);
    if (written !== length) {
      if (!value.isWellFormed()) return false;
      this.#bytes.copyWithin(start + textHeaderSize(written), guess, guess + written);
    }
    this.#textHeader(written);
    this.#at += written;
    return true;
  }

  /** Text as bytes, which need not be UTF-8. */
  textBytes(value: Uint8Array): void {
    this.#reserve(5);
    this.#textHeader(value.length);
    this.raw(value);
  }

  binary(value: Uint8Array): void {
    const { length } = value;
    this.#reserve(5);
    if (length < 0x100) this.#sized8(0xc4, length);
    else if (length < 0x10000) this.#sized16(0xc5, length);
    else this.#sized32(0xc6, length);
    this.raw(value);
  }

  /** The header of an array. */
  array(count: number): void {
    this.#reserve(5);
    if (count < 0x10) this.#byte(0x90 + count);
    else if (count < 0x10000) this.#sized16(0xdc, count);
    else this.#sized32(0xdd, count);
  }

  /** The header of a map. */
  map(count: number): void {
    this.#reserve(5);
    if (count < 0x10) this.#byte(0x80 + count);
    else if (count < 0x10000) this.#sized16(0xde, count);
    else this.#sized32(0xdf, count);
  }

  /** Corrects the header at `start` of the map that ends here, if it has fewer pairs than announced. */
  recount(start: number, announced: number, count: number): void {
    const end = this.#at;
    const from = start + mapHeaderSize(announced);
    const to = start + mapHeaderSize(count);
    if (to !== from) this.#bytes.copyWithin(to, from, end);
    this.#at = start;
    this.map(count);
    this.#at = to + end - from;
  }

  /** A timestamp of MessagePack's specification. @param time in milliseconds, as a Date has it */
  timestamp(time: number): void {
    this.#reserve(15);
    const seconds = Math.floor(time / 1000);
    const nanoseconds = (time - seconds * 1000) * 1_000_000;
    const high = Math.floor(seconds / 2 ** 32);
    if (high < 0 || high >= 4) {
      this.#sized8(0xc7, 12);
      this.#byte(0xff);
      this.#word(nanoseconds);
      this.#word(high);
    } else if (nanoseconds === 0 && high === 0) {
      this.#byte(0xd6);
      this.#byte(0xff);
    } else {
      this.#byte(0xd7);
      this.#byte(0xff);
      this.#word(nanoseconds * 4 + high);
    }
    this.#word(seconds);
  }

  /** Makes what was written from `start` on the payload of an extension. */
  extension(start: number, type: number): void {
    this.#reserve(6);
    const length = this.#at - start;
    this.#bytes.copyWithin(start + extensionHeaderSize(length), start, this.#at);
    this.#at = start;
    const fixed = fixedSizes.indexOf(length);
    if (fixed !== -1) this.#byte(0xd4 + fixed);
    else if (length < 0x100) this.#sized8(0xc7, length);
    else if (length < 0x10000) this.#sized16(0xc8, length);
    else this.#sized32(0xc9, length);
    this.#byte(type);
    this.#at += length;
  }

  /** Bytes that are encoded already. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** Text without a header. */
  payload(value: string): void {
    this.#reserve(value.length * 3);
    this.#at += this.#bytes.write(value, this.#at);
  }

  #positive(value: number): void {
    if (value < 0x80) this.#byte(value);
    else if (value < 0x100) this.#sized8(0xcc, value);
    else if (value < 0x10000) this.#sized16(0xcd, value);
    else if (value < 2 ** 32) this.#sized32(0xce, value);
    else this.#long(0xcf, value);
  }

  #negative(value: number): void {
    if (value >= -0x20) this.#byte(value);
    else if (value >= -0x80) this.#sized8(0xd0, value);
    else if (value >= -0x8000) this.#sized16(0xd1, value);
    else if (value >= -(2 ** 31)) this.#sized32(0xd2, value);
    else this.#long(0xd3, value);
  }

  #long(head: number, value: number): void {
    this.#sized32(head, Math.floor(value / 2 ** 32));
    this.#word(value);
  }

  #shortAscii(value: string): boolean {
    const { length } = value;
    const bytes = this.#bytes;
    let at = this.#at;
    bytes[at++] = 0xa0 + length;
    for (let index = 0; index < length; index++) {
      const unit = value.charCodeAt(index);
      if (unit >= 0x80) return false;
      bytes[at++] = unit;
    }
    this.#at = at;
    return true;
  }

  #textHeader(length: number): void {
    if (length < 0x20) this.#byte(0xa0 + length);
    else if (length < 0x100) this.#sized8(0xd9, length);
    else if (length < 0x10000) this.#sized16(0xda, length);
    else this.#sized32(0xdb, length);
  }

  // The setters truncate to the low bytes in two's complement, so negative numbers need no special case.

  #byte(value: number): void {
    this.#bytes[this.#at++] = value;
  }

  #word(value: number): void {
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
  }

  #sized8(head: number, value: number): void {
    this.#byte(head);
    this.#byte(value);
  }

  #sized16(head: number, value: number): void {
    this.#byte(head);
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
  }

  #sized32(head: number, value: number): void {
    this.#byte(head);
    this.#word(value);
  }

  #reserve(count: number): void {
    if (this.#at + count > this.#bytes.length) this.#grow(this.#at + count);
  }

  #grow(least: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(least, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

const fixedSizes = [1, 2, 4, 8, 16];

function textHeaderSize(length: number): number {
  if (length < 0x20) return 1;
  if (length < 0x100) return 2;
  return length < 0x10000 ? 3 : 5;
}

function mapHeaderSize(count: number): number {
  if (count < 0x10) return 1;
  return count < 0x10000 ? 3 : 5;
}

function extensionHeaderSize(length: number): number {
  if (fixedSizes.includes(length)) return 2;
  if (length < 0x100) return 3;
  return length < 0x10000 ? 4 : 6;
}
