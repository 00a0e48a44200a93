import { RubySymbol } from "./types.ts";

/** Where the data holds the flash. */
export const FLASH_KEY = "flash";
const known = new WeakMap<object, RailsFlash>();

/**
 * The flash of Rails, in a session's data: what one request leaves for the next.
 *
 * The first call in a request sweeps, as looking at `flash` in Rails does: what was left for this request is shown
 * and goes with its end, unless kept. A request that does not ask for the flash leaves it for the one after.
 * Calling again with the same data gives the same flash.
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
 * Made by {@link railsFlash}. Every change is in `data` at once, in the form that Rails stores, and touches there only
 * the flash it names: what another request left meanwhile, which a commit merges into `data`, stays.
 */
export class RailsFlash {
  readonly #data: Record<string, unknown>;
  readonly #shown: Map<string, unknown>;
  /** Those of {@link #shown} that end with this request, and so are not in `data`. */
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

  /** What was left for this request, or put here in it; undefined when there is nothing. */
  get(key: string): unknown {
    return this.#shown.get(key);
  }

  has(key: string): boolean {
    return this.#shown.has(key);
  }

  /** Everything that this request shows. */
  entries(): [string, unknown][] {
    return [...this.#shown];
  }

  /** Leaves a value for the next request; it shows in this one too. */
  set(key: string, value: unknown): void {
    this.#shown.set(key, value);
    this.#leave([key]);
  }

  /** Shows a value in this request only. */
  now(key: string, value: unknown): void {
    this.#shown.set(key, value);
    this.#drop([key]);
  }

  /** Leaves what is shown, or the one named, for the next request too. */
  keep(key?: string): void {
    this.#leave([...this.#discarded].filter((shown) => key === undefined || shown === key));
  }

  /** Does not leave what is here, or the one named, for the next request. */
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

/** What a session's data holds for the next request, without what Rails would sweep. */
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
 * Puts these flashes into the data in the form that Rails stores: it leaves out what is discarded, writes an empty
 * list of it, and no flash where nothing is left.
 */
export function withFlashes(data: Record<string, unknown>, flashes: [string, unknown][]): void {
  if (flashes.length === 0) delete data[FLASH_KEY];
  else data[FLASH_KEY] = { discard: [], flashes: asHash(flashes) };
}

/** A Hash of any of its kinds, by the text of its keys. */
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
