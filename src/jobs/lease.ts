import { randomUUID } from "node:crypto";
import type { Duration } from "../shared/duration.ts";
import { durationFrom, isBoolean, type OptionCheck } from "../shared/option-checks.ts";

/** The part of a store that a lease uses. */
export interface LeaseStore {
  lease(name: string, holder: string, until: number, now: number): Promise<boolean>;
}

/** Options of jobs that run in one process of a cluster at a time. */
export interface LeaseOptions {
  /**
   * Acquire the lease for this kind of job first, and do nothing if another process holds it. Default false: the job runs
   * regardless of others.
   */
  exclusive?: boolean;
  /** How long after the last renewal another process may take over the lease. Default "60 s". */
  lease?: Duration;
}

/** Checks for options that extend {@link LeaseOptions}. */
export const leaseChecks: Readonly<Record<keyof LeaseOptions, OptionCheck>> = {
  exclusive: isBoolean,
  lease: durationFrom(1),
};

/**
 * Runs `work` while this process holds the lease. Call `mayGoOn` before every step: it renews the lease and returns whether
 * it is still held. Returns null without running `work` if another process holds the lease.
 */
export async function whileHeld<Answer>(
  lease: Lease,
  work: (mayGoOn: () => Promise<boolean>) => Promise<Answer>,
): Promise<Answer | null> {
  if (!(await lease.hold())) return null;
  try {
    return await work(() => lease.keep());
  } finally {
    // If releasing fails, the lease expires; an error of `work` takes precedence.
    await lease.release().catch(() => {});
  }
}

/**
 * A lease that lets one process of a cluster run a job at a time: a row in the database that the holder renews. If the
 * holder dies, the lease expires after `duration`.
 */
export class Lease {
  readonly #store: LeaseStore;
  readonly #name: string;
  readonly #duration: number;
  readonly #clock: () => number;
  readonly #holder: string = randomUUID();
  #takenAt = 0;

  constructor(store: LeaseStore, name: string, options: { duration: number; clock: () => number }) {
    this.#store = store;
    this.#name = name;
    this.#duration = options.duration;
    this.#clock = options.clock;
  }

  /** Acquires or renews the lease. Returns false if another process holds it. */
  async hold(): Promise<boolean> {
    const now = (this.#takenAt = this.#clock());
    return await this.#store.lease(this.#name, this.#holder, now + this.#duration, now);
  }

  /**
   * For the holder, before each step. Renews the lease only after 1/20 of its duration, because each renewal is a database
   * commit. Returns false if another process holds it: stop in that case.
   */
  async keep(): Promise<boolean> {
    const passed = this.#clock() - this.#takenAt;
    return (passed >= 0 && passed < this.#duration / 20) || (await this.hold());
  }

  /** Frees it, and leaves the time in the row, as a negative number. */
  async release(): Promise<void> {
    const now = this.#clock();
    await this.#store.lease(this.#name, this.#holder, -now, now);
  }
}
