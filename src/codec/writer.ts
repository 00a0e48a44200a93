/**
 * Longer than 300 lines: one class checks and writes a value in a single pass, and splitting it would expose its private
 * state on the hottest path of a request (decisions/0014).
 */
import { isDate, isMap, isSet, isUint8Array } from "node:util/types";
import { LimitError, ValueError } from "../errors.ts";
import type { Authentication } from "./authentication.ts";
import { extension } from "./extensions.ts";
import type { Limits } from "./limits.ts";
import { Output } from "./output.ts";
import { cycle, pathText, type Step } from "./path.ts";

const holds =
  "A session holds null, booleans, numbers, strings, bigints, Dates, URLs, Uint8Arrays, arrays, plain objects, Maps and Sets.";

const hrefOf = Object.getOwnPropertyDescriptor(URL.prototype, "href")!.get!;

/** The content of a session, whatever its parts are. */
interface AnyContent {
  readonly data: unknown;
  readonly user: unknown;
  readonly flash: unknown;
  readonly authentication?: Authentication | undefined;
  readonly device?: unknown;
}

/** A buffer larger than this is not reused. */
const keptSize = 262_144;

/**
 * Encodes the values of a session and rejects values that would not round-trip. Each property is read once, so that a getter
 * or proxy cannot present different values to validation and encoding.
 *
 * Reusable after {@link finish}, but not after an error.
 */
export class Writer {
  readonly #limits: Limits;
  readonly #output = new Output();
  readonly #steps: Step[] = [];
  readonly #ancestors: (object | undefined)[] = [];
  #root = "";
  #depth = 0;
  #keys = 0;
  /** Number of keys with the value undefined: they take no bytes, but cost time. */
  #skipped = 0;
  /** Lower bound of the encoded size so far. */
  #bytes = 0;
  #problem: Error | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /**
   * @param root the name of the value in errors: `data`, `flash`
   * @throws {ValueError} a value that cannot be stored
   * @throws {LimitError} too large, too deep, too many keys
   */
  value(value: unknown, root: string): void {
    this.#root = root;
    try {
      this.#value(value);
    } catch (cause) {
      throw this.#explained(cause);
    }
  }

  /**
   * Like {@link value}, but requires a plain object.
   * @returns the number of keys written
   */
  map(value: unknown, root: string): number {
    this.#root = root;
    try {
      if (typeof value !== "object" || value === null || Array.isArray(value) || !isPlain(value)) {
        throw this.#refusal("must be a plain object.");
      }
      return this.#plainObject(value);
    } catch (cause) {
      throw this.#explained(cause);
    }
  }

  /** Writes `data`, and a map of user, authentication, device and flash, each omitted if empty (docs/formats.md). */
  content({ data, user, flash, authentication, device }: AnyContent): void {
    const output = this.#output;
    const hasDevice = device !== undefined && user !== undefined;
    const hasAuthentication = authentication !== undefined && user !== undefined;
    const isFirst = !hasDevice && !hasAuthentication;
    output.array(isFirst ? 2 : 3);
    if (!isFirst) output.number(hasDevice ? 4 : authentication?.links ? 3 : 2);
    this.map(data, "data");
    const start = output.length;
    const count = 1 + Number(user !== undefined) + Number(hasAuthentication) + Number(hasDevice);
    output.map(count);
    if (user !== undefined) this.#user(user);
    if (hasAuthentication) this.#internal("a", authentication, "authentication");
    if (hasDevice) this.#internal("d", device, "device");
    const end = output.length;
    output.text("f");
    if (this.map(flash, "flash") > 0) return;
    output.rewind(end);
    output.recount(start, count, count - 1);
  }

  #internal(key: string, value: unknown, name: string): void {
    this.#output.text(key);
    this.map(value, name);
  }

  /**
   * Returns the encoded bytes.
   * @throws {LimitError} too large
   */
  finish(): Uint8Array {
    this.#assertSize();
    const bytes = this.#output.copy();
    this.#reset();
    return bytes;
  }

  /**
   * Like {@link finish}, but returns only whether these are the encoded bytes.
   * @throws {LimitError} too large
   */
  finishAs(bytes: Uint8Array): boolean {
    this.#assertSize();
    const isSame = this.#output.equals(bytes);
    this.#reset();
    return isSame;
  }

  #assertSize(): void {
    const { length } = this.#output;
    const { maxBytes } = this.#limits;
    if (length > maxBytes) throw tooLarge(length, maxBytes);
  }

  #reset(): void {
    this.#output.rewind();
    this.#keys = 0;
    this.#skipped = 0;
    this.#bytes = 0;
  }

  /** Whether the buffer is small enough to keep for reuse. */
  get isSmall(): boolean {
    return this.#output.size <= keptSize;
  }

  #user(user: unknown): void {
    this.#output.text("u");
    this.#root = "user";
    if (typeof user !== "string" || user === "") throw this.#refusal("must be a non-empty string.");
    this.#text(user);
  }

  #explained(cause: unknown): unknown {
    if (cause === this.#problem) return cause;
    return this.#refusal("cannot be read: a getter or proxy threw an error. See `cause`.", cause);
  }

  #value(value: unknown): void {
    switch (typeof value) {
      case "string":
        return this.#text(value);
      case "number":
        this.#grow(1);
        return this.#output.number(value);
      case "object":
        if (value !== null) return this.#object(value);
        this.#grow(1);
        return this.#output.null();
      case "boolean":
        this.#grow(1);
        return this.#output.boolean(value);
      case "undefined":
        this.#grow(1);
        return this.#output.null();
      case "bigint":
        return this.#bigint(value);
      default:
        throw this.#refusal(`is a ${typeof value}. ${holds}`);
    }
  }

  #text(value: string): void {
    this.#grow(value.length + 1);
    if (!this.#output.text(value)) {
      throw this.#refusal("contains a lone surrogate, as truncated text can. Repair it with toWellFormed().");
    }
  }

  #bigint(value: bigint): void {
    // A decimal digit takes less than four bits. Check first: converting a huge bigint to text is slow.
    const { maxBytes } = this.#limits;
    if (BigInt.asIntN(maxBytes * 4 + 8, value) !== value) throw this.#tooLarge(maxBytes + 1);
    this.#textExtension(extension.bigint, String(value));
  }

  #object(value: object): void {
    if (Array.isArray(value)) return this.#array(value);
    if (isPlain(value)) return void this.#plainObject(value);
    if (isUint8Array(value)) {
      if (!isInstance(value, Uint8Array) && !isInstance(value, Buffer))
        throw this.#subclass(value, "Uint8Array");
      return this.#binary(value);
    }
    if (isDate(value)) {
      this.#asIs(value, Date);
      return this.#date(value);
    }
    if (isMap(value)) {
      this.#asIs(value, Map);
      return this.#mapEntries(value);
    }
    if (isSet(value)) {
      this.#asIs(value, Set);
      return this.#setElements(value);
    }
    if (value instanceof URL) {
      this.#asIs(value, URL);
      return this.#url(value);
    }
    throw this.#refusal(`is ${described(value)}. ${holds}`);
  }

  /** @returns the number of keys written */
  #plainObject(value: object): number {
    const keys = Object.keys(value);
    if (Object.getOwnPropertySymbols(value).length > 0) {
      throw this.#refusal("has a symbol as a key. Keys must be strings.");
    }
    this.#enter(value);
    const start = this.#output.length;
    this.#output.map(keys.length);
    let count = 0;
    for (const key of keys) {
      this.#steps[this.#depth - 1] = key;
      if (key === "__proto__")
        throw this.#refusal("is not allowed as a key: it could cause prototype pollution.");
      const item = (value as Record<string, unknown>)[key];
      if (item === undefined) {
        this.#skip();
        continue;
      }
      if (++this.#keys > this.#limits.maxKeys) throw this.#tooMany();
      count++;
      this.#text(key);
      this.#value(item);
    }
    if (count !== keys.length) this.#output.recount(start, keys.length, count);
    this.#leave();
    return count;
  }

  #array(value: readonly unknown[]): void {
    if (!isInstance(value, Array)) throw this.#subclass(value, "Array");
    const { length } = value;
    // Check before the loop: a sparse array may be very long.
    if (this.#bytes + length > this.#limits.maxBytes) throw this.#tooLarge(this.#bytes + length);
    const last = Object.keys(value).at(-1);
    if (last !== undefined && String(Number(last) >>> 0) !== last) throw this.#extra();
    this.#enter(value);
    this.#output.array(length);
    for (let index = 0; index < length; index++) {
      this.#steps[this.#depth - 1] = index;
      this.#value(value[index]);
    }
    this.#leave();
  }

  #binary(value: Uint8Array): void {
    // Copy first: `length` of the original may be overridden.
    const copy = new Uint8Array(value);
    this.#grow(copy.length + 2);
    this.#output.binary(copy);
  }

  #date(value: Date): void {
    const time = Date.prototype.getTime.call(value);
    if (Number.isNaN(time)) throw this.#refusal("is an invalid Date. Store null or a valid date.");
    this.#grow(2);
    this.#output.timestamp(time);
  }

  #mapEntries(value: ReadonlyMap<unknown, unknown>): void {
    const entries = [...Map.prototype.entries.call(value)] as [unknown, unknown][];
    this.#enter(value);
    const start = this.#output.length;
    this.#output.array(entries.length * 2);
    for (const [index, [key, item]] of entries.entries()) {
      this.#steps[this.#depth - 1] = { of: "keys", key, index };
      this.#distinct(key);
      this.#steps[this.#depth - 1] = { of: "get", key, index };
      this.#value(item);
    }
    this.#leave();
    this.#extension(start, extension.map);
  }

  #setElements(value: ReadonlySet<unknown>): void {
    const elements = [...Set.prototype.values.call(value)] as unknown[];
    this.#enter(value);
    const start = this.#output.length;
    this.#output.array(elements.length);
    for (const [index, element] of elements.entries()) {
      this.#steps[this.#depth - 1] = { of: "values", key: element, index };
      this.#distinct(element);
    }
    this.#leave();
    this.#extension(start, extension.set);
  }

  /** An element of a Set or a key of a Map. undefined would become null and could then collide with null. */
  #distinct(value: unknown): void {
    if (value === undefined)
      throw this.#refusal("is undefined, which cannot be stored in a Set or as a key of a Map.");
    this.#value(value);
  }

  #url(value: URL): void {
    const href = hrefOf.call(value) as string;
    if (URL.parse(href)?.href !== href)
      throw this.#refusal("is a URL that changes when it is serialized and parsed again.");
    this.#textExtension(extension.url, href);
  }

  #textExtension(type: number, text: string): void {
    // Count long text before writing it. Count short text afterwards, so that the error reports the exact size.
    const isLong = text.length > 1_024;
    if (isLong) this.#grow(text.length);
    const start = this.#output.length;
    this.#output.payload(text);
    this.#extension(start, type);
    if (!isLong) this.#bytes += text.length;
  }

  #extension(start: number, type: number): void {
    this.#grow(2);
    this.#output.extension(start, type);
  }

  /** Asserts that the value is of exactly this class and has no extra properties, which would be lost. */
  #asIs(value: object, type: { readonly prototype: object; readonly name: string }): void {
    if (!isInstance(value, type)) throw this.#subclass(value, type.name);
    if (Object.keys(value).length > 0) throw this.#extra();
  }

  #enter(container: object): void {
    for (let depth = 0; depth < this.#depth; depth++) {
      if (this.#ancestors[depth] === container) throw this.#refusal(cycle(this.#path(depth)));
    }
    if (this.#depth === this.#limits.maxDepth) throw this.#tooDeep();
    // A container with several references is written, and counted, once per reference.
    this.#grow(1);
    this.#ancestors[this.#depth++] = container;
  }

  /** Clears references, because this writer is reused and must not keep session values alive. */
  #leave(): void {
    this.#depth--;
    this.#ancestors[this.#depth] = undefined;
    this.#steps[this.#depth] = 0;
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#limits.maxBytes) throw this.#tooLarge(this.#bytes);
  }

  /** Limits skipped keys too: an object with many references costs time for each of its keys, stored or not. */
  #skip(): void {
    const { maxKeys, maxBytes } = this.#limits;
    if (++this.#skipped > Math.max(maxKeys, maxBytes)) throw this.#tooMany();
  }

  #path(depth: number = this.#depth): string {
    return pathText(this.#root, this.#steps.slice(0, depth));
  }

  #refusal(message: string, cause?: unknown): Error {
    const path = this.#path();
    return (this.#problem = new ValueError(path, `${path} ${message}`, { cause }));
  }

  #subclass(value: object, of: string): Error {
    return this.#refusal(`is ${described(value)}, a subclass of ${of}. ${holds}`);
  }

  #extra(): Error {
    return this.#refusal("has extra properties, which would be lost. Store them separately.");
  }

  #tooLarge(bytes: number): Error {
    return (this.#problem = tooLarge(bytes, this.#limits.maxBytes, this.#path()));
  }

  #tooDeep(): Error {
    const path = this.#path();
    return (this.#problem = new LimitError(
      "depth",
      `${path} is nested deeper than ${this.#limits.maxDepth} levels. Store flatter data.`,
      path,
    ));
  }

  #tooMany(): Error {
    const path = this.#path();
    return (this.#problem = new LimitError(
      "keys",
      `The session has more than ${this.#limits.maxKeys} keys; ${path} exceeds the limit. Store less in it.`,
      path,
    ));
  }
}

/** @param path where counting stopped. Undefined if `bytes` is the total */
function tooLarge(bytes: number, maxBytes: number, path?: string): LimitError {
  const counted = path === undefined ? `${bytes} bytes` : `at least ${bytes} bytes, counted up to ${path}`;
  return new LimitError(
    "bytes",
    `The session takes ${counted}, over the limit of ${maxBytes} (maxBytes). Store less in it, or raise maxBytes.`,
    path,
  );
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isInstance(value: object, type: { readonly prototype: object }): boolean {
  return Object.getPrototypeOf(value) === type.prototype;
}

/** For example `an instance of Basket`: uses the name of the class if it is readable. */
function described(value: object): string {
  const { constructor } = value as { constructor?: unknown };
  const name = typeof constructor === "function" ? constructor.name : "";
  return /^[\w$]{1,64}$/.test(name) ? `an instance of ${name}` : "an instance of a class";
}
