import { isOnWorkers } from "../shared/runtime.ts";

/** A recurring job. Does not keep the process alive. */
export interface Schedule {
  /** Stops the schedule. Resolves when a run in progress has finished. */
  stop(): Promise<void>;
}

/**
 * Runs `job` repeatedly with an average pause of `every` milliseconds. Each pause is a random 0.5 to 1.5 times that, so
 * that processes started together do not run in lockstep. The timer is unreferenced. A failed run is reported and does
 * not end the schedule.
 */
export function schedule(
  every: number,
  job: (signal: AbortSignal) => Promise<unknown>,
  report: (error: unknown) => void,
): Schedule {
  if (isOnWorkers()) {
    throw new TypeError(
      "Cloudflare Workers run nothing between requests, so a schedule would never run. Call sessions.expire() in the scheduled() handler of a Cron Trigger.",
    );
  }
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
