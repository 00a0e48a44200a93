/**
 * 64 callers with mixed work on one SQLite file, and the memory they take:
 *
 *   node --expose-gc test/campaigns/soak.ts [--requests 1000000] [--seed N]
 *
 * Sessions end as fast as they begin, so their number stays about the same; the ledger forgets those that are gone.
 * It fails when the heap after collection grows from the second fifth of the run to the last by more than 10%.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createSessionManager, migrate } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { cookieOf, seeded, testKeys } from "../session/doubles.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "1000000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const [requests, seed] = [Number(values.requests), Number(values.seed)];
const collect = globalThis.gc;
if (!collect) {
  console.error("Run it with node --expose-gc, so that memory is measured after collection.");
  process.exit(2);
}
const random = seeded(seed);
const folder = mkdtempSync(join(tmpdir(), "stored-session-soak-"));
const store = sqliteStore(join(folder, "sessions.sqlite3"));
let now = Date.UTC(2026, 0, 1);
const manager = createSessionManager<Record<string, unknown>>({
  store,
  keys: testKeys,
  clock: () => now,
  idleTimeout: "1 hour",
});
const slots = 2_000;
const callers = 64;
/** What each slot's session must hold; null where there is none. */
const held: ({ cookie: string; n: number } | null)[] = Array.from({ length: slots }, () => null);
let [done, value, longest] = [0, 0, 0];
const samples: { heap: number; rss: number; external: number }[] = [];
const every = Math.ceil(requests / 50);

/** Each caller has slots of its own, so that what it finds can be foretold. */
async function work(caller: number): Promise<void> {
  const own = slots / callers;
  while (done < requests) {
    const slot = Math.floor(caller * own + random() * own);
    const began = performance.now();
    await request(slot);
    longest = Math.max(longest, performance.now() - began);
    now += 20;
    if (++done % every === 0) sample();
    if (done % (every * 5) === 0) await manager.expire();
  }
}

async function request(slot: number): Promise<void> {
  const was = held[slot] ?? null;
  const session = await manager.load(was?.cookie);
  if (was && session.isNew) {
    // Its idle limit passed, which nothing but the clock did.
    held[slot] = null;
    return;
  }
  if (was && session.data["n"] !== was.n)
    throw new Error(`Slot ${slot} holds ${String(session.data["n"])}, not ${was.n}.`);
  const dice = random();
  if (was && dice < 0.55) {
    await manager.commit(session);
    return;
  }
  if (was && dice < 0.65) {
    session.destroy();
    await manager.commit(session);
    held[slot] = null;
    return;
  }
  const n = ++value;
  session.data["n"] = n;
  session.data["text"] = "x".repeat(Math.floor(random() * 1_000));
  if (dice > 0.95) session.login(String(slot));
  else if (dice > 0.9 && was) session.regenerate();
  const setCookie = await manager.commit(session);
  held[slot] = { cookie: setCookie === null ? was!.cookie : cookieOf(setCookie), n };
}

function sample(): void {
  collect!();
  const { heapUsed, rss, external } = process.memoryUsage();
  samples.push({ heap: heapUsed / 2 ** 20, rss: rss / 2 ** 20, external: external / 2 ** 20 });
  if (samples.length % 10 === 0)
    console.log(`${done} requests, ${(heapUsed / 2 ** 20).toFixed(1)} MiB of heap`);
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

try {
  await migrate(store);
  console.log(`soak campaign: ${requests} requests of ${callers} callers on SQLite, seed ${seed}`);
  const began = performance.now();
  await Promise.all(Array.from({ length: callers }, (_, nth) => work(nth)));
  const fifths = Array.from({ length: 5 }, (_, nth) => samples.slice(nth * 10, nth * 10 + 10));
  const heap = fifths.map((some) => Number(median(some.map((each) => each.heap)).toFixed(2)));
  const rss = fifths.map((some) => Math.round(median(some.map((each) => each.rss))));
  const external = fifths.map((some) => Number(median(some.map((each) => each.external)).toFixed(2)));
  console.log({
    requests: done,
    perSecond: Math.round(done / ((performance.now() - began) / 1_000)),
    longest: Math.round(longest),
    rows: await manager.count(),
    "heap in MiB, median of each fifth": heap,
    "resident in MiB": rss,
    "external in MiB": external,
  });
  const grown = heap[4]! / heap[1]! - 1;
  process.exitCode = grown > 0.1 ? 1 : 0;
  console.log(`${grown > 0.1 ? "failed: " : ""}the heap changed by ${(100 * grown).toFixed(1)}%`);
} finally {
  await manager.close();
  rmSync(folder, { recursive: true, force: true });
}
