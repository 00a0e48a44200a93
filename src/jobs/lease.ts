import { randomUUID } from "node:crypto";
import type { Duration } from "../shared/duration.ts";
import { durationFrom, isBoolean, type OptionCheck } from "../shared/option-checks.ts";

/** What a lease needs of a store. */
export interface LeaseStore {
  lease(name: string, holder: string, until: number, now: number): Promise<boolean>;
}

/** Options of work that one process of a cluster does at a time. */
export interface LeaseOptions {
  /**
   * Takes the lease of this kind of work first, and does nothing while another process has it. Default false: an
   * explicit call works at once, beside others.
   */
  exclusive?: boolean;
  /** How long the holder may be silent before another process takes over. Default "60 s". */
  lease?: Duration;
}

/** Of an object of options that has those of a lease. */
export const leaseChecks: Readonly<Record<keyof LeaseOptions, OptionCheck>> = {
  exclusive: isBoolean,
  lease: durationFrom(1),
};

/**
 * Runs `work` while this process holds the lease. `mayGoOn`, to be asked before every step, keeps it and says
 * whether it is still held. Null, and nothing done, when another process has it.
 */
export async function whileHeld<Answer>(
  lease: Lease,
  work: (mayGoOn: () => Promise<boolean>) => Promise<Answer>,
): Promise<Answer | null> {
  if (!(await lease.hold())) return null;
  try {
    return await work(() => lease.keep());
  } finally {
    // When this fails the lease runs out by itself, and what `work` threw says more.
    await lease.release().catch(() => {});
  }
}

/**
 * Lets one process of a cluster do a job at a time: a row in the database that its holder renews while it works. A
 * holder that dies loses it when `duration` has passed.
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

  /** Takes or renews it. False when another process has it: then stop. */
  async hold(): Promise<boolean> {
    const now = this.#clock();
    this.#takenAt = now;
    return await this.#store.lease(this.#name, this.#holder, now + this.#duration, now);
  }

  /**
   * For a holder, before each step: renews it once a twentieth of it has passed, because each renewal is a commit of
   * the database. Until then nobody else can have it. False when another process has it: then stop.
   */
  async keep(): Promise<boolean> {
    const passed = this.#clock() - this.#takenAt;
    return (passed >= 0 && passed < this.#duration / 20) || (await this.hold());
  }

  async release(): Promise<void> {
    await this.#store.lease(this.#name, this.#holder, 0, this.#clock());
  }
}
