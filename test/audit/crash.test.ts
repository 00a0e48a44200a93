import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { generateKey } from "../../src/sealing/keyring.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { migrate } from "../../src/store/migrate.ts";
import { databases, type TestDatabase } from "../servers/databases.ts";
import { setTimeout as pause } from "node:timers/promises";
import { contradictions, runRound, ServerWay } from "./crashes.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import type { WorkerOptions } from "./writer.worker.ts";

/** Events of the second test; a campaign has a million. */
const EVENTS = Number(process.env["TEST_EVENTS"] ?? 1_000);
const WORKERS = EVENTS > 10_000 ? 8 : 3;
const ROUNDS = Number(process.env["TEST_ROUNDS"] ?? 1);
/** Of the processes of the second test. */
const KILLED = EVENTS > 10_000 ? 3 : 1;
/** How often all connections to the server break meanwhile, as at a failover. */
const FAILOVERS = EVENTS > 10_000 ? 5 : 1;

/** A store in tables of its own, and how a worker opens the same. */
async function opened(
  database: TestDatabase,
  work: (
    store: SessionStore,
    options: Pick<WorkerOptions, "kind" | "where" | "table" | "keys">,
  ) => Promise<void>,
): Promise<void> {
  const keys = generateKey();
  const folder = mkdtempSync(join(tmpdir(), "stored-session-audit-"));
  await using created = await database.createStore();
  const { kind, url } = database;
  const where = url ?? join(folder, "sessions.sqlite3");
  const table = url === null ? "stored_sessions" : created.table;
  const store: SessionStore = url === null ? sqliteStore(where) : created.store;
  try {
    await migrate(store);
    await work(store, { kind, where, table, keys });
  } finally {
    if (url === null) await store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.each(databases.filter(({ name }) => name !== "better-sqlite3"))(
  "audit trail on $name",
  (database) => {
    test(
      `R48, R49: processes killed with -9 in ${ROUNDS} round(s) → no acknowledged change without its event, no event without its change`,
      () =>
        opened(database, async (store, options) => {
          const acknowledged: string[] = [];
          // On a busy machine, a round may acknowledge only a few.
          for (let round = 0; round < ROUNDS || (acknowledged.length <= 10 && round < 10); round++) {
            acknowledged.push(...(await runRound(options, { workers: 3, killed: 2, within: 700 })));
          }
          expect(acknowledged.length).toBeGreaterThan(10);
          expect(await contradictions(store, options.keys, acknowledged)).toEqual([]);
        }),
      ROUNDS * 15_000 + 60_000,
    );

    test(
      `R49: ${EVENTS} events by ${WORKERS} processes, ${KILLED} killed with -9, and ${FAILOVERS} failover(s) of a server's connections → no false alarm`,
      () =>
        opened(database, async (store, options) => {
          const [further, each] = EVENTS > 10_000 ? [60, 62] : [3, 5];
          const most = Math.ceil(EVENTS / (WORKERS - KILLED) / each);
          const within = EVENTS > 10_000 ? 60_000 : 500;
          await using way = await ServerWay.to(options.where);
          const round = runRound(
            { ...options, where: way.where },
            { workers: WORKERS, killed: KILLED, within, further, most },
          );
          let isDone = false;
          void round.catch(() => {}).then(() => (isDone = true));
          for (let failover = 0; failover < FAILOVERS && !isDone; failover++) {
            await pause(within / 2);
            way.fail();
          }
          const acknowledged = await round;
          expect(await contradictions(store, options.keys, acknowledged, EVENTS)).toEqual([]);
        }),
      EVENTS * 10 + 90_000,
    );
  },
);
