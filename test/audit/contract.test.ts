/**
 * The contract of a store whose every write goes through the audit trail, in one transaction with its event.
 *
 * The sentences about writing; all of them with TEST_TRAIL=all (`npm run test:soak`).
 */
import { afterAll, describe, test } from "vitest";
import { write } from "../../src/sql/statement.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { storeContract } from "../../src/testing/store-contract.ts";
import { databases, type CreatedStore } from "../servers/databases.ts";
import { empty } from "../session/empty.ts";
import { throughTrail } from "./through-trail.ts";
import { isWhole } from "./whole.ts";
import { world } from "./world.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import type { SessionStore } from "../../src/store/contract.ts";

const recorded = (store: SessionStore): SessionStore => throughTrail(store, world().trail(store));
/** What the trail does in another way than the store. */
const writing = /: (insert|update|replace|login|delete|links|close|every operation)\b/;
const chosen: typeof test = isWhole
  ? test
  : (((name: string, body: () => Promise<void>) => writing.test(name) && test(name, body)) as typeof test);

describe("audit trail in memory", () => {
  storeContract("memory", { test: chosen, create: async () => recorded(memoryStore()) });
});

for (const database of databases.filter(({ name }) => isWhole || name !== "better-sqlite3")) {
  describe(`audit trail on ${database.name}`, () => {
    let created: CreatedStore | undefined;
    afterAll(async () => created?.drop());
    storeContract(database.name, {
      test: chosen,
      async create() {
        if (created === undefined) {
          created = await database.createStore();
          await created.store.migrate();
        }
        await empty(created.store);
        const { database: below } = created.store as SqlStore;
        await below.run(write(`DELETE FROM ${below.dialect.names.leases}`));
        return recorded(created.another());
      },
    });
  });
}
