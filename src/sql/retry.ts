/** How often and for how long to retry. */
export interface Patience {
  /** Tries in all. */
  readonly attempts?: number;
  /** Milliseconds after which no new attempt starts. */
  readonly milliseconds?: number;
  /** Upper bound of the first back-off in milliseconds. It doubles with each further attempt. */
  readonly firstPause: number;
  readonly longestPause: number;
  /** Called after the first attempt fails, and again when the operation ends. */
  readonly onWait?: (waits: boolean) => void;
}

/**
 * Runs `attempt` until it succeeds, fails with an error that is not `transient`, or the limits are reached; then
 * rejects with the last error. Backs off for a random time between attempts, so that colliding transactions do not
 * collide again. Use it only for operations that a failed attempt left undone.
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
