/** For how long, in all, something has waited: at any moment once, however many wait. */
export class Waiting {
  #waiting = 0;
  #since = 0;
  #total = 0;

  readonly note = (waits: boolean): void => {
    const now = performance.now();
    if (waits && this.#waiting++ === 0) this.#since = now;
    if (!waits && --this.#waiting === 0) this.#total += now - this.#since;
  };

  /** Milliseconds up to now: the difference of two is what there was between them. */
  get milliseconds(): number {
    return this.#total + (this.#waiting > 0 ? performance.now() - this.#since : 0);
  }
}
