/**
 * Longer than 300 lines: the methods share a cursor in private fields, and splitting them would expose it on the hottest
 * path of a request (decisions/0012).
 */
import { isAscii, isUtf8 } from "node:buffer";
import { RefusedError } from "../errors.ts";
import { extension } from "./extensions.ts";
import type { Limits } from "./limits.ts";
import { keepName, keptName, longestName } from "./names.ts";
import { addOwn } from "./own.ts";
import { dateSize } from "./snapshot.ts";

const notShortest = "a number or length is not in its shortest form";

/**
 * Reads canonical MessagePack: only what `writer.ts` writes, with one encoding per value apart from the order of keys.
 * Checks that the input is long enough before it allocates (R47). Single use.
 */
export class Reader {
  readonly #limits: Limits;
  readonly #bytes: Buffer;
  #end: number;
  #at = 0;
  #depth = 0;
  #keys = 0;
  #text: string | undefined;
  /** Where what is read is recorded; see snapshot.ts. */
  #entries: unknown[] | null = null;

  constructor(bytes: Uint8Array, limits: Limits) {
    this.#limits = limits;
    this.#bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = bytes.byteLength;
    if (this.#end > limits.maxBytes)
      throw this.refusal(`its size of ${this.#end} bytes exceeds maxBytes, ${limits.maxBytes}`);
  }

  /** The next value. */
  value(): unknown {
    const head = this.#byte();
    if (head < 0x80) return head;
    if (head >= 0xe0) return head - 0x100;
    if (head >= 0xa0 && head < 0xc0) return this.#string(head - 0xa0);
    if (head < 0x90) return this.#object(head - 0x80);
    if (head < 0xa0) return this.#array(head - 0x90);
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#binary(this.#length(1, 0));
      case 0xc5:
        return this.#binary(this.#length(2, 0x100));
      case 0xc6:
        return this.#binary(this.#length(4, 0x10000));
      case 0xc7:
        return this.#extension(this.#oddLength());
      case 0xc8:
        return this.#extension(this.#length(2, 0x100));
      case 0xc9:
        return this.#extension(this.#length(4, 0x10000));
      case 0xcb:
        return this.#float();
      case 0xcc:
        return this.#length(1, 0x80);
      case 0xcd:
        return this.#length(2, 0x100);
      case 0xce:
        return this.#length(4, 0x10000);
      case 0xcf:
        return this.#long(this.#unsigned(4), this.#unsigned(4));
      case 0xd0:
        return this.#below(-0x20, this.#bytes.readInt8(this.#take(1)));
      case 0xd1:
        return this.#below(-0x80, this.#bytes.readInt16BE(this.#take(2)));
      case 0xd2:
        return this.#below(-0x8000, this.#signed());
      case 0xd3:
        return this.#long(this.#signed(), this.#unsigned(4));
      case 0xd4:
        return this.#extension(1);
      case 0xd5:
        return this.#extension(2);
      case 0xd6:
        return this.#extension(4);
      case 0xd7:
        return this.#extension(8);
      case 0xd8:
        return this.#extension(16);
      case 0xd9:
        return this.#string(this.#length(1, 0x20));
      case 0xda:
        return this.#string(this.#length(2, 0x100));
      case 0xdb:
        return this.#string(this.#length(4, 0x10000));
      case 0xdc:
        return this.#array(this.#length(2, 0x10));
      case 0xdd:
        return this.#array(this.#length(4, 0x10000));
      case 0xde:
        return this.#object(this.#length(2, 0x10));
      case 0xdf:
        return this.#object(this.#length(4, 0x10000));
      default:
        throw this.refusal(`byte ${head} does not start a value`);
    }
  }

  /** The next value, which must be a map. */
  map(): Record<string, unknown> {
    return this.#object(this.pairs());
  }

  /**
   * The same, recorded for a {@link Snapshot}: each container and its size before what it contains, each key before its
   * value, each Date and {@link dateSize} before its time. Empties the list if there is a value that a snapshot does not compare.
   */
  recordedMap(entries: unknown[] | null): Record<string, unknown> {
    this.#entries = entries;
    const map = this.map();
    this.#entries = null;
    return map;
  }

  /** The header of a map: how many pairs of key and value follow. */
  pairs(): number {
    const head = this.#byte();
    if (head >= 0x80 && head < 0x90) return head - 0x80;
    if (head === 0xde) return this.#length(2, 0x10);
    if (head === 0xdf) return this.#length(4, 0x10000);
    throw this.refusal("a map was expected");
  }

  /** The header of an array: how many elements follow. */
  elements(): number {
    const head = this.#byte();
    if (head >= 0x90 && head < 0xa0) return head - 0x90;
    if (head === 0xdc) return this.#length(2, 0x10);
    if (head === 0xdd) return this.#length(4, 0x10000);
    throw this.refusal("an array was expected");
  }

  /** A key of a map. */
  key(): string {
    const head = this.#byte();
    if (head > 0xa0 && head <= 0xa0 + longestName) return this.#name(head - 0xa0);
    return this.#string(this.#textLength(head));
  }

  /** The next value, which must be text. */
  text(): string {
    return this.#string(this.#textLength(this.#byte()));
  }

  /** Asserts the end of the input. */
  end(): void {
    if (this.#at !== this.#end) throw this.refusal("there are unexpected trailing bytes");
  }

  refusal(what: string): RefusedError {
    return new RefusedError(
      "decode",
      `The stored session cannot be decoded: ${what} (byte ${this.#at}). It is damaged, or another program wrote it.`,
    );
  }

  #take(count: number): number {
    const start = this.#at;
    if (count > this.#end - start) throw this.refusal("the input ends unexpectedly");
    this.#at = start + count;
    return start;
  }

  #byte(): number {
    return this.#bytes[this.#take(1)]!;
  }

  #unsigned(width: 1 | 2 | 4): number {
    let value = 0;
    for (let at = this.#take(width); at < this.#at; at++) value = value * 256 + this.#bytes[at]!;
    return value;
  }

  #signed(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  /** An unsigned number that does not fit into fewer bytes. */
  #length(width: 1 | 2 | 4, least: number): number {
    const length = this.#unsigned(width);
    if (length < least) throw this.refusal(notShortest);
    return length;
  }

  #textLength(head: number): number {
    if (head >= 0xa0 && head < 0xc0) return head - 0xa0;
    if (head === 0xd9) return this.#length(1, 0x20);
    if (head === 0xda) return this.#length(2, 0x100);
    if (head === 0xdb) return this.#length(4, 0x10000);
    throw this.refusal("a key is not a string");
  }

  /** The length of an extension that has no shorter header. */
  #oddLength(): number {
    const length = this.#unsigned(1);
    if (length === 1 || length === 2 || length === 4 || length === 8 || length === 16) {
      throw this.refusal(notShortest);
    }
    return length;
  }

  #below(bound: number, value: number): number {
    if (value >= bound) throw this.refusal(notShortest);
    return value;
  }

  #long(high: number, low: number): number {
    const value = high * 2 ** 32 + low;
    if (value < 2 ** 32 && value >= -(2 ** 31)) throw this.refusal(notShortest);
    if (!Number.isSafeInteger(value)) throw this.refusal("an integer exceeds 2^53");
    return value;
  }

  #float(): number {
    const start = this.#take(8);
    const value = this.#bytes.readDoubleBE(start);
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) throw this.refusal(notShortest);
    if (Number.isNaN(value) && this.#bytes.readUIntBE(start, 6) !== 0x7ff800000000) {
      throw this.refusal("a NaN has a payload");
    }
    return value;
  }

  #string(length: number): string {
    const start = this.#take(length);
    const end = this.#at;
    return this.#isAscii(start, end) ? this.#ascii(start, end) : this.#wideString(start, end);
  }

  #isAscii(start: number, end: number): boolean {
    const bytes = this.#bytes;
    // A native call pays off only for long text.
    if (end - start > 64) return isAscii(bytes.subarray(start, end));
    for (let at = start; at < end; at++) {
      if (bytes[at]! >= 0x80) return false;
    }
    return true;
  }

  #name(length: number): string {
    const start = this.#take(length);
    return keptName(this.#bytes, start, this.#at) ?? this.#newName(start, this.#at);
  }

  #newName(start: number, end: number): string {
    if (!this.#isAscii(start, end)) return this.#wideString(start, end);
    const name = this.#ascii(start, end);
    keepName(name, this.#bytes, start, end);
    return name;
  }

  #ascii(start: number, end: number): string {
    // Decoding the whole input once and slicing it is many times faster than a native call per string. Slices keep the
    // whole text in memory, so large inputs are excluded.
    if (this.#bytes.length > 4096) return this.#bytes.toString("latin1", start, end);
    return (this.#text ??= this.#bytes.toString("latin1")).slice(start, end);
  }

  #wideString(start: number, end: number): string {
    if (!isUtf8(this.#bytes.subarray(start, end))) throw this.refusal("text is not valid UTF-8");
    return this.#bytes.toString("utf8", start, end);
  }

  #binary(length: number): Uint8Array {
    this.#stopRecording();
    const start = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(start, start + length));
  }

  /** @param least the minimum size of an element in bytes */
  #enter(count: number, least: 1 | 2): void {
    if (count * least > this.#end - this.#at) throw this.refusal("the input ends unexpectedly");
    if (this.#depth === this.#limits.maxDepth) {
      throw this.refusal(`values are nested deeper than ${this.#limits.maxDepth} levels`);
    }
    this.#depth++;
  }

  #array(count: number): unknown[] {
    this.#enter(count, 1);
    const array: unknown[] = [];
    this.#entries?.push(array, count);
    for (let index = 0; index < count; index++) array.push(this.#recorded(this.value()));
    this.#depth--;
    return array;
  }

  #object(count: number): Record<string, unknown> {
    this.#enter(count, 2);
    this.#keys += count;
    if (this.#keys > this.#limits.maxKeys)
      throw this.refusal(`there are more than ${this.#limits.maxKeys} keys`);
    const object: Record<string, unknown> = {};
    this.#entries?.push(object, count);
    for (let index = 0; index < count; index++) {
      const key = this.key();
      if (key === "__proto__") throw this.refusal("a key is __proto__");
      this.#entries?.push(key);
      if (!addOwn(object, key, this.#recorded(this.value()))) throw this.refusal("a key is duplicated");
    }
    this.#depth--;
    return object;
  }

  /** Plain objects and arrays record themselves, before what they contain. */
  #recorded(value: unknown): unknown {
    const entries = this.#entries;
    if (entries === null) return value;
    if (typeof value !== "object" || value === null) entries.push(value);
    else if (value instanceof Date) entries.push(value, dateSize, value.getTime());
    return value;
  }

  /** The map contains a value that a snapshot does not compare. */
  #stopRecording(): void {
    if (this.#entries === null) return;
    this.#entries.length = 0;
    this.#entries = null;
  }

  #extension(length: number): unknown {
    const type = this.#bytes.readInt8(this.#take(1));
    const start = this.#take(length);
    if (type !== extension.date) this.#stopRecording();
    switch (type) {
      case extension.date:
        this.#at = start;
        return this.#date(length);
      case extension.bigint:
        return this.#bigint(this.#ascii(start, this.#at));
      case extension.set:
        return this.#within(start, () => this.#set());
      case extension.map:
        return this.#within(start, () => this.#pairs());
      case extension.url:
        return this.#url(this.#wideString(start, this.#at));
      default:
        throw this.refusal(`extension ${type} is unknown`);
    }
  }

  /** Reads the payload that begins at `start` and ends here. */
  #within<T>(start: number, read: () => T): T {
    const end = this.#end;
    this.#end = this.#at;
    this.#at = start;
    const value = read();
    this.end();
    this.#end = end;
    return value;
  }

  /** A valid timestamp of whole milliseconds, in the shortest of its three forms. */
  #date(length: number): Date {
    let seconds: number;
    let nanoseconds = 0;
    let shortest = true;
    if (length === 4) {
      seconds = this.#unsigned(4);
    } else if (length === 8) {
      const high = this.#unsigned(4);
      nanoseconds = high >>> 2;
      seconds = (high & 3) * 2 ** 32 + this.#unsigned(4);
      shortest = nanoseconds > 0 || seconds >= 2 ** 32;
    } else if (length === 12) {
      nanoseconds = this.#unsigned(4);
      seconds = this.#signed() * 2 ** 32 + this.#unsigned(4);
      shortest = seconds < 0 || seconds >= 2 ** 34;
    } else {
      throw this.refusal("a date is malformed");
    }
    const date = new Date(seconds * 1000 + nanoseconds / 1_000_000);
    const whole = nanoseconds < 1_000_000_000 && nanoseconds % 1_000_000 === 0;
    if (!shortest || !whole || Number.isNaN(date.getTime())) throw this.refusal("a date is malformed");
    return date;
  }

  #bigint(text: string): bigint {
    if (!/^(?:0|-?[1-9][0-9]*)$/.test(text)) throw this.refusal("a bigint is malformed");
    return BigInt(text);
  }

  #url(text: string): URL {
    const url = URL.parse(text);
    if (url?.href !== text) throw this.refusal("a URL is malformed");
    return url;
  }

  #set(): Set<unknown> {
    const elements = this.#array(this.elements());
    const set = new Set(elements);
    if (set.size !== elements.length) throw this.refusal("a Set has a duplicate element");
    for (const element of elements) this.#distinct(element);
    return set;
  }

  #pairs(): Map<unknown, unknown> {
    const elements = this.#array(this.elements());
    if (elements.length % 2 !== 0) throw this.refusal("a Map has a key without a value");
    const map = new Map<unknown, unknown>();
    for (let index = 0; index < elements.length; index += 2) {
      map.set(this.#distinct(elements[index]), elements[index + 1]);
    }
    if (map.size !== elements.length / 2) throw this.refusal("a Map has a duplicate key");
    return map;
  }

  /** Sets and Maps normalize -0 to 0. */
  #distinct(element: unknown): unknown {
    if (Object.is(element, -0)) throw this.refusal("a Set or the keys of a Map have -0");
    return element;
  }
}
