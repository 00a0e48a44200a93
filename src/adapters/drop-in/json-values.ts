import { addOwn } from "../../codec/own.ts";
import { cycle, pathText, type Step } from "../../codec/path.ts";
import { LimitError, ValueError } from "../../errors.ts";

/** Deeper than the codec allows: it reports the error for deeper values. */
const deepest = 64;

/**
 * Returns the own enumerable properties of an object as `JSON.stringify` would keep them, which applications of other
 * stores rely on: functions are omitted, `toJSON` is called, and instances of other classes become plain objects.
 * Values that these sessions support beyond JSON (Dates, Maps, Sets, URLs, bytes, bigints) are kept.
 *
 * An object referenced several times is copied once, so the work is proportional to the size of the data.
 * @param maxBytes rejects more values than fit in this many bytes
 * @throws {ValueError} a cycle, with the path to it
 * @throws {LimitError} too many values
 */
export function plainObject(value: object, maxBytes: number): Record<string, unknown> {
  return new PlainCopy(maxBytes).properties(value);
}

class PlainCopy {
  readonly #maxBytes: number;
  readonly #copies: Map<object, unknown> = new Map();
  /** The objects that contain the current value, with their positions in {@link #steps}. */
  readonly #ancestors: Map<object, number> = new Map();
  readonly #steps: Step[] = [];
  /** Nesting level of the current value. Results of `toJSON` have a level but no step. */
  #depth = 0;
  #left: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#left = maxBytes;
  }

  properties(value: object): Record<string, unknown> {
    const keys = Object.keys(value);
    this.#take(keys.length);
    const plain: Record<string, unknown> = {};
    for (const key of keys) {
      const item = this.#step(key, (value as Record<string, unknown>)[key]);
      if (item !== undefined) addOwn(plain, key, item);
    }
    return plain;
  }

  #value(value: unknown): unknown {
    if (typeof value === "function" || typeof value === "symbol") return undefined;
    if (typeof value !== "object" || value === null || this.#depth > deepest) return value;
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value;
    if (value instanceof Map || value instanceof Set || value instanceof URL || ArrayBuffer.isView(value))
      return value;
    if (this.#copies.has(value)) return this.#copies.get(value);
    const above = this.#ancestors.get(value);
    if (above !== undefined) throw this.#cycle(above);
    this.#ancestors.set(value, this.#steps.length);
    const copy = this.#object(value);
    this.#ancestors.delete(value);
    this.#copies.set(value, copy);
    return copy;
  }

  #object(value: object): unknown {
    if (Array.isArray(value)) {
      this.#take(value.length);
      return value.map((item, index) => this.#step(index, item) ?? null);
    }
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON !== "function") return this.properties(value);
    this.#take(1);
    return this.#below((toJSON as () => unknown).call(value));
  }

  #step(step: Step, value: unknown): unknown {
    this.#steps.push(step);
    const plain = this.#below(value);
    this.#steps.pop();
    return plain;
  }

  #below(value: unknown): unknown {
    this.#depth++;
    const plain = this.#value(value);
    this.#depth--;
    return plain;
  }

  #take(values: number): void {
    this.#left -= values;
    if (this.#left >= 0) return;
    throw new LimitError(
      "bytes",
      `The session has more than ${this.#maxBytes} values, the maximum for this maxBytes. Store less in it, or raise maxBytes.`,
    );
  }

  #cycle(above: number): ValueError {
    const path = pathText("data", this.#steps);
    const holder = pathText("data", this.#steps.slice(0, above));
    return new ValueError(path, `${path} ${cycle(holder)}`);
  }
}
