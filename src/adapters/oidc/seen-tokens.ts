/** Tokens of one process that are kept: a few MiB. */
const MOST = 10_000;

/**
 * Tokens that this process has used, until they are too old to be accepted. When there are too many, the first are
 * forgotten: what then protects later sessions is the time at which the token was issued.
 */
export class SeenTokens {
  readonly #ends = new Map<string, number>();
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  has(token: string): boolean {
    return this.#ends.has(token);
  }

  add(token: string, end: number): void {
    const now = this.#clock();
    for (const [other, otherEnd] of this.#ends) {
      // In the order in which they came, so nearly in that of their ends.
      if (otherEnd >= now && this.#ends.size < MOST) break;
      this.#ends.delete(other);
    }
    this.#ends.set(token, end);
  }
}
