import { setImmediate as turn, setTimeout as pause } from "node:timers/promises";

/** Rate limits of a job. */
export interface PaceOptions {
  /** Maximum rows per second; Infinity for no limit. */
  maxPerSecond?: number;
  /**
   * Maximum fraction of time spent working, above 0 and at most 1. The job pauses for the remainder, at most one second at
   * a time. Steps take longer on a busy database or process, so the job backs off under load. Default 0.33: it pauses
   * twice as long as it works.
   */
  share?: number;
  /** Ends a pause immediately. */
  signal?: AbortSignal;
}

/** Measured: decisions/0015. */
export const defaultShare = 0.33;

interface Time {
  now(): number;
  pause(milliseconds: number, options: RestOptions): Promise<void>;
  turn(options: RestOptions): Promise<void>;
}

interface RestOptions {
  readonly signal: AbortSignal | undefined;
  /** False if the pause must not keep the process alive. */
  readonly ref: boolean;
}

const time: Time = {
  now: () => performance.now(),
  pause: (milliseconds, { signal, ref }) =>
    pause(milliseconds, undefined, { signal: signal!, ref }).catch(() => {}),
  // An unreferenced immediate runs only when something else wakes the event loop; in an idle process, a timer does.
  turn: ({ ref }) => {
    const next = turn(undefined, { ref });
    return ref ? next : Promise.race([next, pause(1, undefined, { ref })]);
  },
};

/** Longest pause in milliseconds, so that no pause outlasts a lease. */
const longest = 1_000;

/** A delayed job may catch up this many milliseconds of its rate. More would cause a burst. */
const arrears = 50;

/** Paces a job by pausing between its steps. */
export class Pace {
  readonly #perRow: number;
  readonly #perWork: number;
  readonly #rest: RestOptions;
  readonly #time: Time;
  /** Milliseconds of work since the last pause. */
  #worked = 0;
  /** The earliest time of the next step according to the rate. */
  #due: number;

  /** @param ref false if pauses must not keep the process alive, because nothing awaits the job */
  constructor(options: PaceOptions, ref = true, clock: Time = time) {
    const { maxPerSecond = Infinity, share = defaultShare, signal } = options;
    this.#perRow = 1_000 / maxPerSecond;
    this.#perWork = 1 / share - 1;
    this.#rest = { signal, ref };
    this.#time = clock;
    this.#due = clock.now();
  }

  /** Pauses after a step of `rows` rows that took `took` milliseconds, as the rate and the share require. */
  async rest(rows: number, took: number): Promise<void> {
    const now = this.#time.now();
    this.#worked += took;
    this.#due = Math.max(this.#due, now - arrears) + rows * this.#perRow;
    const rest = Math.min(longest, Math.max(this.#due - now, this.#worked * this.#perWork));
    if (rest < 1) {
      // The unused pause is added to the next one. Yield to the event loop: a store that resolves immediately (in memory)
      // would otherwise block it.
      await this.#time.turn(this.#rest);
      return;
    }
    await this.#time.pause(Math.ceil(rest), this.#rest); // timers truncate fractions
    this.#worked = 0;
  }
}

/** Validates the options. Returns a message, or null if they are valid. */
export function paceProblem({ maxPerSecond = Infinity, share = 1 }: PaceOptions): string | null {
  if (maxPerSecond !== Infinity && !(Number.isSafeInteger(maxPerSecond) && maxPerSecond >= 1)) {
    return "`maxPerSecond` must be a whole number, 1 or more.";
  }
  return share > 0 && share <= 1 ? null : "`share` must be a number above 0, and at most 1.";
}
