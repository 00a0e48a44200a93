import { randomUUID } from "node:crypto";

/** What a lease needs of a store. */
export interface LeaseStore {
  lease(name: string, holder: string, until: number, now: number): Promise<boolean>;
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

  constructor(store: LeaseStore, name: string, options: { duration: number; clock: () => number }) {
    this.#store = store;
    this.#name = name;
    this.#duration = options.duration;
    this.#clock = options.clock;
  }

  /** Takes or renews it. False when another process has it: then stop. */
  hold(): Promise<boolean> {
    const now = this.#clock();
    return this.#store.lease(this.#name, this.#holder, now + this.#duration, now);
  }

  async release(): Promise<void> {
    await this.#store.lease(this.#name, this.#holder, 0, this.#clock());
  }
}
