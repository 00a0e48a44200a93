import { describe } from "vitest";
import { migrate } from "../../src/migrations/migrator.ts";
import { memoryStore } from "../../src/store/memory.ts";
import type { SessionStore } from "../../src/store/store.ts";
import { databases } from "../servers/databases.ts";

/** A migrated, empty store, and the end of it. */
export interface TestStore {
  store: SessionStore;
  drop(): Promise<void>;
}

/** Runs a suite over memory and over every database that TEST_DATABASES asks for. */
export function eachStore(suite: (name: string, create: () => Promise<TestStore>) => void): void {
  describe("memory", () => suite("memory", async () => ({ store: memoryStore(), drop: async () => {} })));
  for (const database of databases) {
    describe(database.name, () =>
      suite(database.name, async () => {
        const created = await database.createStore();
        await migrate(created.store);
        return created;
      }),
    );
  }
}
