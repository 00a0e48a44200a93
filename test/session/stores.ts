import { afterAll, describe } from "vitest";
import { memoryStore } from "../../src/store/memory.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { empty } from "./empty.ts";
import { databases, type CreatedStore } from "../servers/databases.ts";

/** A migrated, empty store, and the end of it. */
export interface TestStore {
  store: SessionStore;
  drop(): Promise<void>;
}

/**
 * Runs a suite over memory and over every database that TEST_DATABASES asks for. The tables are made once for a
 * suite and emptied for each test.
 */
export function eachStore(suite: (name: string, create: () => Promise<TestStore>) => void): void {
  describe("memory", () => suite("memory", async () => ({ store: memoryStore(), drop: async () => {} })));
  for (const database of databases) {
    describe(database.name, () => {
      let created: CreatedStore | undefined;
      afterAll(async () => created?.drop());
      suite(database.name, async () => {
        if (created === undefined) {
          created = await database.createStore();
          await created.store.migrate();
        }
        const { store } = created;
        return { store, drop: () => empty(store) };
      });
    });
  }
}

export { empty };
