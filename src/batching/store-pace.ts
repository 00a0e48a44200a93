import { EventLoopLag } from "../shared/event-loop-lag.ts";
import type { SessionStore } from "../store/contract.ts";

/** When a batch left. */
export interface Departure {
  /** By `performance.now()`. */
  readonly at: number;
  /** How late the event loop had been in all by then. */
  readonly late: number;
  /** How long the store's operations had waited for locks in all by then. */
  readonly waited: number;
}

/**
 * How long a statement takes of late: up at once with a slow one, and slowly down again. An event loop that stood still
 * and a lock that somebody else held are left out, for neither makes the next statement slow.
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

  /** To be ended by {@link end}. */
  begin(): Departure {
    const now = performance.now();
    return { at: now, late: this.#lag.begin(now), waited: this.#waited() };
  }

  end(): void {
    this.#lag.end();
  }

  /** @param milliseconds since its departure */
  took(milliseconds: number, { late, waited }: Departure): void {
    const others = this.#lag.until(performance.now()) - late + (this.#waited() - waited);
    const own = Math.max(0, milliseconds - others);
    this.#milliseconds = Math.max(own, this.#milliseconds + (own - this.#milliseconds) / 8);
  }

  #waited(): number {
    return this.#store.waitedForLocks?.() ?? 0;
  }
}
