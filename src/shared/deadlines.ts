import { EventLoopLag } from "./event-loop-lag.ts";
import { outsideRequests } from "./outside-requests.ts";

/** The runtime's own, even if the application's tests install fake timers. */
const afterInput = setImmediate;

/** Longer timers fire at once. */
const longestTimer = 2 ** 31 - 1;

/** An entry with a deadline, and its position in the list. */
export interface Limited {
  /** By the clock of its list; see {@link Deadlines.now}. */
  deadline: number;
  earlier: Limited | null;
  later: Limited | null;
  expire(): void;
}

/**
 * Shares one timer among all entries with the same time limit: the oldest entry expires first, so a list in order of
 * arrival and a timer for its head suffice. The timer keeps the process alive only while there are entries.
 *
 * Event-loop lag (a breakpoint, SIGSTOP, a live migration of a virtual machine, a long computation) does not count:
 * results could neither arrive nor be processed.
 */
export class Deadlines {
  readonly limit: number;
  readonly #lag: EventLoopLag;
  #first: Limited | null = null;
  #last: Limited | null = null;
  #timer: NodeJS.Timeout | null = null;

  /**
   * @param limit milliseconds
   * @param lag detects lag longer than its period. Default: a fiftieth of the limit
   */
  constructor(limit: number, lag: EventLoopLag = new EventLoopLag(limit / 50)) {
    this.limit = limit;
    this.#lag = lag;
  }

  /** `performance.now()` minus the event-loop lag while there were entries. */
  now(): number {
    const now = performance.now();
    return now - this.#lag.until(now);
  }

  add(entry: Limited): void {
    if (!this.#last) this.#begin();
    const now = performance.now();
    entry.deadline = now - this.#lag.begin(now) + this.limit;
    this.#append(entry);
  }

  /** Begins the time of an entry of this list anew. */
  renew(entry: Limited): void {
    entry.deadline = this.now() + this.limit;
    if (this.#last === entry) return;
    this.#detach(entry);
    this.#append(entry);
  }

  remove(entry: Limited): void {
    if (!this.#detach(entry)) return;
    this.#lag.end();
    if (!this.#first) this.#timer?.unref();
  }

  #append(entry: Limited): void {
    entry.earlier = this.#last;
    entry.later = null;
    if (this.#last) this.#last.later = entry;
    else this.#first = entry;
    this.#last = entry;
  }

  /** False if it is not in the list. */
  #detach(entry: Limited): boolean {
    const { earlier, later } = entry;
    if (earlier) earlier.later = later;
    else if (this.#first === entry) this.#first = later;
    else return false;
    if (later) later.earlier = earlier;
    else this.#last = earlier;
    entry.earlier = null;
    entry.later = null;
    return true;
  }

  /** Expires all current entries. */
  expireAll(): void {
    while (this.#first) {
      const entry = this.#first;
      this.remove(entry);
      entry.expire();
    }
  }

  /** Lets go of the timer, of which some runtimes have few. A later entry sets it again. */
  close(): void {
    if (this.#first || !this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Before anything else is changed: a runtime may refuse one more timer. */
  #begin(): void {
    // A running timer at worst fires too early, and is then set again.
    if (this.#timer) this.#timer.ref();
    else this.#set(this.limit);
  }

  #set(milliseconds: number): void {
    // After one turn of I/O: after long lag, results that have arrived count.
    this.#timer = outsideRequests(() =>
      setTimeout(() => void afterInput(() => this.#fire()), Math.min(milliseconds, longestTimer)),
    );
  }

  #fire(): void {
    this.#timer = null;
    const now = this.now();
    try {
      while (this.#first && this.#first.deadline <= now) {
        const entry = this.#first;
        this.remove(entry);
        entry.expire();
      }
    } finally {
      // Also if an entry throws: those after it need their timer.
      if (this.#first && !this.#timer) this.#set(Math.max(1, Math.ceil(this.#first.deadline - now)));
    }
  }
}
