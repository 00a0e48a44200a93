import { EventLoopLag } from "../shared/event-loop-lag.ts";
import type { SessionStore } from "../store/contract.ts";

/** When a batch was sent. */
export interface Departure {
  /** By `performance.now()`. */
  readonly at: number;
  /** Total event-loop lag at that time. */
  readonly late: number;
  /** Total time that the store's operations had waited for locks at that time. */
  readonly waited: number;
}

/**
 * Estimates the recent duration of a statement: rises at once with a slow one, and falls slowly. Event-loop lag and
 * waiting for locks are excluded, because neither slows down the next statement.
 */
export class StorePace {
  readonly #store: SessionStore;
  readonly #lag: EventLoopLag;
  #milliseconds = 0;

  constructor(store: SessionStore, lag: EventLoopLag) {
    this.#store = store;
    this.#lag = lag;
  }

  get milliseconds(): number {
    return this.#milliseconds;
  }

  /** Starts a measurement, which {@link end} ends. */
  begin(): Departure {
    const now = performance.now();
    return { at: now, late: this.#lag.begin(now), waited: this.#waited() };
  }

  end(): void {
    this.#lag.end();
  }

  /** @param milliseconds since it was sent */
  took(milliseconds: number, { late, waited }: Departure): void {
    const others = this.#lag.until(performance.now()) - late + (this.#waited() - waited);
    const own = Math.max(0, milliseconds - others);
    this.#milliseconds = Math.max(own, this.#milliseconds + (own - this.#milliseconds) / 8);
  }

  #waited(): number {
    return this.#store.waitedForLocks?.() ?? 0;
  }
}
