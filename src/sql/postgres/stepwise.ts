/** A client over a library whose transactions last as long as a function, and whose pool shares out connections itself. */
import type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from "./driver.ts";

/** What is used of such a library. */
export interface Scoped<Transaction> {
  /** How many connections its pool may have. */
  readonly max: number;
  /** Sends a statement: alone, or in this transaction. */
  send(query: PostgresQuery, transaction: Transaction | null): Promise<PostgresResult>;
  /** Commits when `work` resolves, and rolls back when it rejects. */
  transaction(work: (transaction: Transaction) => Promise<void>): Promise<unknown>;
  /** Whether nothing can be sent any more in a transaction that this error came from, not even a rollback. */
  endsTransaction(error: unknown): boolean;
  /** Gives up what is under way, as far as it can be. */
  cancel?(sent: Promise<PostgresResult>): void;
  end(): Promise<void>;
}

export function stepwisePool<Transaction>(scoped: Scoped<Transaction>): PostgresPool {
  return {
    options: { max: scoped.max },
    connect: async () => new StepwiseClient(scoped),
    end: () => scoped.end(),
  };
}

class StepwiseClient<Transaction> implements PostgresClient {
  readonly #scoped: Scoped<Transaction>;
  #steps: Steps<Transaction> | null = null;
  #sent: Promise<PostgresResult> | null = null;
  #released = false;

  constructor(scoped: Scoped<Transaction>) {
    this.#scoped = scoped;
  }

  get core(): object {
    return this.#scoped;
  }

  async query(query: PostgresQuery): Promise<PostgresResult> {
    this.#assertHeld();
    const steps = this.#steps;
    if (query.text.startsWith("BEGIN")) {
      await this.#begin();
      return NOTHING;
    }
    if (steps?.isOver) {
      this.#steps = null;
      return steps.reason();
    }
    if (query.text === "COMMIT" || query.text === "ROLLBACK") {
      this.#steps = null;
      await (query.text === "COMMIT" ? steps?.commit() : steps?.rollback());
      return NOTHING;
    }
    const sent = this.#scoped.send(query, steps?.transaction ?? null);
    this.#sent = sent;
    try {
      return await sent;
    } catch (error) {
      if (steps && this.#scoped.endsTransaction(error)) this.#steps = null;
      throw error;
    } finally {
      if (this.#sent === sent) this.#sent = null;
    }
  }

  /** A transaction that begins after it was given up is rolled back. */
  async #begin(): Promise<void> {
    const steps = await Steps.begin<Transaction>((work) => this.#scoped.transaction(work));
    try {
      this.#assertHeld();
    } catch (error) {
      await steps.rollback();
      throw error;
    }
    this.#steps = steps;
  }

  /**
   * A late transaction goes on when its statement is answered. Without its transaction, the next statement would be kept
   * alone.
   */
  #assertHeld(): void {
    if (this.#released) throw new Error("The operation was given up, so it sends no further statement.");
  }

  release(destroy = false): void {
    this.#released = true;
    if (destroy && this.#sent) this.#scoped.cancel?.(this.#sent);
    // What is still open ends as soon as what is under way has.
    const steps = this.#steps;
    this.#steps = null;
    void Promise.resolve(this.#sent)
      .then(
        () => true,
        (error: unknown) => !this.#scoped.endsTransaction(error),
      )
      .then((isOpen) => (isOpen ? steps?.rollback() : undefined))
      .catch(ignore);
  }

  // Each failure rejects the statement that caused it.
  on(): void {}
  removeListener(): void {}
}

const NOTHING: PostgresResult = { rows: [], rowCount: 0 };

const ROLLED_BACK = new Error("rolled back");

/** A transaction in steps. One whose connection is gone is never finished: nothing may be sent through it. */
class Steps<Transaction> {
  readonly transaction: Transaction;
  readonly #finish: (rolledBack: Error | null) => void;
  readonly #finished: Promise<unknown>;
  /** The library has ended it, as it does when the connection breaks between two statements. */
  isOver = false;

  private constructor(
    transaction: Transaction,
    finish: (rolledBack: Error | null) => void,
    finished: Promise<unknown>,
  ) {
    this.transaction = transaction;
    this.#finish = finish;
    this.#finished = finished;
    const over = (): void => void (this.isOver = true);
    finished.then(over, over);
  }

  static begin<Transaction>(
    start: (work: (transaction: Transaction) => Promise<void>) => Promise<unknown>,
  ): Promise<Steps<Transaction>> {
    return new Promise((begun, failed) => {
      let finished: Promise<unknown> | null = null;
      finished = start(
        (transaction) =>
          new Promise<void>((resolve, reject) => {
            const finish = (error: Error | null): void => (error ? reject(error) : resolve());
            // Also where the library calls its function at once, before it returns a promise.
            queueMicrotask(() => begun(new Steps(transaction, finish, finished!)));
          }),
      );
      finished.catch(failed);
    });
  }

  async commit(): Promise<void> {
    this.#finish(null);
    await this.#finished;
  }

  /** Rejects with what ended it. */
  async reason(): Promise<never> {
    await this.#finished;
    throw new Error("The transaction has ended.");
  }

  async rollback(): Promise<void> {
    if (this.isOver) return;
    this.#finish(ROLLED_BACK);
    await this.#finished.catch((error: unknown) => {
      if (error !== ROLLED_BACK) throw error;
    });
  }
}

function ignore(): void {}
