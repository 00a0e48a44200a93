import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { setImmediate as turn } from "node:timers/promises";
import { describe, test } from "vitest";
import { generateKey, memoryStore } from "../../src/index.ts";
import { expireRows } from "../../src/jobs/expire.ts";
import { Pace, type PaceOptions } from "../../src/jobs/pace.ts";
import type { ExpireQuery, ExpireResult } from "../../src/store/row.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { answerOf } from "../cli/command.ts";
import { around } from "../session/doubles.ts";
import { HandClock, manage, visit } from "./sessions.ts";

/** A pace over a clock that moves only by the work and the rests; each rest lasts `late` longer than it should. */
function paced(options: PaceOptions, late = 0) {
  const clock = { now: 1_000, rests: [] as number[], turns: 0 };
  const pace = new Pace(options, true, {
    now: () => clock.now,
    async pause(milliseconds) {
      clock.rests.push(milliseconds);
      clock.now += milliseconds + late;
    },
    async turn() {
      clock.turns++;
    },
  });
  const step = (took: number, rows: number) => {
    clock.now += took;
    return pace.rest(rows, took);
  };
  return { clock, step };
}

describe("R34 the pace of jobs", () => {
  test("fast work → keeps to the rate, also when every pause takes too long", async () => {
    const { clock, step } = paced({ maxPerSecond: 1_000 }, 1);
    for (let nth = 0; nth < 100; nth++) await step(1, 10);
    assert.ok(Math.abs(clock.now - 2_000) <= 2, `1,000 rows in ${clock.now - 1_000} ms`);
  });

  test("slow work → pauses in proportion to it", async () => {
    const third = paced({ maxPerSecond: 1_000 });
    await third.step(30, 10);
    const quarter = paced({ maxPerSecond: 1_000, share: 0.25 });
    await quarter.step(30, 10);
    assert.deepEqual([third.clock.rests, quarter.clock.rests], [[61], [90]]); // whole milliseconds
  });

  test("any work → no pause longer than a second, which is less than a lease", async () => {
    const { clock, step } = paced({ maxPerSecond: 10 });
    await step(5_000, 10);
    await step(1, 100);
    assert.deepEqual(clock.rests, [1_000, 1_000]);
  });

  test("after a delay → no burst to catch up", async () => {
    const { clock, step } = paced({ maxPerSecond: 1_000, share: 1 });
    await step(60_000, 0);
    const began = clock.now;
    for (let nth = 0; nth < 100; nth++) await step(1, 10);
    assert.ok(clock.now - began >= 950, `1,000 rows in ${clock.now - began} ms`);
  });

  test("a small debt → yields to the event loop without a pause; a larger one → pauses", async () => {
    const { clock, step } = paced({ share: 0.5 });
    for (let nth = 0; nth < 8; nth++) await step(0.25, 0);
    assert.deepEqual([clock.turns, clock.rests], [6, [1, 1]]);
    const unbounded = paced({ share: 1 });
    for (let nth = 0; nth < 8; nth++) await unbounded.step(20, 100);
    assert.deepEqual([unbounded.clock.turns, unbounded.clock.rests], [8, []]);
  });

  test("aborted during a pause → ends at once", async () => {
    const stop = new AbortController();
    let rested = false;
    const resting = new Pace({ maxPerSecond: 1, signal: stop.signal })
      .rest(1_000, 0)
      .then(() => (rested = true));
    stop.abort();
    for (let nth = 0; nth < 10; nth++) await turn();
    assert.equal(rested, true);
    await resting;
  });
});

test("R34 expiry: few rows are due → looks at more rows than it may delete; otherwise not", async () => {
  const steps = [100, 100, 49, 0, 50, 100];
  const scans: (number | undefined)[] = [];
  const job = {
    now: 0,
    idleTimeout: 1,
    absoluteTimeout: 1,
    async deleteExpired({ scan }: ExpireQuery): Promise<ExpireResult> {
      scans.push(scan);
      const deleted = steps.shift()!;
      return { deleted, cursor: steps.length > 0 ? { bucket: 0, id: new Uint8Array(1) } : null };
    },
  };
  assert.equal(await expireRows(job, { share: 1, maxPerSecond: Infinity }), 399);
  assert.deepEqual(scans, [100, 100, 100, 400, 400, 100]);
});

async function scheduled(pace: "slow" | "fast", meanwhile: "ending" | "idle"): Promise<string> {
  const worker = new URL("./schedule.worker.ts", import.meta.url).pathname;
  const args = [worker, pace, meanwhile];
  return (await answerOf(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] }))).out;
}

test("a scheduled run, also while it pauses → keeps no process alive", async () => {
  assert.equal(await scheduled("slow", "ending"), "deleted 1 of 100\n");
  assert.notEqual(await scheduled("fast", "ending"), "deleted 100 of 100\n");
});

test("R34 a scheduled run in a process without other work → goes on", async () => {
  assert.equal(await scheduled("fast", "idle"), "deleted 100 of 100\n");
});

test("R34 a clock with fractions → takes a lease, and expires", async () => {
  const clock = new HandClock();
  const sessions = manage(sqliteStore(":memory:"), generateKey(), { clock: () => clock.time + 0.7 });
  await visit(sessions);
  clock.time += 31 * 86_400_000;
  assert.equal(await sessions.expire({ exclusive: true }), 1);
  await sessions.close();
});

test("R34 a lease → renewed when a twentieth of it has passed, not at every step", async () => {
  const clock = new HandClock();
  const leases: number[] = [];
  let passes = 0;
  const store = around(memoryStore(), (operation, call) => {
    if (operation === "lease") leases.push(clock.time);
    if (operation === "deleteExpired") clock.time += passes;
    return call();
  });
  const sessions = manage(store, generateKey(), { clock: clock.now });
  const expireTwenty = async () => {
    for (let nth = 0; nth < 20; nth++) await visit(sessions);
    clock.time += 31 * 86_400_000;
    leases.length = 0;
    assert.equal(await sessions.expire({ exclusive: true, batchSize: 1 }), 20);
    return leases.length - 2; // taken and given back
  };
  assert.equal(await expireTwenty(), 0);
  passes = 1_000;
  const renewed = await expireTwenty();
  assert.ok(renewed >= 6 && renewed <= 7, `${renewed} times in 20 seconds of a minute's lease`);
});
