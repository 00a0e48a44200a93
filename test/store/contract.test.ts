import { DatabaseSync } from "node:sqlite";
import { describe, test } from "vitest";
import { migrate } from "../../src/store/migrate.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { storeContract } from "../../src/testing/store-contract.ts";
import { sqliteDrivers } from "../servers/chosen.ts";
import { Better, temporaryFolder } from "./temporary.ts";

const { file: path } = temporaryFolder();

describe("store contract", () => {
  storeContract("memory", { test, create: async () => memoryStore() });

  for (const driver of sqliteDrivers) {
    storeContract(`${driver} by path`, { test, create: async () => sqliteStore(path(), { driver }) });
    storeContract(`${driver} in memory`, { test, create: async () => sqliteStore(":memory:", { driver }) });
  }

  let handle: { close(): unknown };
  const destroy = async (): Promise<void> => void handle.close();

  storeContract("node:sqlite by handle, with bigints and arrays as its defaults", {
    test,
    destroy,
    async create() {
      const opened = new DatabaseSync(path(), { readBigInts: true, returnArrays: true });
      handle = opened;
      const store = sqliteStore(opened);
      await migrate(store);
      return store;
    },
  });

  if (!sqliteDrivers.includes("better-sqlite3")) return;
  storeContract("better-sqlite3 by handle, with bigints as its default", {
    test,
    destroy,
    async create() {
      const opened = new Better(path());
      opened.defaultSafeIntegers(true);
      handle = opened;
      const store = sqliteStore(opened, { table: "web_sessions" });
      await migrate(store);
      return store;
    },
  });
});
