/** Bun and Deno, from their npm packages: the drivers that only they have, and what the store needs of a runtime. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { chosenDatabases } from "../servers/chosen.ts";
import { bun, deno } from "../runtimes/runtimes.ts";

const place = join(import.meta.dirname, "runtimes");
const execute = promisify(execFile);

describe.each([bun, deno])("$name", ({ name, program, options }) => {
  let runtime: string;
  beforeAll(async () => void (runtime = await program()), 120_000);

  const run = async (...script: readonly string[]): Promise<string> => {
    const [file, ...rest] = script as [string, ...string[]];
    const { stdout, stderr } = await execute(runtime, [...options, join(place, file), ...rest]).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    return stdout + stderr.replaceAll(/^.*StoredSessionWarning[^]*$/gm, "");
  };

  const [sqlite, postgres] = [chosenDatabases().includes("sqlite"), chosenDatabases().includes("postgres")];
  const drivers: string[] = [
    ...(sqlite ? ["node:sqlite"] : []),
    ...(sqlite && name === "Bun" ? ["bun:sqlite"] : []),
    ...(postgres && name === "Bun" ? ["Bun.SQL"] : []),
  ];

  test.each(drivers)("%s → passes the store contract", { timeout: 120_000 }, async (driver) => {
    const output = await run(
      "contract.ts",
      driver,
      ...(driver === "Bun.SQL" ? [inject("servers").postgres!] : []),
    );
    expect(output).not.toContain("FAILED");
    expect(output).toMatch(/^(\d+) of \1 passed$/m);
  });

  test(
    "a database that fails → an outage with the outcome of the write, and nothing of a late transaction is kept alone (promise 8, R37, R40)",
    { timeout: 120_000 },
    async () => {
      const bunsSql = drivers.includes("Bun.SQL");
      const output = await run("outages.ts", ...(bunsSql ? [inject("servers").postgres!] : []));
      expect(output.trim().split("\n")).toEqual([
        // Deno does not say whether it sent anything.
        `libSQL, nobody listens: ERR_STORED_SESSION_STORE_UNAVAILABLE 503 ${name === "Deno" ? "unknown" : "none"}`,
        ...(bunsSql
          ? [
              "Bun.SQL, nobody listens: ERR_STORED_SESSION_STORE_UNAVAILABLE 503 none",
              "Bun.SQL, a connection breaks under a write: ERR_STORED_SESSION_STORE_UNAVAILABLE 503 unknown",
              "Bun.SQL, afterwards: true",
              "Bun.SQL, a late transaction: ERR_STORED_SESSION_STORE_TIMEOUT 503 unknown",
              "Bun.SQL, of a late transaction: all or nothing",
            ]
          : []),
      ]);
    },
  );

  test.runIf(chosenDatabases().includes("sqlite"))(
    "the checkpoint thread → begins and ends without an error",
    async () => {
      expect(await run("checkpoints.ts")).toBe("1200\nclosed\n");
    },
  );
});
