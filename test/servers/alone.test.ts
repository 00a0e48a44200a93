import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { alone } from "../../scripts/services/alone.ts";
import { ownWorkplace } from "./program.ts";

const { path, start } = ownWorkplace();

test(
  "alone: the process that others wait for is killed → they go on one at a time",
  { timeout: 120_000 },
  async () => {
    const holding = start("alone", "hold");
    await holding.says(/holding/);
    const waiting = Array.from({ length: 6 }, () => start("alone", "pass"));
    await Promise.all(waiting.map((program) => program.says(/waiting/)));
    holding.process.kill("SIGKILL");
    expect(await Promise.all(waiting.map(({ ended }) => ended))).toEqual(waiting.map(() => 0));
  },
);

test("an empty lock file left by a crashed process → ignored", async () => {
  for (const name of ["lock", "lock.sqlite3", "lock-holder"]) writeFileSync(join(path(), name), "");
  expect(await alone(async () => "went on", 1_000)).toBe("went on");
});

test(
  "alone: waiting too long → an error that names the process waited for",
  { timeout: 60_000 },
  async () => {
    const holding = start("alone", "hold");
    await holding.says(/holding/);
    await expect(alone(async () => expect.unreachable(), 0)).rejects.toThrow(
      `Waited 0 s for process ${holding.pid}, which brings, starts or stops servers in ${path()}: end it`,
    );
  },
);

test("alone: two tasks of one process → one after the other, also if the first fails", async () => {
  const steps: string[] = [];
  let fail = (): void => {};
  const first = alone(async () => {
    steps.push("first");
    await new Promise<never>((_resolve, reject) => (fail = () => reject(new Error("failed"))));
  });
  await expect(alone(async () => steps.push("too early"), 0)).rejects.toThrow("Waited 0 s");
  fail();
  await expect(first).rejects.toThrow("failed");
  await alone(async () => steps.push("second"), 0);
  expect(steps).toEqual(["first", "second"]);
});
