import { describe, test } from "vitest";
import { storeContract } from "../../src/testing/store-contract.ts";
import { databases } from "../servers/databases.ts";
import type { CreatedStore } from "../servers/databases.ts";

// The contract suite, unchanged, over every database (promises 2, 3 and 5; R31, R32, R34, R38).
for (const database of databases) {
  describe(database.name, () => {
    let created: CreatedStore;
    storeContract(database.name, {
      test,
      async create() {
        created = await database.createStore();
        await created.store.migrate();
        return created.store;
      },
      destroy: () => created.drop(),
    });
  });
}
