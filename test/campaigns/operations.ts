/**
 * Expiry and resealing at size, while clients read and write:
 *
 *   node test/campaigns/operations.ts --database postgres|mysql|mariadb [--rows 1000000] [--clients 64]
 *     [--work 10] [--rest 5] [--rate N] [--reseal-rate N] [--batch N] [--share N]
 *     [--memory 0]
 *
 * On a server of its own it fills a table with `rows` that have ended and `rows` that live, expires the former, and
 * reseals the latter with ten interruptions. The job works and rests by turns of so many seconds, so that what
 * drifts on the machine hits both alike. It fails when the 99th percentile of the reads while it works is more than
 * twice that while it rests, when memory or the time for a tenth of the rows grows, or when a row is lost, wrong,
 * or still under the older key. `memory` is what InnoDB has for its pages and for its log, in MiB; unless given, the
 * little that it has as installed.
 */
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createSessionManager, generateKey } from "../../src/index.ts";
import { census, deadRow, fill, liveRow } from "./filling.ts";
import { ownDatabase, servers } from "./own-database.ts";
import { Gate, inTurns, type Turns } from "./turns.ts";
import { Measured, Visitors } from "./visitors.ts";

const { values } = parseArgs({
  options: {
    database: { type: "string", default: "" },
    rows: { type: "string", default: "1000000" },
    clients: { type: "string", default: "64" },
    work: { type: "string", default: "10" },
    rest: { type: "string", default: "5" },
    rate: { type: "string" },
    "reseal-rate": { type: "string" },
    batch: { type: "string" },
    share: { type: "string" },
    memory: { type: "string", default: "0" },
  },
});
if (!servers.includes(values.database)) {
  console.error("usage: operations.ts --database postgres|mysql|mariadb [--rows 1000000] [--clients 64]");
  process.exit(2);
}
const rows = Number(values.rows);
const seconds = { work: Number(values.work), rest: Number(values.rest) };
const pace = {
  ...(values.rate && { maxPerSecond: Number(values.rate) }),
  ...(values.share && { share: Number(values.share) }),
  ...(values.batch && { batchSize: Number(values.batch) }),
};
const resealPace = { ...pace, ...(values["reseal-rate"] && { maxPerSecond: Number(values["reseal-rate"]) }) };
/** Renewed once a second, which is where the gate holds a job up. */
const held = { exclusive: true, lease: 20_000 };
const alone = 10;
const interruptions = 10;
const wrong: string[] = [];
const say = (text: string) => console.log(text);

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;
const collect = (): number => {
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);

/** The time that a job worked, and for each tenth of its rows. */
class Tenths {
  readonly #began = performance.now() / 1_000 - gate.heldUp;
  readonly #marks: number[] = [];
  #last = 0;
  #end: number | null = null;

  end(): void {
    this.#end = this.seconds;
  }

  get seconds(): number {
    return this.#end ?? performance.now() / 1_000 - gate.heldUp - this.#began;
  }

  at(done: number): void {
    while (this.#marks.length < 10 && done >= ((this.#marks.length + 1) * rows) / 10) {
      this.#marks.push(this.seconds - this.#last);
      this.#last = this.seconds;
    }
  }

  toString(): string {
    return this.#marks.map((mark) => mark.toFixed(1)).join(" ");
  }

  /** The middle one of the second half over that of the first. */
  get growth(): number {
    const middle = (from: number) => this.#marks.slice(from, from + 5).toSorted((a, b) => a - b)[2] ?? NaN;
    return middle(5) / middle(0);
  }
}

function judge(name: string, turns: Turns, tenths: Tenths, before: Measured, after: Measured): void {
  const { working, resting, memory } = turns;
  const ratio = working.percentile(99) / resting.percentile(99);
  const halves = [memory.slice(0, Math.ceil(memory.length / 2)), memory.slice(Math.ceil(memory.length / 2))];
  const [early = 0, late = 0] = halves.map((half) => Math.max(...half, 0));
  say(`${name}, reads before:       ${before}`);
  say(`${name}, reads while working: ${working}`);
  say(`${name}, reads while resting: ${resting}`);
  say(`${name}, reads after:        ${after}`);
  say(
    `${name}: p99 is ${ratio.toFixed(2)} times that while resting, ${(working.percentile(99) / before.percentile(99)).toFixed(2)} that before, ${(working.percentile(99) / after.percentile(99)).toFixed(2)} that after`,
  );
  say(
    `${name}: tenths took ${tenths} s; memory after collection at most ${mib(early)} MiB in the first half, ${mib(late)} in the second`,
  );
  if (!(ratio <= 2))
    wrong.push(`${name}: the 99th percentile of reads is ${ratio.toFixed(2)} times that without.`);
  if (!(tenths.growth < 1.5))
    wrong.push(
      `${name}: a tenth of the second half took ${tenths.growth.toFixed(2)} times one of the first.`,
    );
  if (memory.length < 4) wrong.push(`${name}: was measured ${memory.length} times, too few to judge by.`);
  if (late > 1.2 * early + 2 ** 23)
    wrong.push(`${name}: memory grew from ${mib(early)} to ${mib(late)} MiB.`);
}

const [older, newest] = [generateKey(), generateKey()];
await using database = await ownDatabase(values.database, Number(values.memory));
const store = database.open();
const gate = new Gate(store);
// Longer than a job is held up.
const storeTimeout = 1_000 * (seconds.rest + 60);
const before = createSessionManager<{ hits: number }>({ store, keys: older, storeTimeout });
await store.migrate();
const began = performance.now();
await fill(store, rows, deadRow);
await fill(store, rows, (place) => liveRow(before as never, place));
say(`${values.database}: filled 2 x ${rows} rows in ${((performance.now() - began) / 1_000).toFixed(0)} s`);

const visitors = new Visitors(Number(values.clients), (work) => work(before));
await visitors.start();
await visitors.measureFor(alone / 2, new Measured()); // warm
const first = await visitors.measureFor(alone, new Measured());

const expiry = new Tenths();
let deleted = 0;
let turns = await inTurns(visitors, gate, seconds, collect, async () => {
  deleted = await before.expire({ ...held, ...pace, onProgress: (step) => expiry.at(step.deleted) });
  expiry.end();
});
say(`expired ${deleted} in ${expiry.seconds.toFixed(1)} s (${(deleted / expiry.seconds).toFixed(0)}/s)`);
const between = await visitors.measureFor(alone, new Measured());
judge("expiry", turns, expiry, first, between);
if (deleted !== rows) wrong.push(`Expiry deleted ${deleted} rows, not ${rows}.`);

const had = await census(before as never);
const after = createSessionManager<{ hits: number }>({ store, keys: [newest, older], storeTimeout });
visitors.moveTo((work) => work(after));
const reseal = new Tenths();
let [resealed, runs, refused] = [0, 0, 0];
turns = await inTurns(visitors, gate, seconds, collect, async () => {
  let cursor: string | null = null;
  for (;;) {
    const stop = new AbortController();
    const limit = runs < interruptions ? (rows / (interruptions + 1)) * (runs + 1) : Infinity;
    const result = await after.reseal({
      ...held,
      ...resealPace,
      signal: stop.signal,
      ...(cursor !== null && { after: cursor }),
      onProgress(progress) {
        reseal.at(resealed + progress.resealed);
        if (resealed + progress.resealed >= limit) stop.abort();
      },
    });
    resealed += result.resealed;
    refused += result.refused;
    if (result.finished) break;
    runs++;
    // Once as after a death that left no cursor behind: from the start.
    cursor = runs === 3 ? null : result.cursor;
  }
  reseal.end();
});
say(
  `resealed ${resealed} in ${reseal.seconds.toFixed(1)} s (${(resealed / reseal.seconds).toFixed(0)}/s) with ${runs} interruptions`,
);
judge("reseal", turns, reseal, between, await visitors.measureFor(alone, new Measured()));
if (runs !== interruptions) wrong.push(`Reseal was interrupted ${runs} times.`);
if (refused > 0) wrong.push(`${refused} rows were refused.`);

wrong.push(...(await visitors.stop()), ...(await visitors.verify(after)));
const { keys, total } = await after.stats();
// Only with the newest key, so that a row that opens is under it.
const has = await census(createSessionManager({ store, keys: newest }) as never);
say(
  `rows ${had.rows} -> ${has.rows}, under the older key ${keys[1]!.live + keys[1]!.ended}, not right ${has.wrong}`,
);
if (had.rows !== rows + 1_000 || total !== had.rows || has.ids !== had.ids) wrong.push("Rows were lost.");
if (had.whole !== rows || has.whole !== rows)
  wrong.push(`${had.whole} and then ${has.whole} rows were whole, not ${rows}.`);
if (had.wrong + has.wrong > 0)
  wrong.push(`${had.wrong} and then ${has.wrong} rows were not as they were saved.`);
if (keys[0]!.live !== total) wrong.push(`${total - keys[0]!.live} rows are not under the newest key.`);
await after.close();
for (const sentence of wrong.slice(0, 20)) console.error(sentence);
say(wrong.length === 0 ? "within the bounds" : `${wrong.length} bounds were missed`);
process.exitCode = wrong.length === 0 ? 0 : 1;
