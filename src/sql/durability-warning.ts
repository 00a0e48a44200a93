/** Maximum attempts of a query that fails. */
const TRIES = 3;

/** Warns once, at the first use of a database, about settings under which an acknowledged write may be lost (R33). */
export class DurabilityWarning {
  #tries = TRIES;
  #asking = false;

  /** Whether the check is complete. */
  get isDone(): boolean {
    return this.#tries === 0;
  }

  /**
   * Checks the settings and warns. Never throws: the statement that follows reports any problem of the connection, and
   * a failed check is repeated at the next use, a few times.
   */
  async check(server: string, ask: () => Promise<readonly string[]>): Promise<void> {
    if (this.#asking || this.#tries === 0) return;
    this.#asking = true;
    this.#tries--;
    try {
      for (const durabilityWarning of await ask()) warn(server, durabilityWarning);
      this.#tries = 0;
    } catch {
      // The next use checks again.
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
