import { types } from "node:util";
import { encodeDateToTimeSpec, encodeTimeSpecToTimestamp, ExtData } from "@msgpack/msgpack";
import { LimitError, ValueError } from "../errors.ts";
import { extension } from "./extensions.ts";
import type { Limits } from "./limits.ts";
import { addOwn } from "./own.ts";
import { negativeZero, pack } from "./pack.ts";
import { pathText, type Step } from "./path.ts";

const holds =
  "A session holds null, booleans, numbers, strings, bigints, Dates, URLs, Uint8Arrays, arrays, plain objects, Maps and Sets.";

const hrefOf = Object.getOwnPropertyDescriptor(URL.prototype, "href")!.get!;

/**
 * Turns one session's values into what MessagePack has natively, refusing everything that would not come back as it
 * was. The result is a copy: each property is read once, so that a getter or a proxy cannot show one value to the
 * check and another to the encoder. For one use.
 */
export class Lowering {
  readonly #limits: Limits;
  readonly #steps: Step[] = [];
  readonly #ancestors: object[] = [];
  #root = "";
  #depth = 0;
  #keys = 0;
  /** Never more than the bytes that the values so far will take. */
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
  value(value: unknown, root: string): unknown {
    return this.#reading(root, () => this.#value(value));
  }

  /** As {@link value}, for what must be a plain object. */
  map(value: unknown, root: string): Record<string, unknown> {
    return this.#reading(root, () => {
      if (typeof value !== "object" || value === null || Array.isArray(value) || !isPlain(value)) {
        throw this.#refusal("must be a plain object.");
      }
      return this.#plainObject(value);
    });
  }

  /** As {@link value}, for what must be a string with something in it. */
  name(value: unknown, root: string): string {
    return this.#reading(root, () => {
      if (typeof value !== "string" || value === "")
        throw this.#refusal("must be a string that is not empty.");
      return this.#text(value);
    });
  }

  #reading<T>(root: string, lower: () => T): T {
    this.#root = root;
    try {
      return lower();
    } catch (cause) {
      if (cause === this.#problem) throw cause;
      throw this.#refusal(
        "cannot be read: a getter or a proxy threw an error, which is the cause of this one.",
        cause,
      );
    }
  }

  #value(value: unknown): unknown {
    switch (typeof value) {
      case "string":
        return this.#text(value);
      case "number":
        this.#grow(1);
        if (value === 0) return Object.is(value, -0) ? negativeZero : 0;
        // NaN has many bit patterns; the literal has always the same, so that equal values are equal bytes
        return Number.isNaN(value) ? NaN : value;
      case "object":
        if (value !== null) return this.#object(value);
        this.#grow(1);
        return null;
      case "boolean":
        this.#grow(1);
        return value;
      case "undefined":
        this.#grow(1);
        return null;
      case "bigint":
        return this.#bigint(value);
      default:
        throw this.#refusal(`is a ${typeof value}. ${holds}`);
    }
  }

  #text(value: string): string {
    this.#grow(value.length + 1);
    if (!value.isWellFormed()) {
      throw this.#refusal(
        "holds a lone surrogate, half of a character. Use toWellFormed() on text that was cut.",
      );
    }
    return value;
  }

  #bigint(value: bigint): ExtData {
    // Four bits a digit is more than any digit needs; asked first, because the text of a huge one takes long to make
    const { maxBytes } = this.#limits;
    if (BigInt.asIntN(maxBytes * 4 + 8, value) !== value) throw this.#tooLarge(maxBytes + 1);
    return this.#extension(extension.bigint, Buffer.from(String(value)));
  }

  #object(value: object): unknown {
    if (Array.isArray(value)) return this.#array(value);
    if (isPlain(value)) return this.#plainObject(value);
    if (types.isUint8Array(value)) {
      if (!isInstance(value, Uint8Array) && !isInstance(value, Buffer))
        throw this.#subclass(value, "Uint8Array");
      return this.#binary(value);
    }
    if (types.isDate(value)) {
      this.#asIs(value, Date);
      const time = Date.prototype.getTime.call(value);
      if (Number.isNaN(time)) throw this.#refusal("is an invalid Date. Store null, or a date that exists.");
      return this.#extension(extension.date, encodeTimeSpecToTimestamp(encodeDateToTimeSpec(new Date(time))));
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

  #plainObject(value: object): Record<string, unknown> {
    const keys = Object.keys(value);
    if (Object.getOwnPropertySymbols(value).length > 0) {
      throw this.#refusal("has a symbol as a key. Keys are strings.");
    }
    this.#enter(value);
    const lowered: Record<string, unknown> = {};
    for (const key of keys) {
      this.#steps[this.#depth - 1] = key;
      if (key === "__proto__")
        throw this.#refusal("is a key that sessions do not store: it could reach a prototype.");
      const item = (value as Record<string, unknown>)[key];
      if (item === undefined) continue;
      if (++this.#keys > this.#limits.maxKeys) throw this.#tooMany();
      addOwn(lowered, this.#text(key), this.#value(item));
    }
    this.#depth--;
    return lowered;
  }

  #array(value: readonly unknown[]): unknown[] {
    if (!isInstance(value, Array)) throw this.#subclass(value, "Array");
    const { length } = value;
    // before the loop, because an array may be long without holding anything
    if (this.#bytes + length > this.#limits.maxBytes) throw this.#tooLarge(this.#bytes + length);
    const last = Object.keys(value).at(-1);
    if (last !== undefined && String(Number(last) >>> 0) !== last) throw this.#extra();
    this.#enter(value);
    const lowered: unknown[] = [];
    for (let index = 0; index < length; index++) {
      this.#steps[this.#depth - 1] = index;
      lowered.push(this.#value(value[index]));
    }
    this.#depth--;
    return lowered;
  }

  #binary(value: Uint8Array): Uint8Array {
    const copy = new Uint8Array(value);
    this.#grow(copy.length + 2);
    return copy;
  }

  #mapEntries(value: ReadonlyMap<unknown, unknown>): ExtData {
    const entries = [...Map.prototype.entries.call(value)] as [unknown, unknown][];
    this.#enter(value);
    const lowered: unknown[] = [];
    for (const [index, [key, item]] of entries.entries()) {
      this.#steps[this.#depth - 1] = { of: "keys", key, index };
      lowered.push(this.#distinct(key));
      this.#steps[this.#depth - 1] = { of: "get", key, index };
      lowered.push(this.#value(item));
    }
    this.#depth--;
    return this.#extension(extension.map, pack(lowered));
  }

  #setElements(value: ReadonlySet<unknown>): ExtData {
    const elements = [...Set.prototype.values.call(value)] as unknown[];
    this.#enter(value);
    const lowered: unknown[] = [];
    for (const [index, element] of elements.entries()) {
      this.#steps[this.#depth - 1] = { of: "values", key: element, index };
      lowered.push(this.#distinct(element));
    }
    this.#depth--;
    return this.#extension(extension.set, pack(lowered));
  }

  /** An element of a Set or a key of a Map: undefined would turn into null, and two of them into one. */
  #distinct(value: unknown): unknown {
    if (value === undefined)
      throw this.#refusal("is undefined, which a Set or the keys of a Map cannot store.");
    return this.#value(value);
  }

  #url(value: URL): ExtData {
    const href = hrefOf.call(value) as string;
    if (URL.parse(href)?.href !== href)
      throw this.#refusal("is a URL that does not survive being written as text.");
    return this.#extension(extension.url, Buffer.from(href));
  }

  #extension(type: number, payload: Uint8Array): ExtData {
    this.#grow(2);
    return new ExtData(type, payload);
  }

  /** Of exactly this class, and carrying nothing that would be left behind. */
  #asIs(value: object, type: { readonly prototype: object; readonly name: string }): void {
    if (!isInstance(value, type)) throw this.#subclass(value, type.name);
    if (Object.keys(value).length > 0) throw this.#extra();
  }

  #enter(container: object): void {
    for (let depth = 0; depth < this.#depth; depth++) {
      if (this.#ancestors[depth] === container) throw this.#refusal("is a cycle: it is inside itself.");
    }
    if (this.#depth === this.#limits.maxDepth) throw this.#tooDeep();
    this.#ancestors[this.#depth++] = container;
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#limits.maxBytes) throw this.#tooLarge(this.#bytes);
  }

  #path(): string {
    return pathText(this.#root, this.#steps.slice(0, this.#depth));
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
    return (this.#problem = tooLarge(bytes, this.#limits.maxBytes, "at least "));
  }

  #tooDeep(): Error {
    return (this.#problem = new LimitError(
      "depth",
      `${this.#path()} lies deeper than ${this.#limits.maxDepth} levels. Store flatter data.`,
    ));
  }

  #tooMany(): Error {
    return (this.#problem = new LimitError(
      "keys",
      `The session has more than ${this.#limits.maxKeys} keys, the one too many being ${this.#path()}. Store less in it.`,
    ));
  }
}

/** @param about `at least ` when the counting stopped there */
export function tooLarge(bytes: number, maxBytes: number, about: "" | "at least "): LimitError {
  return new LimitError(
    "bytes",
    `The session takes ${about}${bytes} bytes, and maxBytes is ${maxBytes}. Store less in it, or raise maxBytes.`,
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
