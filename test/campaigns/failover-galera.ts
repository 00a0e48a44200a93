/**
 * Three nodes of Galera, of which one is killed and comes back, round after round, under 64 callers on all nodes:
 *
 *   node test/campaigns/failover-galera.ts [--rounds 5] [--seed N]
 *
 * Promises 2, 3, 7 and 8 (R33, R37, R38, R39): the application goes on, nothing acknowledged is lost, nothing ended
 * is back on any node, and conflicts at commit (error 1213) are tried again. Before that, the nodes are migrated all
 * at once. Installs Debian's galera-4 when run as root.
 */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createConnection } from "mysql2/promise";
import { createSessionManager, migrate } from "../../src/index.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { seeded, testKeys } from "../session/doubles.ts";
import { Callers, sharedSessions } from "./callers.ts";
import { startGalera, type Cluster } from "./clusters.ts";
import { Switch } from "./switch.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
const random = seeded(seed);
const url = (port: number): string => `mysql://test:test@127.0.0.1:${port}/test`;
/** Writes that must be acknowledged before the kill, and again after it. */
const writes = 500;

console.log(`failover campaign on Galera: ${rounds} rounds, seed ${seed}`);
await using cluster = await startGalera();
await migrateAllAtOnce(cluster.urls);
await using first = await Switch.to(cluster.base);
await using second = await Switch.to(cluster.base + 1);
await using third = await Switch.to(cluster.base + 2);
const switches = [first, second, third];
const managers = switches.map(({ port }) =>
  createSessionManager<Record<string, unknown>>({ store: mysqlStore(url(port)), keys: testKeys }),
);
try {
  for (let round = 0; round < rounds; round++) await killOne(cluster, round);
  console.log("nothing lost, nothing back");
} finally {
  await Promise.all(managers.map((sessions) => sessions.close()));
}

async function migrateAllAtOnce(urls: readonly string[]): Promise<void> {
  const stores = [...urls, ...urls].map((each) => mysqlStore(each));
  await Promise.all(stores.map((store) => migrate(store)));
  assert.deepEqual(await Promise.all(stores.map((store) => store.count(0))), [0, 0, 0, 0, 0, 0]);
  await Promise.all(stores.map((store) => store.close()));
}

async function killOne({ base, command }: Cluster, round: number): Promise<void> {
  const shared = await sharedSessions(managers[0]!, 3);
  const callers = new Callers({ managers, count: 64, seed: seed + round, name: "caller", shared });
  const { figures } = callers;
  const node = Math.floor(random() * 3);
  const heir = (node + 1) % 3;
  const conflictsBefore = await conflictsOf(cluster.urls[heir]!);
  callers.start();
  await until(() => figures.acknowledged > writes);
  await command("kill", String(node));
  const killed = performance.now();
  switches[node]!.lead(base + heir);
  // What is answered from now on may have been asked before; so count twice.
  await until(() => figures.acknowledged > 2 * writes);
  const goneOn = Math.round(performance.now() - killed);
  await until(() => figures.acknowledged > 3 * writes);
  await callers.stop();
  const conflicts = (await conflictsOf(cluster.urls[heir]!)) - conflictsBefore;
  console.log({ round, node, goneOn, conflicts, ...figures, ...callers.census() });
  assert.equal(figures.errors["STORE"], undefined, "conflicts at commit are tried again");
  for (const sessions of managers) assert.deepEqual(await callers.verify(sessions), []);
  for (const cookie of shared) {
    const { least, most } = callers.counted(cookie);
    const count = (await managers[node]!.load(cookie)).data["count"] as number;
    assert.ok(least <= count && count <= most, `${least} to ${most} were counted, and there are ${count}`);
  }
  await command("restart", String(node));
  switches[node]!.lead(base + node);
  // The node that came back has it all as well.
  assert.deepEqual(await callers.verify(managers[node]!), []);
}

async function until(reached: () => boolean): Promise<void> {
  const end = performance.now() + 120_000;
  while (!reached()) {
    assert.ok(performance.now() < end, "the application does not go on");
    await pause(20);
  }
}

/** Writes that a node gave up because another node's came first. */
async function conflictsOf(node: string): Promise<number> {
  const connection = await createConnection({ uri: node });
  const text = "SHOW STATUS WHERE variable_name IN ('wsrep_local_cert_failures', 'wsrep_local_bf_aborts')";
  const [rows] = await connection.query(text);
  await connection.end();
  return (rows as { Value: string }[]).reduce((total, row) => total + Number(row.Value), 0);
}
