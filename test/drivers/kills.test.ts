/** Processes that write through each driver and are killed with -9: what was acknowledged is there, and nothing is half done. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, inject, test } from "vitest";
import { bun } from "../runtimes/runtimes.ts";
import { chosenDatabases, type DatabaseName } from "../servers/chosen.ts";
import { execute } from "../servers/execute.ts";
import { Ledger } from "../store/ledger.ts";
import { ownTable } from "./drivers.ts";
import { handles } from "./kills/handles.ts";
import { startSqld } from "./sqld.ts";

/** How often each is killed. `npm run test:soak` kills each twenty times. */
const kills = Number(process.env["TEST_KILLS"] ?? 1);

interface Killed {
  readonly driver: string;
  readonly kind: DatabaseName;
  /** Runs on Bun. What is there is read through this driver, on Node. */
  readonly readBy?: string;
}

const every: readonly Killed[] = [
  { driver: "better-sqlite3", kind: "sqlite" },
  { driver: "bun:sqlite", kind: "sqlite", readBy: "node:sqlite" },
  { driver: "libSQL, a file", kind: "sqlite" },
  { driver: "libSQL, a server", kind: "sqlite" },
  { driver: "D1", kind: "sqlite" },
  { driver: "Durable Object", kind: "sqlite" },
  { driver: "PGlite", kind: "postgres" },
  { driver: "pg", kind: "postgres" },
  { driver: "postgres.js", kind: "postgres" },
  { driver: "Neon's pool", kind: "postgres" },
  { driver: "Bun's SQL", kind: "postgres", readBy: "pg" },
  ...(["mysql", "mariadb"] as const).flatMap((kind) => [
    { driver: "mysql2", kind },
    { driver: "mariadb", kind },
  ]),
];
const chosen = every.filter(({ kind }) => chosenDatabases().includes(kind));

if (chosen.length === 0) test.skip("TEST_DATABASES without a database of these drivers → skipped", () => {});

/** Starts a writer, lets it write, ends it by `kill`, and returns the lines that it told. */
async function written(
  { driver, readBy }: Killed,
  where: string,
  table: string,
  kill: (process: () => void) => Promise<void>,
): Promise<string[]> {
  const program = join(import.meta.dirname, "kills/write.ts");
  const child = spawn(
    readBy === undefined ? process.execPath : await bun.program(),
    [...(readBy === undefined ? ["--no-warnings"] : bun.options), program, driver, where, table],
    // A group of its own: workerd is a process beside that of Miniflare, and both die.
    { stdio: ["ignore", "pipe", "pipe"], detached: true },
  );
  let errors = "";
  child.stderr.on("data", (data) => (errors += String(data)));
  const lines: string[] = [];
  const begun = Promise.withResolvers<void>();
  const reading = createInterface({ input: child.stdout });
  reading.on("line", (line) => {
    lines.push(line);
    if (/^(kept|gone|moved)/.test(line)) begun.resolve();
  });
  const ended = Promise.all([once(child, "exit"), once(reading, "close")]);
  await Promise.race([begun.promise, ended]);
  if (child.exitCode !== null) throw new Error(`The writer ended: ${errors}`);
  await kill(() => {
    // One whose server was killed may have ended by itself.
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  });
  await ended;
  return lines.filter((line) => /^(kept|gone|moved|moving) [0-9a-f]/.test(line));
}

async function expectKept({ driver, readBy }: Killed, where: string, table: string, ledger: Ledger) {
  const target = await handles[readBy ?? driver]!(where, table);
  const { ids } = ledger;
  const versions = await target.versions(ids.map((id) => new Uint8Array(Buffer.from(id, "hex"))));
  const found = new Map(ids.map((id, nth) => [id, versions[nth] ?? undefined]));
  await target.close();
  expect(ledger.rows.size).toBeGreaterThan(0);
  expect(ledger.wrong((id) => found.get(id))).toEqual([]);
}

/** Where a driver writes: a folder of its own, or a server. */
async function place({ driver, kind }: Killed, table: string) {
  const url = kind === "sqlite" ? undefined : inject("servers")[kind];
  if (driver === "libSQL, a server") {
    const server = await startSqld();
    return { where: server.url, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  }
  if (url !== undefined && driver !== "PGlite") {
    return {
      where: url,
      async [Symbol.asyncDispose]() {
        for (const suffix of ["", "_leases", "_migrations", "_imports"])
          await execute(url, kind as never, `DROP TABLE IF EXISTS ${table}${suffix}`);
      },
    };
  }
  const folder = mkdtempSync(join(tmpdir(), "stored-session-kill-"));
  return {
    where: folder,
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

describe.each(chosen)("$driver, on $kind", (killed) => {
  test(
    "its process is killed with -9 in the middle of writes → nothing acknowledged is lost, and no replacement is half done (promise 7, R33, R40)",
    { timeout: 60_000 + kills * 20_000 },
    async () => {
      const table = ownTable();
      await using at = await place(killed, table);
      const ledger = new Ledger();
      for (let round = 0; round < kills; round++) {
        const lines = await written(killed, at.where, table, async (kill) => {
          await pause(Math.random() * 80);
          kill();
        });
        ledger.note(lines);
        await expectKept(killed, at.where, table, ledger);
      }
    },
  );
});

describe.runIf(chosenDatabases().includes("sqlite"))("libSQL, a server", () => {
  test(
    "the server is killed with -9 in the middle of writes → nothing acknowledged is lost, and no replacement is half done (promise 7, R33, R40)",
    { timeout: 60_000 + kills * 10_000 },
    async () => {
      await using server = await startSqld();
      const killed: Killed = { driver: "libSQL, a server", kind: "sqlite" };
      const ledger = new Ledger();
      for (let round = 0; round < kills; round++) {
        ledger.note(
          await written(killed, server.url, "sessions", async (kill) => {
            await pause(Math.random() * 80);
            await server.kill();
            await pause(100);
            kill();
          }),
        );
        await server.restart();
        await expectKept(killed, server.url, "sessions", ledger);
      }
    },
  );
});
