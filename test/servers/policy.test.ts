import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { removeLeftover, withoutServices } from "../../scripts/services/policy.ts";
import { type Program, ownWorkplace } from "./program.ts";

const { path, start } = ownWorkplace();
const policy = (): string => join(path(), "policy-rc.d");
/** What the policy answers to a package: 101 forbids, 0 allows. */
const answer = (): number | null => spawnSync(policy()).status;

async function installing(): Promise<Program> {
  const program = start("install", policy());
  await program.says(/installing/);
  expect(answer()).toBe(101);
  return program;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  test(`policy: ${signal} → delivered when the packages are installed, and nothing is left`, async () => {
    const program = await installing();
    program.process.kill(signal);
    await program.says(/Ends when the packages are installed/);
    expect(answer()).toBe(101); // apt-get is still at work
    program.process.stdin?.write("done\n");
    expect(await program.ended).toBe(signal);
    expect(existsSync(policy())).toBe(false);
  });
}

test("policy: a second signal → delivered at once, and nothing is left", async () => {
  const program = await installing();
  program.process.kill("SIGINT");
  await program.says(/a second signal ends it at once/);
  program.process.kill("SIGTERM");
  expect(await program.ended).toBe("SIGTERM");
  expect(existsSync(policy())).toBe(false);
});

test("policy: one left by a killed process → forbids nothing, and the next run removes it", async () => {
  const program = await installing();
  program.process.kill("SIGKILL");
  await program.ended;
  expect(answer()).toBe(0);
  removeLeftover(policy());
  expect(existsSync(policy())).toBe(false);
});

test("policy: the next installation → replaces what was left", async () => {
  const program = await installing();
  program.process.kill("SIGKILL");
  await program.ended;
  await withoutServices(async () => expect(answer()).toBe(101), policy());
  expect(existsSync(policy())).toBe(false);
});

test("policy: one of a running process → left alone", async () => {
  const program = await installing();
  removeLeftover(policy());
  await withoutServices(async () => {}, policy());
  expect(answer()).toBe(101);
  program.process.stdin?.write("done\n");
  expect(await program.ended).toBe(0);
  expect(existsSync(policy())).toBe(false);
});

test("policy: the machine's own → left alone", async () => {
  const own = "#!/bin/sh\nexit 101\n";
  writeFileSync(policy(), own);
  chmodSync(policy(), 0o755);
  removeLeftover(policy());
  await withoutServices(async () => {}, policy());
  expect(readFileSync(policy(), "utf8")).toBe(own);
});

test("policy: an installation fails → nothing is left", async () => {
  const failing = withoutServices(() => Promise.reject(new Error("no network")), policy());
  await expect(failing).rejects.toThrow("no network");
  expect(existsSync(policy())).toBe(false);
});
