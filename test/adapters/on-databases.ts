import { test } from "vitest";
import { adapterContract, type AdapterContractOptions } from "../../src/testing/index.ts";
import { eachStore } from "../session/stores.ts";

/**
 * Holds an adapter to its contract over SQLite, and to its core over memory and every other database that
 * TEST_DATABASES asks for.
 */
export function adapterOnEachDatabase(
  name: string,
  options: Omit<AdapterContractOptions, "test" | "create">,
): void {
  eachStore((database, create) => {
    adapterContract(name, {
      ...options,
      short: database !== "sqlite",
      test: (title, body) => test(title, { timeout: 120_000 }, body),
      async create() {
        const { store, drop } = await create();
        // The tables serve the next test too: closing empties them.
        return new Proxy(store, {
          get(target, property) {
            if (property === "close") return drop;
            const value: unknown = Reflect.get(target, property, target);
            return typeof value === "function"
              ? (value as (...args: unknown[]) => unknown).bind(target)
              : value;
          },
        });
      },
    });
  });
}
