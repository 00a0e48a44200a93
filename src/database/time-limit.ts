import { StoreTimeoutError } from "../errors.ts";
import { Deadlines, type Limited } from "./deadlines.ts";

/** How much more time than the others statements have that read a whole table. */
export const LONGER = 12;

/** Which limit something is under; null for none. */
export type Limit = "usual" | "longer" | null;

/** What is done with one connection between its leaving the pool and its return. */
export interface Trip {
  /** The outcome when the connection breaks. A transaction tells its own, so it says `none` here. */
  readonly lost: "none" | "unknown";
  /** The outcome when it has no answer in time. */
  readonly unanswered: "none" | "unknown";
  readonly limit: Limit;
}

interface Lent<T> {
  readonly trip: Trip;
  /** As many as the pool may have; 10 unless it tells. */
  readonly connections: number | undefined;
  work(): Promise<T>;
  /** Whether the connection cannot be used again after this failure. */
  isBroken(error: unknown): boolean;
  back(broken: boolean): void;
}

/** Connections of a pool that does not tell how many it may have. */
const OF_A_POOL = 10;

/**
 * How long the users of a database wait for it. What has no answer by then is given up, together with the connection
 * under it: a server that vanishes without a word would otherwise keep the connections of the pool, one after another,
 * until the system gives them up, and that takes it a quarter of an hour.
 *
 * Between two answers as many connections are given up as the pool may have, and no more: a server that lives, but
 * lets statements wait for a lock, does not notice that a connection was closed, and would be filled with them.
 */
export class TimeLimit {
  #milliseconds = 0;
  #givenUp = 0;
  #lists: { readonly usual: Deadlines; readonly longer: Deadlines } | null = null;

  /** Of several users the most patient one counts. Without any, nothing is limited. */
  extendTo(milliseconds: number): void {
    if (milliseconds <= this.#milliseconds) return;
    this.#milliseconds = milliseconds;
    this.#lists = { usual: new Deadlines(milliseconds), longer: new Deadlines(LONGER * milliseconds) };
  }

  /** Works with a connection and brings it back, which is later where it was not given up. */
  async lend<T>(lent: Lent<T>): Promise<T> {
    const { trip, connections = OF_A_POOL, back, isBroken } = lent;
    const now: { late: "no" | "given up" | "kept" } = { late: "no" };
    const working = lent.work();
    try {
      const answer = await this.hold(trip.limit, working, trip.unanswered, () => {
        now.late = this.#givenUp < connections ? "given up" : "kept";
        if (now.late === "given up") this.#givenUp++;
      });
      this.#givenUp = 0;
      back(false);
      return answer;
    } catch (error) {
      if (now.late === "kept")
        working.then(
          () => back(false),
          (reason: unknown) => back(isBroken(reason)),
        );
      else back(now.late === "given up" || isBroken(error));
      throw error;
    }
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
        reject(new StoreTimeoutError(`The database did not answer within ${waited} ms.`, { outcome }));
      });
      list.add(entry);
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
