import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startOf } from "../../scripts/services/process-start.ts";
import { freePort, isAlive } from "../../scripts/services/processes.ts";
import { release, status, stop } from "../../scripts/services/services.ts";
import { type Program, ownWorkplace } from "./program.ts";

const { path, start } = ownWorkplace();
const stateFile = (): string => join(path(), "postgres.json");

/** A program, and the port that it listens on. */
async function listening(): Promise<{ program: Program; port: number }> {
  const program = start("listen");
  return { program, port: Number(await program.says(/\d+(?=\n)/)) };
}

/** What an earlier run wrote of a server of this process number. */
function write(pid: number, port: number, more: { started?: string | null; kept?: boolean }): void {
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  writeFileSync(stateFile(), JSON.stringify({ url, pid, port, container: null, kept: true, ...more }));
}

const another = "00000000-0000-0000-0000-000000000000/1";

test("stop: another process has the server's id → not ended", async () => {
  const { program } = await listening();
  write(program.pid, await freePort(), { started: another });
  expect(await status()).toEqual({});
  expect(isAlive(program.pid)).toBe(true);
  expect(existsSync(stateFile())).toBe(false);
});

test("stop: another process has its id, and the port responds → not ended", async () => {
  const { program, port } = await listening();
  write(program.pid, port, { started: another });
  expect(await stop(["postgres"])).toEqual([]);
  expect(isAlive(program.pid)).toBe(true);
});

test("stop: no recorded start, and nothing responds → not ended", async () => {
  const { program } = await listening();
  write(program.pid, await freePort(), {});
  expect(await stop(["postgres"])).toEqual([]);
  expect(isAlive(program.pid)).toBe(true);
});

test("stop: a server that was started here → stopped", async () => {
  const { program, port } = await listening();
  write(program.pid, port, { started: startOf(program.pid) });
  expect(Object.keys(await status())).toEqual(["postgres"]);
  expect(await stop(["postgres"])).toEqual(["postgres"]);
  expect(await program.ended).toBe("SIGINT");
  expect(existsSync(stateFile())).toBe(false);
});

test("stop: a server that was started here and hangs → ended", async () => {
  const { program } = await listening();
  write(program.pid, await freePort(), { started: startOf(program.pid) });
  expect(await status()).toEqual({});
  expect(await program.ended).toBe("SIGTERM");
});

test("server state: another process now has a user's number → keeps no server running", async () => {
  const [{ program, port }, user] = [await listening(), start("listen")];
  write(program.pid, port, { started: startOf(program.pid), kept: false });
  mkdirSync(join(path(), "users"));
  const file = join(path(), "users", String(user.pid));
  writeFileSync(file, startOf(user.pid)!);
  await release();
  expect(isAlive(program.pid)).toBe(true);
  writeFileSync(file, another);
  await release();
  expect(await program.ended).toBe("SIGINT");
});

test("a process changes its name → its start time is still read correctly", () => {
  const [before, { title }] = [startOf(process.pid), process];
  process.title = "a) S 1 (b) R 2";
  try {
    expect(before).toMatch(/^[0-9a-f-]{36}\/\d+$/);
    expect(startOf(process.pid)).toBe(before);
  } finally {
    process.title = title;
  }
});
