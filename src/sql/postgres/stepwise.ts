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

  constructor(scoped: Scoped<Transaction>) {
    this.#scoped = scoped;
  }

  get core(): object {
    return this.#scoped;
  }

  async query(query: PostgresQuery): Promise<PostgresResult> {
    const steps = this.#steps;
    if (query.text.startsWith("BEGIN")) {
      this.#steps = await Steps.begin((work) => this.#scoped.transaction(work));
      return NOTHING;
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

  release(destroy = false): void {
    if (destroy && this.#sent) this.#scoped.cancel?.(this.#sent);
    // What is still open ends as soon as what is under way has.
    const steps = this.#steps;
    this.#steps = null;
    void Promise.resolve(this.#sent)
      .catch(ignore)
      .then(() => steps?.rollback())
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

  private constructor(
    transaction: Transaction,
    finish: (rolledBack: Error | null) => void,
    finished: Promise<unknown>,
  ) {
    this.transaction = transaction;
    this.#finish = finish;
    this.#finished = finished;
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
            begun(new Steps(transaction, finish, finished!));
          }),
      );
      finished.catch(failed);
    });
  }

  async commit(): Promise<void> {
    this.#finish(null);
    await this.#finished;
  }

  async rollback(): Promise<void> {
    this.#finish(ROLLED_BACK);
    await this.#finished.catch((error: unknown) => {
      if (error !== ROLLED_BACK) throw error;
    });
  }
}

function ignore(): void {}
