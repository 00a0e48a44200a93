import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, test } from "vitest";
import { createSessionManager, migrate, StoreReadOnlyError } from "../../src/index.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { Callers, sharedSessions, type Sessions } from "../campaigns/callers.ts";
import { startReplicas, type Cluster } from "../campaigns/clusters.ts";
import { Switch } from "../campaigns/switch.ts";
import { contradictions } from "../audit/crashes.ts";
import { cookieOf, testKeys } from "../session/doubles.ts";
import { empty } from "../session/empty.ts";
import { chosenDatabases } from "./chosen.ts";

const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 1_000_000);
const url = (port: number): string => `postgres://postgres@127.0.0.1:${port}/postgres`;
const manager = (port: number): Sessions =>
  createSessionManager({ store: postgresStore(url(port)), keys: testKeys, storeTimeout: 5_000 });

describe.runIf(chosenDatabases().includes("postgres"))("PostgreSQL with a synchronous standby", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startReplicas();
    const store = postgresStore(cluster.urls[0]!);
    await migrate(store);
    await store.close();
  }, 60_000);
  afterAll(() => (cluster as Cluster | undefined)?.[Symbol.asyncDispose]());

  test("promise 8, R37: a read-only standby → reads work, and a write says so", async () => {
    const [primary, standby] = [manager(cluster.base), manager(cluster.base + 1)];
    const [cookie] = await sharedSessions(primary, 1);
    // Its row is on the standby's disk by now, and about to be applied there.
    let session = await standby.load(cookie);
    for (let tried = 0; session.isNew && tried < 100; tried++) {
      await pause(50);
      session = await standby.load(cookie);
    }
    assert.deepEqual(session.data, { count: 0 });
    session.data["count"] = 1;
    await assert.rejects(standby.commit(session), isReadOnly);
    await assert.rejects(
      standby.update(await standby.load(cookie), (data) => void (data["count"] = 1)),
      isReadOnly,
    );
    const ended = await standby.load(cookie);
    ended.destroy();
    await assert.rejects(standby.commit(ended), isReadOnly);
    const begun = await standby.load(null);
    begun.data["count"] = 1;
    await assert.rejects(standby.commit(begun), isReadOnly);
    assert.deepEqual((await standby.load(cookie)).data, { count: 0 });
    // The same commit, once the writer is reached again.
    assert.match(cookieOf(await primary.commit(await filled(primary))), /=/);
    await Promise.all([primary.close(), standby.close()]);
  });

  test(
    `promises 3, 7 and 8: the primary is killed under 64 callers and its standby promoted → nothing acknowledged is lost, and the audit trail agrees (R33, R37, R38, R49)`,
    { timeout: 60_000 },
    async () => {
      await using way = await Switch.to(cluster.base);
      const store = postgresStore(url(way.port));
      await empty(store);
      const audit = { checkpointEvery: "1 s" } as const;
      const sessions: Sessions = createSessionManager({ store, keys: testKeys, storeTimeout: 5_000, audit });
      const callers = new Callers({
        managers: [sessions],
        count: 64,
        seed,
        name: "caller",
        shared: await sharedSessions(sessions, 3),
      });
      const { figures } = callers;
      callers.start();
      await until(() => figures.acknowledged > 500);
      await cluster.command("kill-primary");
      await cluster.command("promote");
      way.lead(cluster.base + 1);
      // What is answered from now on was asked of the new primary.
      const promoted = figures.acknowledged;
      await until(() => figures.acknowledged > promoted + 500);
      await callers.stop();
      console.log("failover of PostgreSQL", { seed, promoted, ...figures, ...callers.census() });
      assert.ok(Object.keys(figures.errors).length > 0, "the failure was felt");
      assert.deepEqual(await callers.verify(sessions), []);
      assert.deepEqual(await contradictions(store, testKeys, []), []);
      await sessions.close();
    },
  );
});

async function until(reached: () => boolean): Promise<void> {
  while (!reached()) await pause(20);
}

async function filled(sessions: Sessions): ReturnType<Sessions["load"]> {
  const session = await sessions.load(null);
  session.data["count"] = 1;
  return session;
}

function isReadOnly(error: unknown): boolean {
  return error instanceof StoreReadOnlyError && error.status === 503 && error.outcome === "none";
}
