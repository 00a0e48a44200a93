import { ClosedError, StoreTimeoutError } from "../errors.ts";
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

interface Checkout<T> {
  readonly policy: OperationPolicy;
  /** Maximum size of the pool. 10 if the pool does not expose it. */
  readonly connections: number | undefined;
  work(): Promise<T>;
  /** Whether the connection is unusable after this failure. */
  isBroken(error: unknown): boolean;
  release(broken: boolean): void;
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

  /** Works with a connection and returns it, which happens later if the operation was not abandoned. */
  async withConnection<T>(checkout: Checkout<T>): Promise<T> {
    const { policy, connections = OF_A_POOL, isBroken, release } = checkout;
    const now: { late: "no" | "dropped" | "kept" } = { late: "no" };
    const working = begun(checkout.work);
    let answer: T;
    try {
      answer = await this.hold(policy.limit, working, policy.ifTimedOut, () => {
        now.late = this.#mayDrop(connections) ? "dropped" : "kept";
      });
    } catch (error) {
      if (now.late === "kept") this.#keep(working, checkout);
      else release(now.late === "dropped" || isBroken(error));
      throw error;
    }
    release(false);
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
    this.#lists?.longer.close();
    this.#lists?.usual.close();
  }

  #keep<T>(working: Promise<T>, { isBroken, release }: Checkout<T>): void {
    let dropped = false;
    const over = () => {
      dropped = true;
      this.#dropped.push(performance.now());
    };
    this.hold("longer", working, "unknown", over)
      .then(
        () => release(false),
        (error: unknown) => release(dropped || isBroken(error)),
      )
      .catch(() => {});
  }

  #mayDrop(connections: number): boolean {
    const now = performance.now();
    this.#dropped = this.#dropped.filter((at) => at > now - LONGER * this.#milliseconds);
    if (!this.#closing && this.#dropped.length >= connections) return false;
    this.#dropped.push(now);
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
