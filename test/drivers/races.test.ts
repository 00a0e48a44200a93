import { afterAll, describe, test } from "vitest";
import { raceSuite } from "../session/race-suite.ts";
import { empty } from "../session/stores.ts";
import { drivers, dropTables, ownTable, urlOf, type OpenedDriver } from "./drivers.ts";
import type { SessionStore } from "../../src/store/contract.ts";

/** `npm run test:soak` runs 2,000. */
const interleavings = Number(process.env["TEST_ROUNDS"] ?? 30);

if (drivers.length === 0)
  test.skip("TEST_DATABASES without a database that has further drivers → skipped", () => {});

for (const driver of drivers) {
  if (driver.elsewhere) continue;
  describe(driver.name, () => {
    const table = ownTable();
    let opened: OpenedDriver | undefined;
    let store: SessionStore;
    afterAll(async () => {
      if (opened === undefined) return;
      await store.close();
      await dropTables(opened, table);
      await opened.close();
    });

    raceSuite(
      driver.name,
      async () => {
        if (opened === undefined) {
          opened = await driver.open(urlOf(driver));
          store = opened.store(table);
          await store.migrate!();
        }
        return { store, drop: () => empty(store) };
      },
      interleavings,
    );
  });
}
