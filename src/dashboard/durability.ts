import type { SessionStore } from "../store/contract.ts";

/** Settings of a server rarely change, so they are looked up again after so many milliseconds. */
const KEPT = 600_000;

/** Under which settings the database can lose acknowledged sessions. */
export class Durability {
  readonly #store: SessionStore;
  readonly #clock: () => number;
  #known: { readonly at: number; readonly warnings: readonly string[] } | null = null;

  constructor(store: SessionStore, clock: () => number) {
    this.#store = store;
    this.#clock = clock;
  }

  /** One sentence for each; at most one statement. */
  async warnings(): Promise<readonly string[]> {
    const now = this.#clock();
    if (this.#known === null || now - this.#known.at >= KEPT) {
      this.#known = { at: now, warnings: (await this.#store.durabilityWarnings?.()) ?? [] };
    }
    return this.#known.warnings;
  }
}
