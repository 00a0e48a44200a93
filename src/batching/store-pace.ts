import { Lateness } from "../shared/event-loop-lag.ts";
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
  readonly #lateness: Lateness;
  #milliseconds = 0;

  constructor(store: SessionStore, lateness: Lateness) {
    this.#store = store;
    this.#lateness = lateness;
  }

  get milliseconds(): number {
    return this.#milliseconds;
  }

  /** To be ended by {@link end}. */
  begin(): Departure {
    const now = performance.now();
    return { at: now, late: this.#lateness.begin(now), waited: this.#waited() };
  }

  end(): void {
    this.#lateness.end();
  }

  /** @param milliseconds since its departure */
  took(milliseconds: number, { late, waited }: Departure): void {
    const others = this.#lateness.until(performance.now()) - late + (this.#waited() - waited);
    const own = Math.max(0, milliseconds - others);
    this.#milliseconds = Math.max(own, this.#milliseconds + (own - this.#milliseconds) / 8);
  }

  #waited(): number {
    return this.#store.waitedForLocks?.() ?? 0;
  }
}
