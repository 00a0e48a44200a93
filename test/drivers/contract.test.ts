import { afterAll, beforeAll, describe, test } from "vitest";
import { storeContract } from "../../src/testing/store-contract.ts";
import { drivers, dropTables, ownTable, urlOf, type OpenedDriver } from "./drivers.ts";

if (drivers.length === 0)
  test.skip("TEST_DATABASES without a database that has further drivers → skipped", () => {});

for (const driver of drivers) {
  if (driver.elsewhere) continue;
  describe(driver.name, () => {
    let opened: OpenedDriver;
    let table: string;
    beforeAll(async () => {
      opened = await driver.open(urlOf(driver));
      table = ownTable();
    });
    afterAll(() => opened?.close());

    storeContract(driver.name, {
      test,
      async create() {
        const store = opened.store(table);
        await store.migrate!();
        return store;
      },
      destroy: async () => {
        for (const suffix of ["", "_leases"]) await opened.execute(`DELETE FROM ${table}${suffix}`);
        await opened.execute(`DROP TABLE IF EXISTS ${table}_imports`);
      },
    });

    test("the end → its tables are dropped", () => dropTables(opened, table));
  });
}
