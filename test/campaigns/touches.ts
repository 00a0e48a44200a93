/**
 * Touches of many sessions by a clock that moves on:
 *
 *   node test/campaigns/touches.ts --url postgres://… [--touches 1200000] [--sessions 50000] [--seed N]
 *
 * Each request loads a session and commits it unchanged, an hour (the default `touchEvery` of long limits) after the one
 * before: so every commit is a touch. Counted are the touches that moved the expiry index's column (at most one in twenty), and on
 * PostgreSQL the updates that were heap-only (at least 90%). Without a URL it uses the PostgreSQL server of the tests.
 */
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { provide, release } from "../../scripts/services/services.ts";
import { createSessionManager, migrate } from "../../src/index.ts";
import { channels, type BatchEvent } from "../../src/telemetry/channels.ts";
import { settingsOf } from "../../src/manager.ts";
import { postgresStore } from "../../src/sql/postgres/store.ts";
import { cookieOf, seeded, testKeys } from "../session/doubles.ts";

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    touches: { type: "string", default: "1200000" }, // 24 of each session, an hour apart: a day and its boundary
    sessions: { type: "string", default: "50000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const [touches, count, seed] = [Number(values.touches), Number(values.sessions), Number(values.seed)];
const callers = 512;
const url = values.url ?? (await provide(["postgres"], { hold: true })).postgres!;
const table = `touches_${randomBytes(4).toString("hex")}`;
const store = postgresStore(url, { table });
let now = Date.UTC(2026, 0, 1);
const manager = createSessionManager<Record<string, unknown>>({
  store,
  keys: testKeys,
  clock: () => now,
  idleTimeout: "30 days",
  absoluteTimeout: "365 days", // by default it equals the idle limit, which then never moves
});
const { touchEvery, idleTimeout } = settingsOf(manager as never);
const random = seeded(seed);
const { Pool } = await import("pg");
const pool = new Pool({ connectionString: url, max: 2 });

const batches = { count: 0, rows: 0 };
channels.batch.subscribe((event) => {
  const { operation, size } = event as BatchEvent;
  if (operation !== "touch") return;
  batches.count++;
  batches.rows += size;
});

/** Runs `work` for each number below `length`, so many at a time. */
async function each(length: number, work: (nth: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < length) await work(next++);
  };
  await Promise.all(Array.from({ length: callers }, one));
}

async function updates(): Promise<{ all: number; heapOnly: number }> {
  await new Promise((resolve) => setTimeout(resolve, 11_000)); // idle connections report their counts after 10 s
  const { rows } = await pool.query(
    "SELECT sum(n_tup_upd)::float8 AS all, sum(n_tup_hot_upd)::float8 AS hot FROM pg_stat_user_tables WHERE relname = $1",
    [table],
  );
  return { all: rows[0].all, heapOnly: rows[0].hot };
}

async function buckets(): Promise<Map<string, number>> {
  const { rows } = await pool.query(`SELECT encode(id, 'hex') AS id, expires_bucket AS bucket FROM ${table}`);
  return new Map(rows.map((row: { id: string; bucket: number }) => [row.id, row.bucket]));
}

let failed = false;
try {
  await migrate(store);
  console.log(
    `touches campaign: ${touches} touches of ${count} sessions, one every ${touchEvery / 1_000} s of an idle limit of ${idleTimeout / 86_400_000} days, seed ${seed}`,
  );
  const cookies: string[] = Array.from({ length: count }, () => "");
  // Made over a whole interval, so that not all of them reach a new bucket at once.
  await each(count, async (nth) => {
    const session = await manager.load(null);
    session.data["text"] = "x".repeat(150 + Math.floor(random() * 200));
    cookies[nth] = cookieOf(await manager.commit(session));
    now = Math.max(now, Date.UTC(2026, 0, 1) + Math.floor((nth / count) * touchEvery));
  });
  const before = await updates();
  let [moved, asked] = [0, 0];
  let was = await buckets();
  const began = performance.now();
  const rounds = Math.ceil(touches / count);
  for (let round = 0; round < rounds; round++) {
    const start = now;
    // Users come in no order, least of all in that of the pages their rows lie on.
    for (let last = count - 1; last > 0; last--) {
      const other = Math.floor(random() * (last + 1));
      [cookies[last], cookies[other]] = [cookies[other]!, cookies[last]!];
    }
    await each(count, async (nth) => {
      now = Math.max(now, start + touchEvery + Math.floor((nth / count) * touchEvery * 0.02));
      const session = await manager.load(cookies[nth]!);
      if (session.isNew) throw new Error("A session that was touched has ended.");
      await manager.commit(session);
      // Nobody waits for a touch, so here somebody must, or requests would be faster than their touches for ever.
      asked++;
      while (asked - batches.rows > 2_000) await new Promise((resolve) => setTimeout(resolve, 5));
    });
    // Touches leave after their requests; the next round's read what they wrote.
    while (batches.rows < (round + 1) * count) await new Promise((resolve) => setTimeout(resolve, 20));
    const are = await buckets();
    for (const [id, bucket] of are) if (was.get(id) !== bucket) moved++;
    was = are;
  }
  const seconds = (performance.now() - began) / 1_000;
  const after = await updates();
  const all = after.all - before.all;
  const heapOnly = (after.heapOnly - before.heapOnly) / all;
  const share = moved / (rounds * count);
  console.log({
    touches: batches.rows,
    updates: all,
    moved,
    "one in": Math.round(1 / share),
    heapOnly: `${(100 * heapOnly).toFixed(2)}%`,
    batches: batches.count,
    "touches a batch": Math.round(batches.rows / batches.count),
    perSecond: Math.round((rounds * count) / seconds),
  });
  failed = share > 1 / 20 || moved === 0 || heapOnly < 0.9 || all < touches;
  console.log(failed ? "failed: above one in twenty, or none at all, or below 90%" : "within the limits");
} finally {
  await manager.close();
  await pool.query(`DROP TABLE IF EXISTS ${table}, ${table}_leases, ${table}_migrations`);
  await pool.end();
  if (!values.url) await release();
}
process.exitCode = failed ? 1 : 0;
