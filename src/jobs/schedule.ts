/** A repeated job that does not keep its process alive. */
export interface Schedule {
  /** No further runs; resolves when the one under way is done. */
  stop(): Promise<void>;
}

/**
 * Runs `job` again and again, `every` milliseconds apart on average: each pause is drawn between 0.5 and 1.5 of it, so
 * that a fleet does not work in step. The timer is unreferenced. A run that fails is reported and does not end the
 * schedule.
 */
export function schedule(
  every: number,
  job: (signal: AbortSignal) => Promise<unknown>,
  report: (error: unknown) => void,
): Schedule {
  const stopped = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();

  const plan = () => {
    if (stopped.signal.aborted) return;
    timer = setTimeout(
      () => {
        running = job(stopped.signal).catch(report).finally(plan);
      },
      every * (0.5 + Math.random()),
    );
    timer.unref();
  };
  plan();

  return {
    async stop() {
      stopped.abort();
      clearTimeout(timer);
      await running;
    },
  };
}
