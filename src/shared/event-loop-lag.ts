import { outsideRequests } from "./outside-requests.ts";

/** Interval of the timers that detect lag, while something is measured. */
const SHORTEST = 5;

/**
 * Measures event-loop lag, so that durations can be corrected by it. A timer fires periodically while something is
 * measured; how late it fires is the lag.
 */
export class EventLoopLag {
  readonly #period: number;
  #late = 0;
  /** When the timer should fire, by `performance.now()`. 0 if there is none. */
  #due = 0;
  #measured = 0;
  #wasUsed = false;

  /** @param period milliseconds; shorter lag is not detected */
  constructor(period: number) {
    this.#period = Math.max(SHORTEST, period);
  }

  /** Starts a measurement. Returns the total lag so far, in milliseconds. */
  begin(now: number): number {
    if (this.#due === 0) this.#set(now);
    this.#measured++;
    this.#wasUsed = true;
    return this.until(now);
  }

  end(): void {
    this.#measured--;
  }

  /** Returns the total lag so far. The difference of two readings is the lag between them. */
  until(now: number): number {
    return this.#due === 0 ? this.#late : this.#late + Math.max(0, now - this.#due);
  }

  #set(now: number): void {
    // The timer first: where a runtime refuses it, a time that it is due would count as lag for ever.
    outsideRequests(() => setTimeout(() => this.#fire(), this.#period).unref());
    this.#due = now + this.#period;
  }

  #fire(): void {
    const now = performance.now();
    this.#late = this.until(now);
    this.#due = 0;
    if (this.#measured > 0 || this.#wasUsed) this.#set(now);
    this.#wasUsed = false;
  }
}
