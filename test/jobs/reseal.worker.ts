/** One process of a cluster: tries to reseal again and again until a run reaches the end. */
import { setTimeout as pause } from "node:timers/promises";
import { createSessionManager, resealJob } from "../../src/index.ts";
import { sqliteStore } from "../../src/store/sqlite.ts";

const [file, keys] = process.argv.slice(2) as [string, string];
const sessions = createSessionManager({ store: sqliteStore(file), keys });
const say = (word: string) => process.stdout.write(`${word}\n`);
for (;;) {
  const result = await resealJob(sessions, {
    lease: 1_000,
    batchSize: 5,
    maxPerSecond: 50,
    onProgress: ({ finished, resealed }) => say(finished ? "finished" : `progress ${resealed}`),
  });
  if (result.finished) break;
  say("elsewhere");
  await pause(30);
}
await sessions.close();
