import { afterAll, describe } from "vitest";
import { createSessionManager } from "../../src/index.ts";
import { memoryStore } from "../../src/store/memory.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { boundManagers } from "../device-binding/bound-managers.ts";
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

/** For suites whose device-bound sessions ask nothing of a server that the races do not. */
export const onSqlite = (name: string): boolean => name === "sqlite";

/** How the sessions of a suite are made. */
export interface Making {
  readonly createSessionManager: typeof createSessionManager;
  /** Every login is bound to a device. */
  readonly isBound: boolean;
  /** Who is logged in where it makes no difference to a test. */
  readonly user: string | undefined;
}

/**
 * Runs a suite as {@link eachStore} does, and once more with device-bound sessions.
 * @param binds whether to do so on this store; on each kind of database unless given
 */
export function eachStoreAndBinding(
  suite: (name: string, create: () => Promise<TestStore>, making: Making) => void,
  binds: (name: string) => boolean = (name) => name !== "memory" && name !== "better-sqlite3",
): void {
  eachStore((name, create) => {
    suite(name, create, { createSessionManager, isBound: false, user: undefined });
    if (!binds(name)) return;
    describe("device-bound", () => {
      let current: TestStore;
      const remembered = async () => (current = await create());
      const bound = boundManagers(() => current.store);
      suite(name, remembered, { createSessionManager: bound, isBound: true, user: "42" });
    });
  });
}

export { empty };
