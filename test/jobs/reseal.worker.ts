/**
 * One process of a cluster. A line on its input sets its clock and how many rows a second it reseals; from the first
 * one on it tries to reseal again and again until a run reaches the end.
 */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { createSessionManager, resealJob } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";

const [file, keys] = process.argv.slice(2) as [string, string];
/** The time, and the rows in a second, from the next try on. */
let ordered: [number, number] = [Date.now(), 0];
let [now, maxPerSecond] = ordered;
const sessions = createSessionManager({ store: sqliteStore(file), keys, clock: () => now });
const say = (word: string) => process.stdout.write(`${word}\n`);
const orders = createInterface({ input: process.stdin });
orders.on("line", (line) => (ordered = line.split(" ").map(Number) as [number, number]));
say("ready");
await once(orders, "line");
for (;;) {
  [now, maxPerSecond] = ordered;
  const result = await resealJob(sessions, {
    lease: 60_000,
    maxPerSecond,
    onProgress: ({ finished, resealed }) => say(finished ? "finished" : `progress ${resealed}`),
  });
  if (result.finished) break;
  say("elsewhere");
  await pause(30);
}
orders.close();
await sessions.close();
