import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { freePort } from "../../scripts/services/processes.ts";
import { chosenDatabases } from "../servers/chosen.ts";
import { randomRow } from "../servers/rows.ts";

describe.runIf(chosenDatabases().includes("postgres"))("PGlite over its socket", () => {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-pglite-"));
  let server: ChildProcess;
  afterAll(() => {
    server?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(port: number): Promise<void> {
    const program = join(import.meta.dirname, "children/pglite-server.ts");
    const stdio = ["ignore", "pipe", "inherit"] as const;
    const child = spawn(process.execPath, ["--no-warnings", program, folder, String(port)], {
      stdio: [...stdio],
    });
    server = child;
    await once(child.stdout!, "data");
  }

  async function kill(): Promise<void> {
    const closed = once(server, "close");
    server.kill("SIGKILL");
    await closed;
  }

  test(
    "it is killed while it writes, and starts again → an outage (promise 8), nothing acknowledged is lost (promise 7), and the store works on",
    { timeout: 90_000 },
    async () => {
      const port = await freePort();
      await start(port);
      const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
      const store = postgresStore(url, { poolSize: 1, namedStatements: false });
      await store.migrate();
      for (let kills = 0; kills < 3; kills++) {
        const kept: Uint8Array[] = [];
        const writing = async (): Promise<unknown> => {
          for (;;) {
            const row = randomRow();
            await store.insert([row]);
            kept.push(row.id);
          }
        };
        const failed = writing().catch((error: unknown) => error);
        while (kept.length < 20 * (kills + 1)) await new Promise((resolve) => setImmediate(resolve));
        await kill();
        expect(await failed).toMatchObject({ status: 503 });
        await expect(store.insert([randomRow()])).rejects.toMatchObject({ status: 503, outcome: "none" });
        await start(port);
        const found = await store.read(kept);
        expect(found.filter((row) => row === null)).toEqual([]);
      }
      await store.close();
    },
  );
});
