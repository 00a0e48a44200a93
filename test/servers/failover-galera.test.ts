import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, test } from "vitest";
import { createSessionManager, migrate } from "../../src/index.ts";
import { mysqlStore } from "../../src/store/mysql.ts";
import { Callers, sharedSessions, type Sessions } from "../campaigns/callers.ts";
import { startGalera, type Cluster } from "../campaigns/clusters.ts";
import { Switch } from "../campaigns/switch.ts";
import { testKeys } from "../session/doubles.ts";
import { chosenDatabases } from "./chosen.ts";
import { execute } from "./databases.ts";

const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 1_000_000);
const url = (port: number): string => `mysql://test:test@127.0.0.1:${port}/test`;
const manager = (port: number): Sessions =>
  createSessionManager({ store: mysqlStore(url(port)), keys: testKeys, storeTimeout: 5_000 });

describe.runIf(chosenDatabases().includes("mariadb"))("three nodes of Galera", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startGalera();
  }, 120_000);
  afterAll(() => (cluster as Cluster | undefined)?.[Symbol.asyncDispose]());

  test("a migration on all nodes at once is made once", async () => {
    const stores = [0, 1, 2, 0, 1, 2].map((node) => mysqlStore(cluster.urls[node]!));
    await Promise.all(stores.map((store) => migrate(store)));
    await Promise.all(stores.map((store) => migrate(store)));
    const counts = await Promise.all(stores.map((store) => store.count(0)));
    assert.deepEqual(counts, [0, 0, 0, 0, 0, 0]);
    await Promise.all(stores.map((store) => store.close()));
  });

  test(
    "promises 2, 3, 7 and 8: a node is killed under 64 callers on all nodes (R33, R37, R38, R39)",
    { timeout: 90_000 },
    async () => {
      await using first = await Switch.to(cluster.base);
      const ports = [first.port, cluster.base + 1, cluster.base + 2];
      const managers = ports.map(manager);
      const shared = await sharedSessions(managers[0]!, 3);
      const callers = new Callers({ managers, count: 64, seed, name: "caller", shared });
      callers.start();
      await pause(3_000);
      const before = callers.figures.acknowledged;
      await cluster.tell("kill", "0");
      first.lead(cluster.base + 1);
      await pause(3_500);
      const survived = callers.figures.acknowledged;
      await pause(2_500);
      await callers.stop();
      const { figures } = callers;
      const conflicts = await conflictsOf([url(cluster.base + 1), url(cluster.base + 2)]);
      console.log("a node of Galera killed", {
        seed,
        before,
        survived,
        conflicts,
        ...figures,
        ...callers.census(),
      });
      assert.ok(before > 64, `${before} writes before`);
      assert.ok(figures.acknowledged > survived + 64, "the application goes on");
      assert.ok(conflicts > 0, "commits of several nodes met");
      assert.equal(figures.errors["STORE"], undefined, "conflicts at commit are tried again");
      for (const sessions of managers) assert.deepEqual(await callers.verify(sessions), []);
      await checkCounts(callers, managers, shared);
      await Promise.all(managers.map((sessions) => sessions.close()));
    },
  );
});

/** Writes that a node had to give up because another node's came first. */
async function conflictsOf(urls: readonly string[]): Promise<number> {
  const text = "SHOW STATUS WHERE variable_name IN ('wsrep_local_cert_failures', 'wsrep_local_bf_aborts')";
  const rows = await Promise.all(urls.map((each) => execute(each, "mariadb", text)));
  return rows.flat().reduce((total, row) => total + Number(row["Value"]), 0);
}

async function checkCounts(callers: Callers, managers: readonly Sessions[], shared: readonly string[]) {
  for (const cookie of shared) {
    const { least, most } = callers.counted(cookie);
    const count = (await managers[1]!.load(cookie)).data["count"] as number;
    assert.ok(least <= count && count <= most, `${least} to ${most} were counted, and there are ${count}`);
  }
}
