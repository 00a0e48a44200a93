import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { simulate } from "../../scripts/simulation.ts";

describe("the simulation of sizes", () => {
  test("one server at the measured load → about the measured cores", () => {
    // 40,787 reads per second of 64 callers kept two cores busy.
    const { cores } = simulate({ sessions: 1e6, shards: 1, requests: 40_787, writes: 1e-9, processes: 1 });
    expect(cores).toBeGreaterThan(2);
    expect(cores).toBeLessThan(3);
  });

  test("more shards under the same load → smaller batches, more statements and a hotter shard", () => {
    const few = simulate({ sessions: 1e9, shards: 8, requests: 100_000, processes: 4 });
    const many = simulate({ sessions: 1e9, shards: 64, requests: 100_000, processes: 4 });
    expect(many.readBatch).toBeLessThan(few.readBatch);
    expect(many.statements).toBeGreaterThan(few.statements);
    expect(many.hottest).toBeGreaterThan(few.hottest);
    expect(many.bytes).toBe(few.bytes);
  });

  test("the command → a line for each result; a number that is none → exit code 2", async () => {
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, [
      "scripts/simulate.ts",
      "--sessions",
      "1e9",
      "--shards",
      "64",
    ]);
    expect(stdout).toMatch(/on disk, with indexes +600 GB/);
    expect(stdout).toMatch(/rows per shard +15,625,000/);
    await expect(run(process.execPath, ["scripts/simulate.ts", "--sessions", "many"])).rejects.toMatchObject({
      code: 2,
    });
  });
});
