import { RubySymbol } from "./types.ts";

const KEY = "flash";
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

/** Made by {@link railsFlash}. Every change is in `data` at once, in the form that Rails stores. */
export class RailsFlash {
  readonly #data: Record<string, unknown>;
  readonly #flashes: Map<string, unknown>;
  readonly #discarded: Set<string>;

  constructor(data: Record<string, unknown>) {
    this.#data = data;
    const stored = pairs(data[KEY]);
    const discard = stored.get("discard");
    const gone = new Set(Array.isArray(discard) ? discard.map(name) : []);
    this.#flashes = new Map([...pairs(stored.get("flashes"))].filter(([key]) => !gone.has(key)));
    this.#discarded = new Set(this.#flashes.keys());
    this.#save();
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
    return this.#flashes.get(key);
  }

  has(key: string): boolean {
    return this.#flashes.has(key);
  }

  /** Everything that this request shows. */
  entries(): [string, unknown][] {
    return [...this.#flashes];
  }

  /** Leaves a value for the next request; it shows in this one too. */
  set(key: string, value: unknown): void {
    this.#flashes.set(key, value);
    this.#discarded.delete(key);
    this.#save();
  }

  /** Shows a value in this request only. */
  now(key: string, value: unknown): void {
    this.#flashes.set(key, value);
    this.#discarded.add(key);
    this.#save();
  }

  /** Leaves what is shown, or the one named, for the next request too. */
  keep(key?: string): void {
    for (const kept of key === undefined ? this.#flashes.keys() : [key]) this.#discarded.delete(kept);
    this.#save();
  }

  /** Does not leave what is here, or the one named, for the next request. */
  discard(key?: string): void {
    for (const dropped of key === undefined ? this.#flashes.keys() : [key]) this.#discarded.add(dropped);
    this.#save();
  }

  delete(key: string): void {
    this.#flashes.delete(key);
    this.#discarded.delete(key);
    this.#save();
  }

  clear(): void {
    this.#flashes.clear();
    this.#discarded.clear();
    this.#save();
  }

  /** Rails leaves out what is discarded, writes an empty list of it, and no flash where nothing is left. */
  #save(): void {
    withFlashes(
      this.#data,
      [...this.#flashes].filter(([key]) => !this.#discarded.has(key)),
    );
  }
}

/** What a session's data holds for the next request, without what Rails would sweep. */
export function flashesOf(data: Readonly<Record<string, unknown>>): [string, unknown][] {
  const stored = pairs(data[KEY]);
  const discard = stored.get("discard");
  const gone = new Set(Array.isArray(discard) ? discard.map(name) : []);
  return [...pairs(stored.get("flashes"))].filter(([key]) => !gone.has(key) && key !== "__proto__");
}

/** Puts these flashes into the data in the form that Rails stores. */
export function withFlashes(data: Record<string, unknown>, flashes: [string, unknown][]): void {
  if (flashes.length === 0) delete data[KEY];
  else data[KEY] = { discard: [], flashes: asHash(flashes) };
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
