import { StoreTimeoutError } from "../errors.ts";
import { Deadlines, type Limited } from "./deadlines.ts";

/** How much more time than the others statements have that read a whole table. */
export const LONGER = 12;

/** Which limit something is under; null for none. */
export type Limit = "usual" | "longer" | null;

/**
 * How long the users of a database wait for it. What has no answer by then is given up, together with the connection
 * under it: a server that vanishes without a word would otherwise keep the connections of the pool, one after another,
 * until the system gives them up, and that takes it a quarter of an hour.
 */
export class TimeLimit {
  #milliseconds = 0;
  #lists: { readonly usual: Deadlines; readonly longer: Deadlines } | null = null;

  /** Of several users the most patient one counts. Without any, nothing is limited. */
  extendTo(milliseconds: number): void {
    if (milliseconds <= this.#milliseconds) return;
    this.#milliseconds = milliseconds;
    this.#lists = { usual: new Deadlines(milliseconds), longer: new Deadlines(LONGER * milliseconds) };
  }

  /**
   * What `work` answers; when its time is over, a StoreTimeoutError with this outcome, and `giveUp` is called. What
   * `work` does after that is nobody's concern.
   */
  hold<T>(limit: Limit, work: Promise<T>, outcome: "none" | "unknown", giveUp: () => void): Promise<T> {
    const list = limit === null ? undefined : this.#lists?.[limit];
    if (list === undefined) return work;
    return new Promise<T>((resolve, reject) => {
      const began = performance.now();
      const entry = new Held(() => {
        const waited = Math.round(performance.now() - began);
        giveUp();
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
