/** The recipes of docs/jobs.md, each with two workers on one database, run for real. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Queue, Worker } from "bullmq";
import { run, quickAddJob, type Runner } from "graphile-worker";
import cron from "node-cron";
import pg from "pg";
import { PgBoss } from "pg-boss";
import { afterEach, beforeEach, inject, test } from "vitest";
import { expireSessionsJob, generateKey, resealJob, type SessionManager } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import type {} from "../servers/global-setup.ts";
import { startRedis } from "../../scripts/services/redis.ts";
import { manage, visit, type Basket } from "./sessions.ts";

const [older, newest] = [generateKey(), generateKey()];
const ended = 250;
const alive = 10;
/** Of UTC, and half an hour away: the runs that a test counts are those that it asks for. */
const later = `${(new Date().getUTCMinutes() + 30) % 60} * * * *`;

let folder: string;
/** The managers of two processes. */
let workers: SessionManager<Basket>[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "stored-session-jobs-"));
  const file = join(folder, "sessions.sqlite3");
  const past = manage(sqliteStore(file), older, { clock: () => Date.now() - 40 * 86_400_000 });
  await Promise.all(Array.from({ length: ended }, () => visit(past)));
  await past.close();
  const present = manage(sqliteStore(file), older);
  await Promise.all(Array.from({ length: alive }, () => visit(present)));
  await present.close();
  workers = [1, 2].map(() => manage(sqliteStore(file), [newest, older]));
});
afterEach(async () => {
  for (const sessions of workers) await sessions.close();
  rmSync(folder, { recursive: true });
});

/** Collects what the workers did, and lets a test wait for it. */
class Runs {
  readonly done: { job: string; worker: number; count: number }[] = [];
  #wake: (() => void)[] = [];

  add(job: string, worker: number, count: number): void {
    this.done.push({ job, worker, count });
    for (const wake of this.#wake.splice(0)) wake();
  }

  async until(count: number): Promise<void> {
    while (this.done.length < count) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }
}

async function assertDone({ done }: Runs): Promise<void> {
  const sum = (name: string) =>
    done.filter(({ job }) => job === name).reduce((all, { count }) => all + count, 0);
  assert.equal(sum("expire"), ended);
  assert.equal(sum("reseal"), alive);
  const stats = await workers[0]!.stats();
  assert.deepEqual([stats.live, stats.ended, stats.keys[1]!.live], [alive, 0, 0]);
}

test("node-cron: the time comes in two processes → one of them works", async () => {
  const runs = new Runs();
  const plan = (work: () => Promise<void>) => cron.schedule(later, work, { timezone: "UTC" });
  const tasks = workers.flatMap((sessions, worker) => [
    plan(async () => runs.add("expire", worker, await expireSessionsJob(sessions))),
    plan(async () => runs.add("reseal", worker, (await resealJob(sessions)).resealed)),
  ]);
  await Promise.all(tasks.map((task) => task.execute()));
  await assertDone(runs);
  await Promise.all(tasks.map((task) => task.destroy()));
});

test("pg-boss: two workers → one run", { timeout: 120_000 }, async (context) => {
  const url = inject("servers").postgres;
  if (url === undefined) return context.skip("no PostgreSQL");
  const schema = `boss_${randomBytes(4).toString("hex")}`;
  const runs = new Runs();
  const bosses: PgBoss[] = [];
  try {
    for (const _ of workers) {
      const boss = new PgBoss({ connectionString: url, schema });
      boss.on("error", () => {});
      await boss.start();
      bosses.push(boss);
      await boss.createQueue("expire-sessions", { policy: "exclusive" });
      await boss.createQueue("reseal-sessions", { policy: "exclusive" });
      await boss.schedule("expire-sessions", later);
    }
    // Before anybody works: else the first run could be over when the second one is asked for.
    const sent = await Promise.all(bosses.map((boss) => boss.send("expire-sessions")));
    assert.equal(sent.filter((id) => id !== null).length, 1);
    await bosses[0]!.send("reseal-sessions");
    for (const [worker, sessions] of workers.entries()) {
      const boss = bosses[worker]!;
      await boss.work("expire-sessions", async () =>
        runs.add("expire", worker, await expireSessionsJob(sessions)),
      );
      await boss.work("reseal-sessions", async () =>
        runs.add("reseal", worker, (await resealJob(sessions)).resealed),
      );
    }
    await runs.until(2);
  } finally {
    await Promise.all(bosses.map((boss) => boss.stop({ graceful: true })));
  }
  assert.equal(runs.done.length, 2);
  await assertDone(runs);
  await dropSchema(url, schema);
});

test("graphile-worker: two workers → one run", { timeout: 120_000 }, async (context) => {
  const url = inject("servers").postgres;
  if (url === undefined) return context.skip("no PostgreSQL");
  const schema = `graphile_${randomBytes(4).toString("hex")}`;
  const runs = new Runs();
  const runners: Runner[] = [];
  try {
    for (const [worker, sessions] of workers.entries()) {
      runners.push(
        await run({
          connectionString: url,
          schema,
          noHandleSignals: true,
          crontab: `${later} expireSessions ?jobKey=expireSessions`,
          taskList: {
            expireSessions: async () => runs.add("expire", worker, await expireSessionsJob(sessions)),
            resealSessions: async () => runs.add("reseal", worker, (await resealJob(sessions)).resealed),
          },
        }),
      );
    }
    const options = { connectionString: url, schema };
    await quickAddJob(options, "expireSessions", {}, { jobKey: "expireSessions" });
    await quickAddJob(options, "resealSessions", {}, { jobKey: "resealSessions" });
    await runs.until(2);
  } finally {
    await Promise.all(runners.map((runner) => runner.stop()));
  }
  assert.equal(runs.done.length, 2);
  await assertDone(runs);
  await dropSchema(url, schema);
});

test("BullMQ: two workers → one run", { timeout: 120_000 }, async () => {
  const redis = await startRedis();
  const connection = { host: "127.0.0.1", port: redis.port, maxRetriesPerRequest: null };
  const runs = new Runs();
  const queue = new Queue("sessions", { connection });
  const consumers = workers.map(
    (sessions, worker) =>
      new Worker(
        "sessions",
        async ({ name }) => {
          if (name === "expire") runs.add("expire", worker, await expireSessionsJob(sessions));
          if (name === "reseal") runs.add("reseal", worker, (await resealJob(sessions)).resealed);
        },
        { connection },
      ),
  );
  try {
    // The scheduler's first job is due at once, and the second in ten minutes.
    await queue.upsertJobScheduler("expire-sessions", { every: 600_000 }, { name: "expire" });
    await queue.add("reseal", {});
    await runs.until(2);
    await assertDone(runs);
  } finally {
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await queue.close();
    await redis.stop();
  }
});

async function dropSchema(url: string, schema: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
  await client.end();
}
