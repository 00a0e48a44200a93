import { execSync } from "node:child_process";
import { mkdtempSync, rmSync, chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, test, vi } from "vitest";
import { killServer, stopProcess } from "../../scripts/services/processes.ts";
import { startPrivate } from "../../scripts/services/services.ts";
import type { ServerName } from "../../scripts/services/services.ts";
import { StoreError } from "../../src/errors.ts";
import type { SessionRow } from "../../src/store/row.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { typeOf } from "../../src/audit/events.ts";
import type { Trail } from "../../src/audit/trail.ts";
import type { AuditQuery, AuditRow } from "../../src/store/audit.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { throughTrail } from "../audit/through-trail.ts";
import { world } from "../audit/world.ts";
import { chosenDatabases } from "../servers/chosen.ts";
import { databases, execute } from "../servers/databases.ts";
import { drivers, ownTable } from "../drivers/drivers.ts";
import { nextRow, randomRow } from "../servers/rows.ts";

// CRASH_ROUNDS=20 for the long form.
const ROUNDS = Number(process.env["CRASH_ROUNDS"] ?? 1);

const servers = chosenDatabases().filter((name): name is ServerName => name !== "sqlite");

if (servers.length === 0) test.skip("TEST_DATABASES: no server → skipped", () => {});

/**
 * A cluster of the caller's (TEST_POSTGRES_URL) is killed and brought back by commands of the caller's, such as
 * `docker compose -f compose.citus.yaml kill worker1` and `… start worker1`.
 */
const cluster = { url: process.env["TEST_POSTGRES_URL"], crash: process.env["TEST_POSTGRES_CRASH"] };
const engine = inject("postgresEngine");

for (const name of servers) {
  if (name === "postgres" && engine !== "postgres") {
    test.skipIf(cluster.crash === undefined)(
      `${engine}: TEST_POSTGRES_CRASH is run under load → it keeps what was acknowledged and nothing comes back (promises 3 and 7)`,
      { timeout: ROUNDS * 240_000 },
      async () => {
        const url = cluster.url!;
        const database = databases.find(({ kind }) => kind === "postgres")!;
        await using created = await database.createStore();
        const { store } = created;
        await store.migrate();
        for (let round = 0; round < ROUNDS; round++) {
          const ledgers = await underLoad(store, async () => {
            execSync(cluster.crash!, { stdio: "ignore" });
          });
          execSync(process.env["TEST_POSTGRES_RECOVER"] ?? "true", { stdio: "ignore" });
          if (engine === "citus") {
            // Otherwise a prepared half may take a minute (citus.recover_2pc_interval).
            const recover = () => execute(url, "postgres", "SELECT recover_prepared_transactions()");
            await vi.waitFor(recover, { timeout: 60_000, interval: 1_000 });
          }
          await vi.waitFor(() => verify(store, ledgers), { timeout: 120_000, interval: 2_000 });
        }
      },
    );
    continue;
  }
  test(
    `${name}: killed under load of every driver → keeps what was acknowledged, and nothing comes back (promises 3 and 7)`,
    async () => {
      const directory = mkdtempSync(join(tmpdir(), `stored-session-crash-${name}-`));
      chmodSync(directory, 0o755);
      const home = join(directory, "server");
      let server = await startPrivate(name, home);
      const store = (name === "postgres" ? postgresStore : mysqlStore)(server.url, { poolSize: 8 });
      // Every other driver of this database, on tables of its own.
      const others = drivers.filter(({ kind, connects }) => kind === name && connects);
      const opened = await Promise.all(others.map((driver) => driver.open(server.url)));
      const stores = [store, ...opened.map((each) => each.store(ownTable()))];
      try {
        for (const each of stores) await each.migrate!();
        for (let round = 0; round < ROUNDS; round++) {
          const killed = Promise.withResolvers<void>();
          let ready = 0;
          const loads = stores.map((each) =>
            underLoad(each, async () => {
              if (++ready === stores.length) killServer(server.pid!).then(killed.resolve, killed.reject);
              await killed.promise;
            }),
          );
          const ledgers = await Promise.all(loads);
          server = await startPrivate(name, home, server.port);
          for (const [nth, each] of stores.entries()) {
            const driver = nth === 0 ? "the default driver" : others[nth - 1]!.name;
            await eventually(() => each.count(0));
            await verify(each, ledgers[nth]!).catch((error: unknown) => {
              throw new Error(`With ${driver}`, { cause: error });
            });
          }
        }
      } finally {
        for (const each of opened) await each.close();
        await store.close();
        await stopProcess(server.pid!, name === "postgres" ? "SIGINT" : "SIGTERM");
        rmSync(directory, { recursive: true, force: true });
      }
    },
    90_000 + ROUNDS * 75_000,
  );
}

/** Connects again. A driver may need a moment to notice that the server is back. */
const eventually = (connecting: () => Promise<unknown>): Promise<unknown> =>
  vi.waitFor(connecting, { timeout: 20_000, interval: 200 });

/** What eight callers were told until something crashed. */
async function underLoad(store: SessionStore, crash: () => Promise<void>): Promise<Ledger[]> {
  let running = true;
  let finished = 0;
  // Every other one writes each change in one transaction with an event of the audit trail.
  const recorded = throughTrail(store, trailOver(store));
  const workers = Array.from({ length: 8 }, (_, nth) =>
    work(
      nth % 2 === 0 ? store : recorded,
      nth % 2 !== 0,
      () => running,
      () => finished++,
    ),
  );
  // A server that has just started may take long for its first statements.
  await vi.waitFor(() => expect(finished).toBeGreaterThan(8), { timeout: 60_000 });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await crash();
  running = false;
  return (await Promise.all(workers)).flat();
}

const inTrail = world();
/** Signs nothing meanwhile: what is verified has to be as the crash left it. */
const trailOver = (store: SessionStore): Trail => inTrail.trail(store, { checkpointEvery: "1 h" });

async function verify(store: SessionStore, ledgers: readonly Ledger[]): Promise<void> {
  const { ok, problems, events } = await trailOver(store).verify();
  expect({ ok, problems }).toEqual({ ok: true, problems: [] });
  expect(events).toBeGreaterThan(8);
  expect(await contradictions(store, ledgers)).toEqual([]);
  expect(ledgers.length).toBeGreaterThan(8);
  const found = await store.read(ledgers.flatMap(({ ids }) => ids));
  const versions = new Map(found.map((row) => [row && keyOf(row.id), row?.version ?? null]));
  for (const { ids, possible } of ledgers)
    expect(possible).toContainEqual(ids.map((id) => versions.get(keyOf(id)) ?? null));
}

/** A row of those who wrote through the trail is there if and only if the trail says so: a change and its event are one. */
async function contradictions(store: SessionStore, ledgers: readonly Ledger[]): Promise<string[]> {
  const events = new Set<string>();
  let after: AuditQuery["after"];
  for (;;) {
    const rows: readonly AuditRow[] = await store.audit!.find({ limit: 500, after });
    for (const { event, session } of rows)
      if (session !== null) events.add(`${typeOf(event)} ${keyOf(session)}`);
    const last = rows.at(-1);
    if (last === undefined || rows.length < 500) break;
    after = { at: last.at, position: last.position };
  }
  const audited = ledgers.filter((ledger) => ledger.audited);
  const found = await store.read(audited.flatMap(({ ids }) => ids));
  const there = new Set(found.flatMap((row) => (row === null ? [] : keyOf(row.id))));
  return audited.flatMap(({ ids }) => {
    const [first, second] = ids.map(keyOf);
    const isMoved = events.has(`session.rotated ${second}`);
    const isThere = events.has(`login ${first}`) && !isMoved && !events.has(`logout ${first}`);
    return there.has(first!) === isThere && there.has(second!) === isMoved ? [] : [`${first} ${second}`];
  });
}

const keyOf = (id: Uint8Array): string => Buffer.from(id).toString("hex");

type Versions = readonly (number | null)[];

/** What may stand in the rows of a session, together: what was acknowledged, and what a write of unknown outcome leaves. */
interface Ledger {
  readonly ids: readonly Uint8Array[];
  readonly possible: readonly Versions[];
  /** Whether it wrote through the audit trail. */
  readonly audited: boolean;
}

/** Inserts, updates, replaces and deletes rows of its own until the server is gone, and accounts for each. */
async function work(
  store: SessionStore,
  audited: boolean,
  running: () => boolean,
  finished: () => void,
): Promise<Ledger[]> {
  const ledgers: Ledger[] = [];
  while (running()) {
    let row: SessionRow = randomRow();
    // A login: on any shard, so that a distributed engine commits both halves in two phases.
    const successor = randomRow();
    const ids = [row.id, successor.id];
    let acknowledged: Versions = [null, null];
    let attempted: Versions = [row.version, null];
    try {
      expect(await store.insert([row])).toEqual([true]);
      acknowledged = attempted;
      for (let nth = 0; nth < 3; nth++) {
        const next = nextRow(row);
        attempted = [next.version, null];
        expect(await store.update([{ loaded: row, next }])).toEqual([true]);
        acknowledged = attempted;
        row = next;
      }
      if (ledgers.length % 3 === 0) {
        attempted = [null, null];
        expect(await store.delete([row.id])).toEqual([true]);
        acknowledged = attempted;
      } else if (ledgers.length % 3 === 1) {
        attempted = [null, successor.version];
        expect(await store.replace(row, successor)).toBe(true);
        acknowledged = attempted;
      }
      ledgers.push({ ids, possible: [acknowledged], audited });
      finished();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const possible = error.outcome === "none" ? [acknowledged] : [acknowledged, attempted];
      ledgers.push({ ids, possible, audited });
      return ledgers;
    }
  }
  return ledgers;
}
