const most = 10_000;
const minute = 60_000;

/**
 * Ids that this process saw alive and then found ended, each for a minute, at most 10,000. A request that reloads its
 * session after a logout must not recreate it under the same id.
 */
export class EndedIds {
  /** By name, oldest first: when the session was found ended, or null if it was alive when last seen. */
  readonly #met: Map<string, number | null> = new Map();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  alive(name: string): void {
    this.#note(name, null);
  }

  /** An id that was never seen alive is new and may be used. */
  gone(name: string): void {
    if (this.#met.has(name)) this.#note(name, this.#met.get(name) ?? this.#now());
  }

  has(name: string): boolean {
    const since = this.#met.get(name) ?? null;
    return since !== null && this.#now() - since < minute;
  }

  #note(name: string, since: number | null): void {
    this.#met.delete(name);
    this.#met.set(name, since);
    if (this.#met.size <= most) return;
    const [oldest] = this.#met.keys();
    this.#met.delete(oldest!);
  }
}
