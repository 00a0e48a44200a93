import { mkdtempSync, rmSync, chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { killServer, stopProcess } from "../../scripts/services/processes.ts";
import { startPrivate } from "../../scripts/services/services.ts";
import type { ServerName } from "../../scripts/services/services.ts";
import { StoreError } from "../../src/errors.ts";
import type { SessionRow } from "../../src/store/row.ts";
import { mysqlStore } from "../../src/sql/mysql/store.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { chosenDatabases } from "../servers/chosen.ts";
import { nextRow, randomRow } from "../servers/rows.ts";

// CRASH_ROUNDS=20 for the long form.
const ROUNDS = Number(process.env["CRASH_ROUNDS"] ?? 1);

const servers = chosenDatabases().filter((name): name is ServerName => name !== "sqlite");

if (servers.length === 0) test.skip("TEST_DATABASES: no server → skipped", () => {});

for (const name of servers) {
  test(
    `${name}: killed under load, it keeps what was acknowledged and nothing comes back (promises 3 and 7)`,
    async () => {
      const directory = mkdtempSync(join(tmpdir(), `stored-session-crash-${name}-`));
      chmodSync(directory, 0o755);
      const home = join(directory, "server");
      let server = await startPrivate(name, home);
      const store = (name === "postgres" ? postgresStore : mysqlStore)(server.url, { poolSize: 8 });
      try {
        await store.migrate();
        for (let round = 0; round < ROUNDS; round++) {
          let running = true;
          let finished = 0;
          const workers = Array.from({ length: 8 }, () =>
            work(
              store,
              () => running,
              () => finished++,
            ),
          );
          // A server that has just started may take long for its first statements.
          await vi.waitFor(() => expect(finished).toBeGreaterThan(8), { timeout: 60_000 });
          await new Promise((resolve) => setTimeout(resolve, 500));
          await killServer(server.pid!);
          running = false;
          const ledgers = (await Promise.all(workers)).flat();
          server = await startPrivate(name, home, server.port);
          expect(ledgers.length).toBeGreaterThan(8);
          const found = await store.read(ledgers.map(({ id }) => id));
          ledgers.forEach((ledger, index) => {
            expect(ledger.possible).toContain(found[index]?.version ?? null);
          });
        }
      } finally {
        await store.close();
        await stopProcess(server.pid!, name === "postgres" ? "SIGINT" : "SIGTERM");
        rmSync(directory, { recursive: true, force: true });
      }
    },
    90_000 + ROUNDS * 75_000,
  );
}

/** What may stand in a row: the acknowledged version (null: no row), and that of a write of unknown outcome. */
interface Ledger {
  readonly id: Uint8Array;
  readonly possible: readonly (number | null)[];
}

/** Inserts, updates and deletes rows of its own until the server is gone, and accounts for each. */
async function work(store: SessionStore, running: () => boolean, finished: () => void): Promise<Ledger[]> {
  const ledgers: Ledger[] = [];
  while (running()) {
    let row: SessionRow = randomRow();
    const { id } = row;
    let acknowledged: number | null = null;
    let attempted: number | null = row.version;
    try {
      await store.insert([row]);
      acknowledged = row.version;
      for (let nth = 0; nth < 3; nth++) {
        const next = nextRow(row);
        attempted = next.version;
        expect(await store.update([{ loaded: row, next }])).toEqual([true]);
        acknowledged = next.version;
        row = next;
      }
      if (ledgers.length % 2 === 0) {
        attempted = null;
        expect(await store.delete([id])).toEqual([true]);
        acknowledged = null;
      }
      ledgers.push({ id, possible: [acknowledged] });
      finished();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      ledgers.push({ id, possible: error.outcome === "none" ? [acknowledged] : [acknowledged, attempted] });
      return ledgers;
    }
  }
  return ledgers;
}
