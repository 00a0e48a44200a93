/** The runtime's own, also where an application's tests put fake timers in its place. */
const afterInput = setImmediate;

/** Timers that are set for longer end at once. */
const longestTimer = 2 ** 31 - 1;

/** Something with a time limit, and its place in the list of those. */
export interface Limited {
  /** By `performance.now()`. */
  deadline: number;
  earlier: Limited | null;
  later: Limited | null;
  expire(): void;
}

/**
 * One timer for everything that has the same time limit: what began first ends first, so a list in order of
 * arrival and a timer for its head are enough. The timer keeps the process alive only while something is listed.
 */
export class Deadlines {
  readonly limit: number;
  #first: Limited | null = null;
  #last: Limited | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** @param limit milliseconds */
  constructor(limit: number) {
    this.limit = limit;
  }

  add(entry: Limited): void {
    entry.deadline = performance.now() + this.limit;
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
    this.#timer = setTimeout(() => void afterInput(() => this.#fire()), Math.min(milliseconds, longestTimer));
  }

  #fire(): void {
    this.#timer = null;
    const now = performance.now();
    while (this.#first && this.#first.deadline <= now) {
      const entry = this.#first;
      this.remove(entry);
      entry.expire();
    }
    if (this.#first && !this.#timer) this.#set(Math.max(1, Math.ceil(this.#first.deadline - now)));
  }
}
