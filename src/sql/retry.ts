/** How often, and for how long, something is tried again. */
export interface Patience {
  /** Tries in all. */
  readonly attempts?: number;
  /** Milliseconds after which no new try begins. */
  readonly milliseconds?: number;
  /** Upper bound of the first pause in milliseconds; each further one may be twice as long. */
  readonly firstPause: number;
  readonly longestPause: number;
  /** Told when the first try has failed, and when it is over after that. */
  readonly onWait?: (waits: boolean) => void;
}

/**
 * Runs `attempt` until it succeeds, fails with something that is not `transient`, or patience ends; then it
 * rejects with the last error as it came. Between tries it pauses for a random time, so that rivals who collided
 * do not collide again. Only for work that a failed try left undone.
 */
export async function withRetries<T>(
  patience: Patience,
  transient: (error: unknown) => boolean,
  attempt: () => T | Promise<T>,
): Promise<T> {
  const began = performance.now();
  let waits = false;
  try {
    for (let tried = 1; ; tried++) {
      try {
        return await attempt();
      } catch (error) {
        if (!transient(error)) throw error;
        if (tried >= (patience.attempts ?? Infinity)) throw error;
        const bound = Math.min(patience.firstPause * 2 ** Math.min(tried - 1, 20), patience.longestPause);
        const pause = bound * (0.5 + Math.random() / 2);
        if (performance.now() - began + pause > (patience.milliseconds ?? Infinity)) throw error;
        if (!waits) patience.onWait?.((waits = true));
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  } finally {
    if (waits) patience.onWait?.(false);
  }
}
