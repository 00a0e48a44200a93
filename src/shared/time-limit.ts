import { ClosedError, StoreTimeoutError } from "../errors.ts";
import { Deadlines, type Limited } from "./deadlines.ts";

/** How much more time than the others statements have that read a whole table. */
export const LONGER = 12;

/** Which limit something is under; null for none. */
export type Limit = "usual" | "longer" | null;

/** What is done with one connection between its leaving the pool and its return. */
export interface RoundTrip {
  /** The outcome when the connection breaks. A transaction tells its own, so it says `none` here. */
  readonly lost: "none" | "unknown";
  /** The outcome when it has no answer in time. */
  readonly unanswered: "none" | "unknown";
  readonly limit: Limit;
}

interface Lent<T> {
  readonly trip: RoundTrip;
  /** As many as the pool may have; 10 unless it tells. */
  readonly connections: number | undefined;
  work(): Promise<T>;
  /** Whether the connection cannot be used again after this failure. */
  isBroken(error: unknown): boolean;
  back(broken: boolean): void;
}

/** Connections of a pool that does not tell how many it may have. */
export const OF_A_POOL = 10;

/**
 * How long the users of a database wait for it. What has no answer by then is given up, together with the connection
 * under it: a server that vanishes without a word would otherwise keep the connections of the pool, one after another,
 * until the system gives them up, and that takes it a quarter of an hour.
 *
 * In the longer limit as many connections are given up as the pool may have, and those beyond that when that limit has
 * passed for them: a server that lives, but lets statements wait for a lock, does not notice that a connection was
 * closed, and would soon be filled with them.
 */
export class TimeLimit {
  #milliseconds = 0;
  #closing = false;
  /** When connections were given up. */
  #givenUp: number[] = [];
  #lists: { readonly usual: Deadlines; readonly longer: Deadlines } | null = null;

  /** The usual limit; 0 when there is none. */
  get milliseconds(): number {
    return this.#milliseconds;
  }

  /** Of several users the most patient one counts. Without any, nothing is limited. */
  extendTo(milliseconds: number): void {
    if (milliseconds <= this.#milliseconds) return;
    this.#milliseconds = milliseconds;
    this.#lists = { usual: new Deadlines(milliseconds), longer: new Deadlines(LONGER * milliseconds) };
  }

  /** Works with a connection and brings it back, which is later where it was not given up. */
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

  /** A connection of the pool. One that comes too late goes back as it came. */
  obtain<C extends { release(): void }>(limit: Limit, connecting: Promise<C>): Promise<C> {
    return this.hold(limit, connecting, "none", () => {
      connecting.then(
        (late) => late.release(),
        () => {},
      );
    });
  }

  /** Gives up at once what may take longer, because the store is to be closed. */
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
   * What `work` answers; when its time is over, a StoreTimeoutError with this outcome, and `late` is called. What
   * `work` does after that is nobody's concern.
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

/** A function that throws fails as one that rejects. */
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
