import { RubySymbol } from "./types.ts";

/** The key of the flash in the data. */
export const FLASH_KEY = "flash";
const known = new WeakMap<object, RailsFlash>();

/**
 * The Rails flash in a session's data: values for the next request.
 *
 * The first call in a request sweeps the flash, as accessing `flash` in Rails does: values from the previous request
 * are available in this request and then removed, unless kept. A request that does not call this leaves the flash for
 * the next one. Calling it again with the same data returns the same flash.
 */
export function railsFlash(data: Record<string, unknown>): RailsFlash {
  let flash = known.get(data);
  if (flash === undefined) {
    flash = new RailsFlash(data);
    known.set(data, flash);
  }
  return flash;
}

/**
 * Returned by {@link railsFlash}. Every change is written to `data` at once, in the form that Rails stores, and affects
 * only the named value: values that another request stored meanwhile, which a commit merges into `data`, stay.
 */
export class RailsFlash {
  readonly #data: Record<string, unknown>;
  readonly #shown: Map<string, unknown>;
  /** Those of {@link #shown} that end with this request and are therefore not in `data`. */
  readonly #discarded: Set<string>;

  constructor(data: Record<string, unknown>) {
    this.#data = data;
    this.#shown = storedIn(data);
    this.#discarded = new Set(this.#shown.keys());
    withFlashes(data, []);
  }

  get notice(): unknown {
    return this.get("notice");
  }

  set notice(value: unknown) {
    this.set("notice", value);
  }

  get alert(): unknown {
    return this.get("alert");
  }

  set alert(value: unknown) {
    this.set("alert", value);
  }

  /** Returns a value from the previous request or set in this one. Undefined if there is none. */
  get(key: string): unknown {
    return this.#shown.get(key);
  }

  has(key: string): boolean {
    return this.#shown.has(key);
  }

  /** All values available in this request. */
  entries(): [string, unknown][] {
    return [...this.#shown];
  }

  /** Sets a value for this request and the next. */
  set(key: string, value: unknown): void {
    this.#shown.set(key, value);
    this.#leave([key]);
  }

  /** Sets a value for this request only. */
  now(key: string, value: unknown): void {
    this.#shown.set(key, value);
    this.#drop([key]);
  }

  /** Keeps all values, or the named one, for the next request. */
  keep(key?: string): void {
    this.#leave([...this.#discarded].filter((shown) => key === undefined || shown === key));
  }

  /** Discards all values, or the named one, at the end of this request. */
  discard(key?: string): void {
    this.#drop(key === undefined ? [...this.#shown.keys()] : [key]);
  }

  delete(key: string): void {
    this.#drop([key]);
    this.#shown.delete(key);
    this.#discarded.delete(key);
  }

  clear(): void {
    this.discard();
    this.#shown.clear();
    this.#discarded.clear();
  }

  #leave(keys: readonly string[]): void {
    const stored = storedIn(this.#data);
    for (const key of keys) {
      this.#discarded.delete(key);
      stored.set(key, this.#shown.get(key));
    }
    withFlashes(this.#data, [...stored]);
  }

  #drop(keys: readonly string[]): void {
    const stored = storedIn(this.#data);
    for (const key of keys) {
      if (this.#shown.has(key)) this.#discarded.add(key);
      stored.delete(key);
    }
    withFlashes(this.#data, [...stored]);
  }
}

/** Returns the flash stored for the next request, without values that Rails would sweep. */
export function flashesOf(data: Readonly<Record<string, unknown>>): [string, unknown][] {
  return [...storedIn(data)].filter(([key]) => key !== "__proto__");
}

function storedIn(data: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const stored = pairs(data[FLASH_KEY]);
  const discard = stored.get("discard");
  const gone = new Set(Array.isArray(discard) ? discard.map(name) : []);
  return new Map([...pairs(stored.get("flashes"))].filter(([key]) => !gone.has(key)));
}

/**
 * Writes the flash to the data in the form that Rails stores: without discarded values, with an empty list of them, and
 * no flash at all if nothing is left.
 */
export function withFlashes(data: Record<string, unknown>, flashes: [string, unknown][]): void {
  if (flashes.length === 0) delete data[FLASH_KEY];
  else data[FLASH_KEY] = { discard: [], flashes: asHash(flashes) };
}

/** Reads any kind of Hash, by the text of its keys. */
function pairs(hash: unknown): Map<string, unknown> {
  if (hash instanceof Map) {
    return new Map([...(hash as Map<unknown, unknown>)].map(([key, value]) => [name(key), value]));
  }
  const plain = typeof hash === "object" && hash !== null && !Array.isArray(hash);
  return new Map(plain ? Object.entries(hash) : []);
}

function name(key: unknown): string {
  return key instanceof RubySymbol ? key.name : String(key);
}

function asHash(entries: [string, unknown][]): Record<string, unknown> | Map<string, unknown> {
  return entries.some(([key]) => key === "__proto__") ? new Map(entries) : Object.fromEntries(entries);
}
