import { StoreUnavailableError } from "../errors.ts";
import type { SessionStore } from "../store/contract.ts";

export type StoreOperation =
  "read" | "insert" | "update" | "replace" | "touch" | "delete" | "listByUser" | "deleteByUser";

const operations: readonly StoreOperation[] = [
  "read",
  "insert",
  "update",
  "replace",
  "touch",
  "delete",
  "listByUser",
  "deleteByUser",
];
const writes: readonly StoreOperation[] = ["insert", "update", "replace", "delete"];

/** A store for tests: counts the operations that reach the store below, delays them, and fails on demand. */
export class WatchedStore {
  /** Pass this to the manager. */
  readonly store: SessionStore;
  /** Operations that reached the store, in order. */
  readonly calls: StoreOperation[] = [];
  #failing: readonly StoreOperation[] = [];
  #held: { operations: readonly StoreOperation[]; arrived: () => void; released: Promise<void> } | null =
    null;

  constructor(store: SessionStore) {
    const wrap = (operation: StoreOperation) => {
      const below = (store[operation] as (...args: unknown[]) => Promise<unknown>).bind(store);
      return async (...args: unknown[]): Promise<unknown> => {
        this.calls.push(operation);
        if (this.#held?.operations.includes(operation)) {
          this.#held.arrived();
          await this.#held.released;
        }
        if (this.#failing.includes(operation)) throw new StoreUnavailableError("The test's store is down.");
        return below(...args);
      };
    };
    const wrapped = new Map<string | symbol, unknown>(
      operations.map((operation) => [operation, wrap(operation)]),
    );
    this.store = new Proxy(store, {
      get(target, property) {
        if (wrapped.has(property)) return wrapped.get(property);
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
      },
    });
  }

  /** Makes these operations fail like an unreachable store until `up()` is called. */
  down(what: "reads" | "writes" | "all"): void {
    this.#failing = what === "all" ? operations : what === "reads" ? ["read"] : writes;
  }

  up(): void {
    this.#failing = [];
  }

  /** Delays writes. `arrived` resolves when the first is waiting. */
  holdWrites(): { arrived: Promise<void>; release: () => void } {
    return this.hold(writes);
  }

  /** Delays reads. `arrived` resolves when the first is waiting. */
  holdReads(): { arrived: Promise<void>; release: () => void } {
    return this.hold(["read"]);
  }

  /** Delays these operations. `arrived` resolves when the first is waiting. */
  hold(held: readonly StoreOperation[]): { arrived: Promise<void>; release: () => void } {
    const arrived = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    this.#held = { operations: held, arrived: arrived.resolve, released: released.promise };
    return {
      arrived: arrived.promise,
      release: () => {
        this.#held = null;
        released.resolve();
      },
    };
  }
}
