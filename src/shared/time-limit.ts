import { ClosedError, StoreTimeoutError, type StoredSessionError } from "../errors.ts";
import { Deadlines, type Limited } from "./deadlines.ts";

/** Factor by which statements that scan a whole table may take longer. */
export const LONGER = 12;

/** The limit of an operation. Null for none. */
export type Limit = "usual" | "longer" | null;

/** The use of one connection between borrowing and returning it. */
export interface OperationPolicy {
  /** The outcome if the connection is lost. A transaction reports its own, so it is `none` here. */
  readonly ifLost: "none" | "unknown";
  /** The outcome if it times out. */
  readonly ifTimedOut: "none" | "unknown";
  readonly limit: Limit;
}

/** Assumed size of a pool that does not expose it. */
export const OF_A_POOL = 10;

/**
 * Enforces a time limit on database operations. An operation that exceeds it is abandoned, and its connection dropped:
 * otherwise an unresponsive server would occupy the pool's connections one after another until the operating system
 * drops them, which takes a quarter of an hour.
 *
 * Within the longer limit, at most as many connections are dropped as the pool may have; further ones only after that
 * limit: a server that is alive, but lets statements wait for a lock, does not notice closed connections and would soon
 * run out of them.
 */
export class TimeLimit {
  #milliseconds = 0;
  #closing = false;
  /** When connections were dropped. */
  #dropped: number[] = [];
  #lists: { readonly usual: Deadlines; readonly longer: Deadlines } | null = null;

  /** The usual limit. 0 for none. */
  get milliseconds(): number {
    return this.#milliseconds;
  }

  /** Of several limits, the longest applies. Without any, operations are not limited. */
  extendTo(milliseconds: number): void {
    if (milliseconds <= this.#milliseconds) return;
    this.#milliseconds = milliseconds;
    this.#lists = { usual: new Deadlines(milliseconds), longer: new Deadlines(LONGER * milliseconds) };
  }

  /** Abandons long operations at once, because the store is being closed. */
  close(): void {
    this.#closing = true;
    this.#lists?.longer.expireAll();
    this.#lists?.longer.close();
    this.#lists?.usual.close();
  }

  /**
   * Whether a connection whose statement was abandoned may be dropped. Counts it, if so.
   * @param connections maximum size of the pool
   */
  mayDrop(connections: number): boolean {
    const now = performance.now();
    this.#dropped = this.#dropped.filter((at) => at > now - LONGER * this.#milliseconds);
    if (!this.#closing && this.#dropped.length >= connections) return false;
    this.#dropped.push(now);
    return true;
  }

  /** Counts a connection that is dropped in any case. */
  dropped(): void {
    this.#dropped.push(performance.now());
  }

  /** The deadlines of a limit; undefined if operations are not limited. */
  deadlinesOf(limit: Limit): Deadlines | undefined {
    return limit === null ? undefined : this.#lists?.[limit];
  }

  /** Whether operations of this limit are abandoned at once, because the store is being closed. */
  isOver(limit: Limit): boolean {
    return this.#closing && limit === "longer";
  }

  /** @param waited milliseconds */
  exceeded(limit: Limit, waited: number, outcome: "none" | "unknown"): StoredSessionError {
    return this.isOver(limit)
      ? new ClosedError("The store is closed.", { outcome })
      : new StoreTimeoutError(`The database did not respond within ${Math.round(waited)} ms.`, { outcome });
  }

  /**
   * Returns the result of `work`. After the time limit, rejects with a StoreTimeoutError with this outcome; the result
   * of `work` is then ignored.
   */
  hold<T>(limit: Limit, work: Promise<T>, outcome: "none" | "unknown"): Promise<T> {
    const list = this.deadlinesOf(limit);
    if (list === undefined) return work;
    return new Promise<T>((resolve, reject) => {
      const began = performance.now();
      const entry = new Held(() => reject(this.exceeded(limit, performance.now() - began, outcome)));
      if (this.isOver(limit)) entry.expire();
      else list.add(entry);
      work.then(
        (value) => {
          list.remove(entry);
          resolve(value);
        },
        (error: unknown) => {
          list.remove(entry);
          reject(error as Error);
        },
      );
    });
  }
}

class Held implements Limited {
  readonly expire: () => void;
  deadline = 0;
  earlier: Limited | null = null;
  later: Limited | null = null;

  constructor(expire: () => void) {
    this.expire = expire;
  }
}
