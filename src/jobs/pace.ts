import { setImmediate as turn, setTimeout as pause } from "node:timers/promises";

/** How fast a job goes. */
export interface PaceOptions {
  /** Rows in a second at most; Infinity for no such bound. */
  maxPerSecond?: number;
  /**
   * The part of its time that the job works at most, above 0 and up to 1; for the rest of it, it rests. So it gives way
   * on a busy database or in a busy process, where its steps take longer; a rest is at most a second. Default 0.33:
   * it rests twice as long as it works.
   */
  share?: number;
  /** Ends a rest at once. */
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
  /** False where the process may end meanwhile. */
  readonly ref: boolean;
}

const time: Time = {
  now: () => performance.now(),
  pause: (milliseconds, { signal, ref }) =>
    pause(milliseconds, undefined, { signal: signal!, ref }).catch(() => {}),
  // An unreferenced turn comes only when something else wakes the loop, so in an idle process a timer does.
  turn: ({ ref }) => {
    const next = turn(undefined, { ref });
    return ref ? next : Promise.race([next, pause(1, undefined, { ref })]);
  },
};

/** So that no rest outlasts a lease. */
const longest = 1_000;

/** A job that was held up may catch up so many milliseconds of its rate, no more: that would be a burst. */
const arrears = 50;

/** The rests between the steps of a job. */
export class Pace {
  readonly #perRow: number;
  readonly #perWork: number;
  readonly #rest: RestOptions;
  readonly #time: Time;
  /** Milliseconds of work since the last rest. */
  #worked = 0;
  /** When the rate allows the next step. */
  #due: number;

  /** @param ref false where a rest keeps no process alive, because nobody waits for the job */
  constructor(options: PaceOptions, ref = true, clock: Time = time) {
    const { maxPerSecond = Infinity, share = defaultShare, signal } = options;
    this.#perRow = 1_000 / maxPerSecond;
    this.#perWork = 1 / share - 1;
    this.#rest = { signal, ref };
    this.#time = clock;
    this.#due = clock.now();
  }

  /** After a step that wrote so many rows and took so many milliseconds: as long as the rate and the share ask for. */
  async rest(rows: number, took: number): Promise<void> {
    const now = this.#time.now();
    this.#worked += took;
    this.#due = Math.max(this.#due, now - arrears) + rows * this.#perRow;
    const rest = Math.min(longest, Math.max(this.#due - now, this.#worked * this.#perWork));
    if (rest < 1) {
      // What is not rested now is added to the next rest. Without a turn, a store that answers at once (in memory)
      // would let nobody else have one.
      await this.#time.turn(this.#rest);
      return;
    }
    await this.#time.pause(Math.ceil(rest), this.#rest); // timers drop the fraction
    this.#worked = 0;
  }
}

/** What is wrong with the options; null when nothing is. */
export function paceProblem({ maxPerSecond = Infinity, share = 1 }: PaceOptions): string | null {
  if (maxPerSecond !== Infinity && !(Number.isSafeInteger(maxPerSecond) && maxPerSecond >= 1)) {
    return "`maxPerSecond` must be a whole number, 1 or more.";
  }
  return share > 0 && share <= 1 ? null : "`share` must be a number above 0, and at most 1.";
}
