/**
 * Schedules an expiry of a hundred sessions, one a second ("slow") or without a rest ("fast"). Once the first is gone
 * the process has nothing else to do ("ending"), or waits for connections, of which none comes ("idle").
 */
import { createServer } from "node:net";
import { generateKey, memoryStore } from "../../src/index.ts";
import { HandClock, manage, visit } from "./sessions.ts";

const [pace, end] = process.argv.slice(2);
const clock = new HandClock();
const sessions = manage(memoryStore(), generateKey(), { clock: clock.now });
for (let nth = 0; nth < 100; nth++) await visit(sessions);
clock.time += 31 * 86_400_000;

let deleted = 0;
const untilItBegan = setInterval(() => {}, 1_000);
const server = end === "idle" ? createServer().listen(0, "127.0.0.1") : null;
sessions.scheduleExpiry({
  every: 1,
  batchSize: 1,
  ...(pace === "slow" ? { maxPerSecond: 1 } : { maxPerSecond: Infinity, share: 1 }),
  onProgress: (progress) => {
    ({ deleted } = progress);
    // Only so that a run that stands still fails the test: nothing may wake the loop before.
    if (deleted === 1 && server !== null) setTimeout(() => process.exit(), 20_000).unref();
    clearInterval(untilItBegan);
    if (deleted === 100) process.exit();
  },
});
process.on("exit", () => process.stdout.write(`deleted ${deleted} of 100\n`));
