/** Schedules an expiry of four sessions, one a second, and has nothing else to do once the first is gone. */
import { generateKey, memoryStore } from "../../src/index.ts";
import { HandClock, manage, visit } from "./sessions.ts";

const clock = new HandClock();
const sessions = manage(memoryStore(), generateKey(), { clock: clock.now });
for (let nth = 0; nth < 4; nth++) await visit(sessions);
clock.time += 31 * 86_400_000;

let deleted = 0;
const untilItBegan = setInterval(() => {}, 1_000);
sessions.scheduleExpiry({
  every: 1,
  batchSize: 1,
  maxPerSecond: 1,
  onProgress: (progress) => {
    ({ deleted } = progress);
    clearInterval(untilItBegan);
  },
});
process.on("exit", () => process.stdout.write(`deleted ${deleted} of 4\n`));
