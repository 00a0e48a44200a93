import { ClosedError, StoreTimeoutError } from "../errors.ts";
import { Deadlines, type Limited } from "./deadlines.ts";

/** Factor by which statements that scan a whole table may take longer. */
export const LONGER = 12;

/** The limit of an operation. Null for none. */
export type Limit = "usual" | "longer" | null;

/** The use of one connection between borrowing and returning it. */
export interface RoundTrip {
  /** The outcome if the connection is lost. A transaction reports its own, so it is `none` here. */
  readonly lost: "none" | "unknown";
  /** The outcome if it times out. */
  readonly unanswered: "none" | "unknown";
  readonly limit: Limit;
}

interface Lent<T> {
  readonly trip: RoundTrip;
  /** Maximum size of the pool. 10 if the pool does not expose it. */
  readonly connections: number | undefined;
  work(): Promise<T>;
  /** Whether the connection is unusable after this failure. */
  isBroken(error: unknown): boolean;
  back(broken: boolean): void;
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
  #givenUp: number[] = [];
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

  /** Works with a connection and returns it, which happens later if the operation was not abandoned. */
  async lend<T>(lent: Lent<T>): Promise<T> {
    const { trip, connections = OF_A_POOL, isBroken, back } = lent;
    const now: { late: "no" | "given up" | "kept" } = { late: "no" };
    const working = begun(lent.work);
    let answer: T;
    try {
      answer = await this.hold(trip.limit, working, trip.unanswered, () => {
        now.late = this.#mayGiveUp(connections) ? "given up" : "kept";
      });
    } catch (error) {
      if (now.late === "kept") this.#keep(working, lent);
      else back(now.late === "given up" || isBroken(error));
      throw error;
    }
    back(false);
    return answer;
  }

  /** Gets a connection of the pool. One that arrives too late is returned unused. */
  obtain<C extends { release(): void }>(limit: Limit, connecting: Promise<C>): Promise<C> {
    return this.hold(limit, connecting, "none", () => {
      connecting.then(
        (late) => late.release(),
        () => {},
      );
    });
  }

  /** Abandons long operations at once, because the store is being closed. */
  close(): void {
    this.#closing = true;
    this.#lists?.longer.expireAll();
  }

  #keep<T>(working: Promise<T>, { isBroken, back }: Lent<T>): void {
    let givenUp = false;
    const over = () => {
      givenUp = true;
      this.#givenUp.push(performance.now());
    };
    this.hold("longer", working, "unknown", over)
      .then(
        () => back(false),
        (error: unknown) => back(givenUp || isBroken(error)),
      )
      .catch(() => {});
  }

  #mayGiveUp(connections: number): boolean {
    const now = performance.now();
    this.#givenUp = this.#givenUp.filter((at) => at > now - LONGER * this.#milliseconds);
    if (!this.#closing && this.#givenUp.length >= connections) return false;
    this.#givenUp.push(now);
    return true;
  }

  /**
   * Returns the result of `work`. After the time limit, rejects with a StoreTimeoutError with this outcome and calls
   * `late`; the result of `work` is then ignored.
   */
  hold<T>(limit: Limit, work: Promise<T>, outcome: "none" | "unknown", late: () => void): Promise<T> {
    const list = limit === null ? undefined : this.#lists?.[limit];
    if (list === undefined) return work;
    return new Promise<T>((resolve, reject) => {
      const began = performance.now();
      const entry = new Held(() => {
        const waited = Math.round(performance.now() - began);
        late();
        reject(
          this.#closing && limit === "longer"
            ? new ClosedError("The store is closed.", { outcome })
            : new StoreTimeoutError(`The database did not respond within ${waited} ms.`, { outcome }),
        );
      });
      if (this.#closing && limit === "longer") entry.expire();
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

/** A function that throws counts as one that rejects. */
function begun<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work();
  } catch (error) {
    return Promise.reject(error as Error);
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
