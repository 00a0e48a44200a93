/** Ids of one generation. Two are kept. */
const GENERATION = 5_000;
const minute = 60_000;

/**
 * Ids that this process saw alive and then found ended, each for a minute, at most 10,000. A request that reloads its
 * session after a logout must not recreate it under the same id.
 */
export class EndedIds {
  /** By name: when the session was found ended, or null if it was alive when last seen. */
  #young = new Map<string, number | null>();
  #old = new Map<string, number | null>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  alive(name: string): void {
    if (this.#young.get(name) !== null) this.#note(name, null);
  }

  /** An id that was never seen alive is new and may be used. */
  gone(name: string): void {
    const since = this.#find(name);
    if (since !== undefined) this.#note(name, since ?? this.#now());
  }

  has(name: string): boolean {
    const since = this.#find(name) ?? null;
    return since !== null && this.#now() - since < minute;
  }

  #find(name: string): number | null | undefined {
    const young = this.#young.get(name);
    return young === undefined ? this.#old.get(name) : young;
  }

  #note(name: string, since: number | null): void {
    if (this.#young.size >= GENERATION && !this.#young.has(name)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(name, since);
  }
}
