import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "./sessions.ts";

/** At one a second more than the test has time for: no process ends before it is killed. */
const rows = 150;

const worker = new URL("reseal.worker.ts", import.meta.url).pathname;

test("R27 R34 three processes → one reseals; its holder is killed → another takes over, and every row is resealed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-"));
  const file = join(folder, "sessions.sqlite3");
  const [older, newest] = [generateKey(), generateKey()];
  const before = manage(sqliteStore(file), older);
  const cookies: string[] = [];
  for (let i = 0; i < rows; i++) cookies.push(await visit(before, `${i}`, `item ${i}`));
  await before.close();

  /** What each process said that it did, in the order in which it was heard. */
  const working: number[] = [];
  const waiting = new Set<number>();
  const ready = new Set<number>();
  let finished = 0;
  const processes = new Map<number, ChildProcess>();
  const heard: (() => void)[] = [];
  for (let i = 0; i < 3; i++) {
    const child = spawn(process.execPath, [worker, file, `${newest},${older}`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    processes.set(i, child);
    createInterface({ input: child.stdout! }).on("line", (line) => {
      if (line === "ready") ready.add(i);
      else if (line === "elsewhere") waiting.add(i);
      else working.push(i);
      if (line === "finished") finished++;
      for (const wake of heard.splice(0)) wake();
    });
  }
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise<void>((resolve) => heard.push(resolve));
  };
  let now = Date.now();
  /** Sets the clock of all that live, and how many rows a second they reseal. */
  const order = (maxPerSecond: number) => {
    for (const { stdin } of processes.values()) stdin!.write(`${now} ${maxPerSecond}\n`);
  };
  const killed: number[] = [];
  const kill = async (index: number) => {
    const child = processes.get(index)!;
    const gone = once(child, "close"); // and everything that it said was heard
    child.kill("SIGKILL");
    await gone;
    processes.delete(index);
    killed.push(index);
  };

  try {
    await until(() => ready.size === 3);
    order(1);
    const areWorking = () => new Set(working).size;
    await until(() => areWorking() > 1 || (working.length >= 2 && waiting.size === 2));
    assert.equal(areWorking(), 1, "one of three works");
    await kill(working.at(-1)!);
    waiting.clear();
    await until(() => waiting.size === 2); // the time of the lease has not passed
    now += 60_000;
    order(1);
    await until(() => working.some((index) => !killed.includes(index)));
    await kill(working.at(-1)!);
    now += 60_000;
    order(Infinity);
    await until(() => finished === 1);
    // No process worked between two steps of another one.
    const turns = working.filter((index, place) => index !== working[place - 1]);
    assert.equal(turns.length, new Set(turns).size, turns.join(" "));
    assert.equal(turns.length, 3);
  } finally {
    for (const child of processes.values()) child.kill("SIGKILL");
  }

  const after = manage(sqliteStore(file), [newest, older]);
  const { total, keys } = await after.stats();
  assert.equal(total, rows);
  assert.deepEqual([keys[0]!.live, keys[1]!.live], [rows, 0]);
  for (const [index, cookie] of cookies.entries()) {
    assert.deepEqual((await after.load(cookie)).data.items, [`item ${index}`]);
  }
  await after.close();
  rmSync(folder, { recursive: true });
}, 120_000);
