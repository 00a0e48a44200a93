/** How often a question is asked that fails. */
const TRIES = 3;

/** Tells once, at the first use of a database, under which settings an acknowledged write may be lost (R33). */
export class DurabilityWarning {
  #tries = TRIES;
  #asking = false;

  /** Whether there is nothing left to ask. */
  get isTold(): boolean {
    return this.#tries === 0;
  }

  /**
   * Asks, and warns of what is answered. Never fails: what is wrong with a connection is told by the statement that
   * follows, and a question that failed is asked again at the next use, a few times.
   */
  async tell(server: string, ask: () => Promise<readonly string[]>): Promise<void> {
    if (this.#asking || this.#tries === 0) return;
    this.#asking = true;
    this.#tries--;
    try {
      for (const durabilityWarning of await ask()) warn(server, durabilityWarning);
      this.#tries = 0;
    } catch {
      // The next use asks again.
    } finally {
      this.#asking = false;
    }
  }
}

function warn(server: string, durabilityWarning: string): void {
  process.emitWarning(`${server}: ${durabilityWarning}`, {
    type: "StoredSessionWarning",
    code: "STORED_SESSION_WEAK_DURABILITY",
    detail: "Acknowledged sessions can be lost (promise 7). Change the setting to prevent this.",
  });
}
