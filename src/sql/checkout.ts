import type { Deadlines, Limited } from "../shared/deadlines.ts";
import { OF_A_POOL, type OperationPolicy, type TimeLimit } from "../shared/time-limit.ts";

/** What a {@link Checkout} needs of a pool. */
export interface Lender<SomeConnection> {
  readonly limit: TimeLimit;
  /** Maximum size of the pool. Undefined if the pool does not expose it. */
  readonly connections: number | undefined;
  connect(): Promise<SomeConnection>;
  /** Whether a connection may be used. If not, or if it throws, the connection was returned or dropped. */
  admit(connection: SomeConnection): boolean;
  /** The error when none of the pool's connections may be used. */
  noneAdmitted(): Error;
  /** Prepares a connection before its first statement. Undefined if there is nothing to do. */
  greet(connection: SomeConnection): Promise<void> | undefined;
  /** Whether the connection is unusable after this failure. */
  isBroken(error: unknown, connection: SomeConnection): boolean;
  release(connection: SomeConnection, broken: boolean): void;
  /** Returns a connection that was not admitted. */
  returnUnused(connection: SomeConnection): void;
  /** What the caller is told. */
  explain(error: unknown, outcome: "none" | "unknown"): Error;
}

/**
 * One use of a pool's connection: borrowed, worked with and returned, under one deadline. It begins anew when the
 * connection arrives, and its phase decides the outcome:
 *
 *     borrowing ──▶ working ──▶ over
 *         │            └──▶ late ──▶ over
 *         └──▶ over
 *
 * Until the connection arrives, nothing was sent. One that arrives too late is returned unused. After that, the policy
 * decides. A statement that exceeds its limit is abandoned and its connection dropped, or kept for the longer limit
 * (late), as {@link TimeLimit} says.
 */
export class Checkout<SomeConnection, T> implements Limited {
  deadline = 0;
  earlier: Limited | null = null;
  later: Limited | null = null;
  readonly #lender: Lender<SomeConnection>;
  readonly #policy: OperationPolicy;
  readonly #work: (connection: SomeConnection) => Promise<T>;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: Error) => void;
  /** Undefined without a limit. */
  #deadlines: Deadlines | undefined;
  #phase: "borrowing" | "working" | "late" | "over" = "borrowing";
  #connection: SomeConnection | null = null;
  #refused = 0;
  #began = 0;

  /** Returns the result of `work`. */
  static of<SomeConnection, T>(
    lender: Lender<SomeConnection>,
    policy: OperationPolicy,
    work: (connection: SomeConnection) => Promise<T>,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => new Checkout(lender, policy, work, resolve, reject).#borrow());
  }

  private constructor(
    lender: Lender<SomeConnection>,
    policy: OperationPolicy,
    work: (connection: SomeConnection) => Promise<T>,
    resolve: (value: T) => void,
    reject: (error: Error) => void,
  ) {
    this.#lender = lender;
    this.#policy = policy;
    this.#work = work;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#deadlines = lender.limit.deadlinesOf(policy.limit);
  }

  expire(): void {
    const { limit, connections = OF_A_POOL } = this.#lender;
    if (this.#phase === "late") {
      this.#phase = "over";
      limit.dropped();
      this.#release(true);
      return;
    }
    const isWorking = this.#phase === "working";
    const outcome = isWorking ? this.#policy.ifTimedOut : "none";
    const error = limit.exceeded(this.#policy.limit, performance.now() - this.#began, outcome);
    this.#phase = "over";
    this.#reject(error);
    if (!isWorking) return;
    if (limit.mayDrop(connections)) this.#release(true);
    else this.#keep();
  }

  #borrow(): void {
    try {
      this.#lender.connect().then(
        (connection) => this.#arrived(connection),
        (error: unknown) => this.#fail(error),
      );
      this.#limit();
    } catch (error) {
      this.#fail(error);
    }
  }

  #arrived(connection: SomeConnection): void {
    const lender = this.#lender;
    if (this.#phase === "over") return withoutThrowing(() => lender.returnUnused(connection));
    try {
      if (!lender.admit(connection)) {
        if (this.#refused++ >= (lender.connections ?? OF_A_POOL)) throw lender.noneAdmitted();
        return this.#borrow();
      }
    } catch (error) {
      return this.#fail(error);
    }
    this.#phase = "working";
    this.#connection = connection;
    try {
      const greeting = lender.greet(connection);
      const working = greeting?.then(() => this.#work(connection)) ?? this.#work(connection);
      working.then(
        (value) => this.#done(value),
        (error: unknown) => this.#failed(error),
      );
      this.#limit();
    } catch (error) {
      this.#failed(error);
    }
  }

  #done(value: T): void {
    const isWaitedFor = this.#phase === "working";
    if (!this.#end()) return;
    if (isWaitedFor) this.#resolve(value);
    this.#release(false);
  }

  #failed(error: unknown): void {
    const isWaitedFor = this.#phase === "working";
    if (!this.#end()) return;
    const isBroken = this.#lender.isBroken(error, this.#connection!);
    if (isWaitedFor) this.#reject(this.#lender.explain(error, this.#policy.ifLost));
    this.#release(isBroken);
  }

  /** Before a connection was admitted. */
  #fail(error: unknown): void {
    if (this.#end()) this.#reject(this.#lender.explain(error, "none"));
  }

  /** False if it was over before. */
  #end(): boolean {
    if (this.#phase === "over") return false;
    this.#phase = "over";
    this.#deadlines?.remove(this);
    return true;
  }

  #release(broken: boolean): void {
    withoutThrowing(() => this.#lender.release(this.#connection!, broken));
  }

  /** Begins the time of a phase. */
  #limit(): void {
    const deadlines = this.#deadlines;
    if (deadlines === undefined) return;
    const isFirst = this.#began === 0;
    this.#began = performance.now();
    if (this.#lender.limit.isOver(this.#policy.limit)) {
      deadlines.remove(this);
      this.expire();
    } else if (isFirst) deadlines.add(this);
    else deadlines.renew(this);
  }

  /** Nobody waits for the statement any more, but its connection cannot be dropped yet. */
  #keep(): void {
    this.#phase = "late";
    this.#deadlines = this.#lender.limit.deadlinesOf("longer");
    if (this.#lender.limit.isOver("longer")) return this.expire();
    try {
      this.#deadlines?.add(this);
    } catch {
      // A runtime that refuses one more timer: without one, the connection could be kept for ever.
      this.#phase = "over";
      this.#release(true);
    }
  }
}

/**
 * Returns a connection after its caller was answered. pg throws if the application has released it before, by releasing
 * a client of its own twice.
 */
function withoutThrowing(release: () => void): void {
  try {
    release();
  } catch {
    // The connection is not ours any more, and the outcome stays what it was.
  }
}
