import { types } from "node:util";
import { LimitError, ValueError } from "../errors.ts";
import { extension } from "./extensions.ts";
import type { Limits } from "./limits.ts";
import { Output } from "./output.ts";
import { cycle, pathText, type Step } from "./path.ts";

const holds =
  "A session holds null, booleans, numbers, strings, bigints, Dates, URLs, Uint8Arrays, arrays, plain objects, Maps and Sets.";

const hrefOf = Object.getOwnPropertyDescriptor(URL.prototype, "href")!.get!;

/** A buffer that grew beyond this is not kept for the next session. */
const keptSize = 262_144;

/**
 * Writes the values of one session, refusing everything that would not come back as it was. Each property is read
 * once, so that a getter or a proxy cannot show one value to the check and another to the encoder.
 *
 * It can be used again after {@link finish}. After an error it cannot.
 */
export class Writer {
  readonly #limits: Limits;
  readonly #output = new Output();
  readonly #steps: Step[] = [];
  readonly #ancestors: (object | undefined)[] = [];
  #root = "";
  #depth = 0;
  #keys = 0;
  /** Keys without a value, which take no bytes but do take work. */
  #skipped = 0;
  /** Never more than the bytes that the values so far take. */
  #bytes = 0;
  #problem: Error | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /**
   * @param root how errors call the value: `data`, `flash`
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
   * As {@link value}, for what must be a plain object.
   * @returns how many keys were written
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

  /** A pair: `data`, and a map of the user, if there is one, and of the flash, if there is anything in it. */
  content(data: unknown, user: unknown, flash: unknown): void {
    const output = this.#output;
    output.array(2);
    this.map(data, "data");
    const start = output.length;
    const count = user === undefined ? 1 : 2;
    output.map(count);
    if (user !== undefined) this.#user(user);
    const end = output.length;
    output.text("f");
    if (this.map(flash, "flash") > 0) return;
    output.rewind(end);
    output.recount(start, count, count - 1);
  }

  /**
   * The bytes of all that was written.
   * @throws {LimitError} too large
   */
  finish(): Uint8Array {
    const output = this.#output;
    const { maxBytes } = this.#limits;
    if (output.length > maxBytes) throw tooLarge(output.length, maxBytes);
    const bytes = output.copy();
    output.rewind();
    this.#keys = 0;
    this.#skipped = 0;
    this.#bytes = 0;
    return bytes;
  }

  /** Whether keeping this for another session takes little memory. */
  get isSmall(): boolean {
    return this.#output.size <= keptSize;
  }

  #user(user: unknown): void {
    this.#output.text("u");
    this.#root = "user";
    if (typeof user !== "string" || user === "") throw this.#refusal("must be a string that is not empty.");
    this.#text(user);
  }

  #explained(cause: unknown): unknown {
    if (cause === this.#problem) return cause;
    return this.#refusal(
      "cannot be read: a getter or a proxy threw an error, which is the cause of this one.",
      cause,
    );
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
      throw this.#refusal(
        "holds a lone surrogate, half of a character. Use toWellFormed() on text that was cut.",
      );
    }
  }

  #bigint(value: bigint): void {
    // Four bits a digit is more than any digit needs; asked first, because the text of a huge one takes long to make
    const { maxBytes } = this.#limits;
    if (BigInt.asIntN(maxBytes * 4 + 8, value) !== value) throw this.#tooLarge(maxBytes + 1);
    this.#textExtension(extension.bigint, String(value));
  }

  #object(value: object): void {
    if (Array.isArray(value)) return this.#array(value);
    if (isPlain(value)) return void this.#plainObject(value);
    if (types.isUint8Array(value)) {
      if (!isInstance(value, Uint8Array) && !isInstance(value, Buffer))
        throw this.#subclass(value, "Uint8Array");
      return this.#binary(value);
    }
    if (types.isDate(value)) {
      this.#asIs(value, Date);
      return this.#date(value);
    }
    if (types.isMap(value)) {
      this.#asIs(value, Map);
      return this.#mapEntries(value);
    }
    if (types.isSet(value)) {
      this.#asIs(value, Set);
      return this.#setElements(value);
    }
    if (value instanceof URL) {
      this.#asIs(value, URL);
      return this.#url(value);
    }
    throw this.#refusal(`is ${described(value)}. ${holds}`);
  }

  /** @returns how many keys were written */
  #plainObject(value: object): number {
    const keys = Object.keys(value);
    if (Object.getOwnPropertySymbols(value).length > 0) {
      throw this.#refusal("has a symbol as a key. Keys are strings.");
    }
    this.#enter(value);
    const start = this.#output.length;
    this.#output.map(keys.length);
    let count = 0;
    for (const key of keys) {
      this.#steps[this.#depth - 1] = key;
      if (key === "__proto__")
        throw this.#refusal("is a key that sessions do not store: it could reach a prototype.");
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
    // before the loop, because an array may be long without holding anything
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
    // its length is that of a copy, whatever it says of itself
    const copy = new Uint8Array(value);
    this.#grow(copy.length + 2);
    this.#output.binary(copy);
  }

  #date(value: Date): void {
    const time = Date.prototype.getTime.call(value);
    if (Number.isNaN(time)) throw this.#refusal("is an invalid Date. Store null, or a date that exists.");
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

  /** An element of a Set or a key of a Map: undefined would turn into null, and two of them into one. */
  #distinct(value: unknown): void {
    if (value === undefined)
      throw this.#refusal("is undefined, which a Set or the keys of a Map cannot store.");
    this.#value(value);
  }

  #url(value: URL): void {
    const href = hrefOf.call(value) as string;
    if (URL.parse(href)?.href !== href)
      throw this.#refusal("is a URL that does not survive being written as text.");
    this.#textExtension(extension.url, href);
  }

  #textExtension(type: number, text: string): void {
    // Long ones are counted before they are written. A short one is checked with what follows it, so that an error
    // about it gives the exact size.
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

  /** Of exactly this class, and carrying nothing that would be left behind. */
  #asIs(value: object, type: { readonly prototype: object; readonly name: string }): void {
    if (!isInstance(value, type)) throw this.#subclass(value, type.name);
    if (Object.keys(value).length > 0) throw this.#extra();
  }

  #enter(container: object): void {
    for (let depth = 0; depth < this.#depth; depth++) {
      if (this.#ancestors[depth] === container) throw this.#refusal(cycle(this.#path(depth)));
    }
    if (this.#depth === this.#limits.maxDepth) throw this.#tooDeep();
    // a container that is reached by many ways is written, and counted, once for each of them
    this.#grow(1);
    this.#ancestors[this.#depth++] = container;
  }

  /** Nothing of the session is held on to, for this object is kept. */
  #leave(): void {
    this.#depth--;
    this.#ancestors[this.#depth] = undefined;
    this.#steps[this.#depth] = 0;
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#limits.maxBytes) throw this.#tooLarge(this.#bytes);
  }

  /** An object that is reached by many ways costs a look at each of its keys every time, stored or not. */
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
    return this.#refusal(`is ${described(value)}, a kind of ${of} of its own. ${holds}`);
  }

  #extra(): Error {
    return this.#refusal("carries properties of its own that would be lost. Store them beside it.");
  }

  #tooLarge(bytes: number): Error {
    return (this.#problem = tooLarge(bytes, this.#limits.maxBytes, this.#path()));
  }

  #tooDeep(): Error {
    const path = this.#path();
    return (this.#problem = new LimitError(
      "depth",
      `${path} lies deeper than ${this.#limits.maxDepth} levels. Store flatter data.`,
      path,
    ));
  }

  #tooMany(): Error {
    const path = this.#path();
    return (this.#problem = new LimitError(
      "keys",
      `The session has more than ${this.#limits.maxKeys} keys, the one too many being ${path}. Store less in it.`,
      path,
    ));
  }
}

/** @param path where the counting stopped; undefined when `bytes` are all that there are */
function tooLarge(bytes: number, maxBytes: number, path?: string): LimitError {
  const counted = path === undefined ? `${bytes} bytes` : `at least ${bytes} bytes, counted up to ${path}`;
  return new LimitError(
    "bytes",
    `The session takes ${counted}, and maxBytes is ${maxBytes}. Store less in it, or raise maxBytes.`,
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

/** `a RegExp`, `an instance of Basket`: by the name of the class, where it has a readable one. */
function described(value: object): string {
  const { constructor } = value as { constructor?: unknown };
  const name = typeof constructor === "function" ? constructor.name : "";
  return /^[\w$]{1,64}$/.test(name) ? `an instance of ${name}` : "an instance of a class";
}
