/** Reasons that are counted separately. All others count as "other", so that a flood stays bounded. */
const MOST = 64;

/**
 * Counts refused cookies and rows. Clients can cause any number of them, so each reason becomes one event in the time between
 * two checkpoints.
 */
export class Refusals {
  readonly #counts = new Map<string, number>();
  /** Called for each one. */
  onRefusal: (() => void) | null = null;

  refused(reason: string, count = 1): void {
    const name = this.#counts.has(reason) || this.#counts.size < MOST ? reason : "other";
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
    this.onRefusal?.();
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  /** What was counted since the last call. */
  take(): readonly (readonly [reason: string, count: number])[] {
    const counts = [...this.#counts];
    this.#counts.clear();
    return counts;
  }
}
