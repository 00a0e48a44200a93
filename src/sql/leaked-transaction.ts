import { StoreError } from "../errors.ts";

/** The cause of an error about a connection that was released inside a transaction. */
class LeakedTransaction extends Error {}

const advice = "Commit or roll back before release(), including after an error.";

/** A statement ran inside a leaked transaction of the application. `none` if it was rolled back for certain. */
export function leakedTransaction(store: string, outcome: "none" | "unknown"): StoreError {
  const kept =
    outcome === "none" ? "the store did not use it" : "it is unknown whether the store's write is kept";
  const message = `The application left a transaction open on a connection of the pool given to ${store}, so ${kept}. ${advice}`;
  const cause = new LeakedTransaction("The connection was dropped, and its transaction rolled back.");
  return new StoreError(message, { cause, outcome });
}

/** Whether the statement can be retried on another connection. */
export function isUndone(error: unknown): boolean {
  return error instanceof StoreError && error.cause instanceof LeakedTransaction && error.outcome === "none";
}

/** Warns once about dropped connections: the transaction lost with each is the application's own. */
export class LeakedTransactionWarning {
  readonly #store: string;
  #warned = false;

  constructor(store: string) {
    this.#store = store;
  }

  warn(): void {
    if (this.#warned) return;
    this.#warned = true;
    process.emitWarning(
      `The application released a connection of the pool given to ${this.#store} inside a transaction. The connection was dropped, and the transaction rolled back.`,
      { type: "StoredSessionWarning", code: "STORED_SESSION_OPEN_TRANSACTION", detail: advice },
    );
  }
}
