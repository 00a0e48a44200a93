/** Measures the total time during which at least one operation waits for a lock. */
export class Waiting {
  #waiting = 0;
  #since = 0;
  #total = 0;

  readonly note = (waits: boolean): void => {
    const now = performance.now();
    if (waits && this.#waiting++ === 0) this.#since = now;
    if (!waits && --this.#waiting === 0) this.#total += now - this.#since;
  };

  /** Milliseconds so far. The difference of two readings is the time between them. */
  get milliseconds(): number {
    return this.#total + (this.#waiting > 0 ? performance.now() - this.#since : 0);
  }
}
