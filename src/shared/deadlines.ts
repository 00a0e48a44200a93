import { EventLoopLag } from "./event-loop-lag.ts";
import { outsideRequests } from "./outside-requests.ts";

/** The runtime's own, also where an application's tests put fake timers in its place. */
const afterInput = setImmediate;

/** Timers that are set for longer end at once. */
const longestTimer = 2 ** 31 - 1;

/** Something with a time limit, and its place in the list of those. */
export interface Limited {
  /** By the clock of its list, see {@link Deadlines.now}. */
  deadline: number;
  earlier: Limited | null;
  later: Limited | null;
  expire(): void;
}

/**
 * One timer for everything that has the same time limit: what began first ends first, so a list in order of
 * arrival and a timer for its head are enough. The timer keeps the process alive only while something is listed.
 *
 * Time in which the event loop stands still (a breakpoint, a SIGSTOP, a virtual machine that moves, a long computation)
 * does not count: nobody could answer in it, and nobody could hear an answer.
 */
export class Deadlines {
  readonly limit: number;
  readonly #lag: EventLoopLag;
  #first: Limited | null = null;
  #last: Limited | null = null;
  #timer: NodeJS.Timeout | null = null;

  /**
   * @param limit milliseconds
   * @param lag notices a standstill that is longer than its period; of the list's own, a fiftieth of the limit
   */
  constructor(limit: number, lag: EventLoopLag = new EventLoopLag(limit / 50)) {
    this.limit = limit;
    this.#lag = lag;
  }

  /** `performance.now()` without the time that the event loop stood still while something was listed. */
  now(): number {
    const now = performance.now();
    return now - this.#lag.until(now);
  }

  add(entry: Limited): void {
    const now = performance.now();
    entry.deadline = now - this.#lag.begin(now) + this.limit;
    entry.earlier = this.#last;
    entry.later = null;
    if (this.#last) this.#last.later = entry;
    else this.#begin(entry);
    this.#last = entry;
  }

  remove(entry: Limited): void {
    const { earlier, later } = entry;
    if (earlier) earlier.later = later;
    else if (this.#first === entry) this.#first = later;
    else return;
    this.#lag.end();
    if (later) later.earlier = earlier;
    else this.#last = earlier;
    entry.earlier = null;
    entry.later = null;
    if (!this.#first) this.#timer?.unref();
  }

  /** Ends the time of everything that is listed now. */
  expireAll(): void {
    while (this.#first) {
      const entry = this.#first;
      this.remove(entry);
      entry.expire();
    }
  }

  #begin(entry: Limited): void {
    this.#first = entry;
    // A timer that is still running fires too early at worst, and is then set again.
    if (this.#timer) this.#timer.ref();
    else this.#set(this.limit);
  }

  #set(milliseconds: number): void {
    // Behind one turn of input: after a long stop of the event loop, answers that are there count.
    this.#timer = outsideRequests(() =>
      setTimeout(() => void afterInput(() => this.#fire()), Math.min(milliseconds, longestTimer)),
    );
  }

  #fire(): void {
    this.#timer = null;
    const now = this.now();
    while (this.#first && this.#first.deadline <= now) {
      const entry = this.#first;
      this.remove(entry);
      entry.expire();
    }
    if (this.#first && !this.#timer) this.#set(Math.max(1, Math.ceil(this.#first.deadline - now)));
  }
}
