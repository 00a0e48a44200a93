import { outsideRequests } from "./outside-requests.ts";

/** Timers that fire this often, while somebody asks, tell how late the event loop is. */
const SHORTEST = 5;

/**
 * How long the event loop has stood still: what was measured across a standstill took that much less. While something
 * is measured a timer fires now and then; as late as it is, the loop did nothing else that is new either.
 */
export class EventLoopLag {
  readonly #period: number;
  #late = 0;
  /** When the timer is to fire, by `performance.now()`; 0 while there is none. */
  #due = 0;
  #measured = 0;
  #wasUsed = false;

  /** @param period milliseconds: a shorter standstill is not noticed */
  constructor(period: number) {
    this.#period = Math.max(SHORTEST, period);
  }

  /** Begins a measurement. Answers the lag so far, in milliseconds. */
  begin(now: number): number {
    this.#measured++;
    this.#wasUsed = true;
    if (this.#due === 0) this.#set(now);
    return this.until(now);
  }

  end(): void {
    this.#measured--;
  }

  /** The lag so far: the difference of two is what there was between them. */
  until(now: number): number {
    return this.#due === 0 ? this.#late : this.#late + Math.max(0, now - this.#due);
  }

  #set(now: number): void {
    this.#due = now + this.#period;
    outsideRequests(() => setTimeout(() => this.#fire(), this.#period).unref());
  }

  #fire(): void {
    const now = performance.now();
    this.#late = this.until(now);
    this.#due = 0;
    if (this.#measured > 0 || this.#wasUsed) this.#set(now);
    this.#wasUsed = false;
  }
}
