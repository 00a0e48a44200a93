/**
 * Keys that turn every second for a minute, under load:
 *
 *   node test/campaigns/rotation.ts --database sqlite|postgres|mysql|mariadb [--turns 60] [--every 1000]
 *     [--processes N] [--clients 64] [--rows 2000]
 *
 * Each turn goes as docs/key-rotation.md has it, and no two processes take a step at once: a new key is put last into
 * each ring, then moved to the front of each. A reseal runs all the time. The ring has at most 8 keys, so from the
 * eighth turn on an oldest key goes before the new one comes: when no row is under it and everybody was here since it
 * was the newest. It fails when somebody is logged out, an update is lost, a row does not open with the keys that are
 * left, or the turns do not keep their time.
 */
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createSessionManager, generateKey, type ResealResult } from "../../src/index.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { census, fill, liveRow } from "./filling.ts";
import { ownDatabase, servers } from "./own-database.ts";
import { Measured, Visitors, type Counted, type Serve } from "./visitors.ts";

const { values } = parseArgs({
  options: {
    database: { type: "string", default: "" },
    turns: { type: "string", default: "60" },
    every: { type: "string", default: "1000" },
    processes: { type: "string" },
    clients: { type: "string", default: "64" },
    rows: { type: "string", default: "2000" },
  },
});
if (![...servers, "sqlite"].includes(values.database)) {
  console.error("usage: rotation.ts --database sqlite|postgres|mysql|mariadb [--turns 60] [--every 1000]");
  process.exit(2);
}
const [turns, every, rows] = [Number(values.turns), Number(values.every), Number(values.rows)];
// On SQLite they share one thread, and so each other's waits for the disk.
const count = Number(values.processes ?? (values.database === "sqlite" ? 2 : 4));
const wrong: string[] = [];

/** What stands for a process: connections of its own, and a manager that a restart with another ring replaces. */
class Process {
  readonly #store: SqlStore;
  #underWay = new Set<Promise<void>>();
  manager: Counted;

  constructor(store: SqlStore, ring: readonly string[]) {
    this.#store = store;
    this.manager = this.#managerWith(ring);
  }

  readonly serve: Serve = async (work) => {
    const underWay = this.#underWay;
    const working = work(this.manager);
    underWay.add(working);
    await working.finally(() => underWay.delete(working));
  };

  /** Serves with this ring from now on; resolves when the last request with the ring before has been answered. */
  async restart(ring: readonly string[]): Promise<void> {
    this.manager = this.#managerWith(ring);
    const before = this.#underWay;
    this.#underWay = new Set();
    await Promise.allSettled(before);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #managerWith(ring: readonly string[]): Counted {
    return createSessionManager({ store: this.#store, keys: [...ring] });
  }
}

await using database = await ownDatabase(values.database);
let ring: readonly string[] = [generateKey()];
const first = database.open();
await first.migrate();
const processes = Array.from({ length: count }, (_, nth) => {
  return new Process(nth === 0 ? first : database.open(), ring);
});
const anyOf = (): Process => processes[Math.floor(Math.random() * processes.length)]!;
await fill(first, rows, (place) => liveRow(anyOf().manager as never, place));
const had = await census(anyOf().manager as never);
const visitors = new Visitors(Number(values.clients), (work) => anyOf().serve(work));
await visitors.start(256);
const reads = new Measured();

/** One process after the other, within so many milliseconds. */
async function everywhere(next: readonly string[], milliseconds: number): Promise<void> {
  const began = performance.now();
  for (const [nth, each] of processes.entries()) {
    await each.restart(next);
    await pause(Math.max(0, began + ((nth + 1) * milliseconds) / processes.length - performance.now()));
  }
  ring = next;
}

const stop = new AbortController();
const done = { passes: 0, resealed: 0, refused: 0 };
const resealing = (async () => {
  let cursor: string | null = null;
  while (!stop.signal.aborted) {
    await anyOf().serve(async (manager) => {
      // A page and no more with each ring, as a process that is restarted would stop.
      const page = new AbortController();
      const result: ResealResult = await manager.reseal({
        batchSize: 20,
        maxPerSecond: Infinity,
        signal: page.signal,
        onProgress: () => page.abort(),
        ...(cursor !== null && { after: cursor }),
      });
      done.resealed += result.resealed;
      done.refused += result.refused;
      if (result.finished) done.passes++;
      cursor = result.cursor;
    });
  }
})();

/** When each key was no longer the newest anywhere. */
const olderSince = new Map<string, number>();
async function mayGo(key: string): Promise<boolean> {
  if (!visitors.everybodyCameSince(olderSince.get(key)!)) return false;
  const { keys } = await anyOf().manager.stats();
  return keys[ring.indexOf(key)]!.live === 0;
}

visitors.measure(reads);
const began = performance.now();
let waited = 0;
for (let turn = 0; turn < turns; turn++) {
  const oldest = ring.at(-1)!;
  if (ring.length === 8) {
    const asked = performance.now();
    while (!(await mayGo(oldest)) && performance.now() - began < 1.25 * turns * every) await pause(20);
    waited = Math.max(waited, performance.now() - asked);
    await everywhere(ring.slice(0, -1), every / 10);
  }
  const [was, key] = [ring[0]!, generateKey()];
  await everywhere([...ring, key], every / 4);
  await everywhere([key, ...ring.slice(0, -1)], every / 4);
  olderSince.set(was, performance.now());
  await pause(Math.max(0, began + (turn + 1) * every - performance.now()));
}
const took = performance.now() - began;
visitors.measure(null);
wrong.push(...(await visitors.stop()));
stop.abort();
await resealing;

// What is left may still be under any key of the ring; after one more pass, under the newest alone.
const last = anyOf().manager;
const { finished, refused } = await last.reseal({ maxPerSecond: Infinity });
wrong.push(...(await visitors.verify(last)));
const has = await census(createSessionManager({ store: first, keys: ring[0]! }) as never);
console.log(
  `${values.database}: ${turns} turns in ${(took / 1_000).toFixed(1)} s, waited at most ${waited.toFixed(0)} ms for the oldest key; ` +
    `${done.resealed} rows resealed in ${done.passes} passes; ${visitors.requests} requests; reads ${reads}`,
);
if (done.passes === 0) wrong.push("No reseal came to its end.");
if (turns > 8 && waited === 0) wrong.push("No key was ever taken out.");
if (!finished || refused + done.refused > 0)
  wrong.push(`${refused + done.refused} rows were refused by a reseal.`);
if (has.rows !== had.rows + 256 || had.wrong + has.wrong > 0 || has.whole !== rows) {
  wrong.push(`Of ${had.rows + 256} rows ${has.rows} are there, and ${has.wrong} do not hold what was saved.`);
}
for (let user = 0; user < rows; user += Math.ceil(rows / 100)) {
  if ((await last.forUser(user).list()).length !== 1) wrong.push(`User ${user} is not found by the index.`);
}
if (took > 1.25 * turns * every) wrong.push(`${turns} turns took ${(took / 1_000).toFixed(1)} s.`);
await Promise.all(processes.map((each) => each.close()));
for (const sentence of wrong.slice(0, 20)) console.error(sentence);
console.log(wrong.length === 0 ? "nobody was logged out" : `${wrong.length} failures`);
process.exitCode = wrong.length === 0 ? 0 : 1;
