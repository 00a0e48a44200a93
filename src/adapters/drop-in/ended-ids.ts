const most = 10_000;
const minute = 60_000;

/**
 * The ids that this process has met alive and then found gone, each for a minute, at most 10 000: a request that
 * reloads its session after a log-out must not begin it again under the same id.
 */
export class EndedIds {
  /** By name, the oldest first; when it was found gone, or null while it was alive when last met. */
  readonly #met: Map<string, number | null> = new Map();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  alive(name: string): void {
    this.#note(name, null);
  }

  /** An id that nobody met alive is a new one, which may well begin. */
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
