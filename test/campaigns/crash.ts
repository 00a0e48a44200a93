/**
 * A database server killed and restarted under load:
 *
 *   node test/campaigns/crash.ts --database postgres|mysql|mariadb [--minutes 5] [--kills 20] [--seed N]
 *
 * 64 callers in four processes go on all the time. It fails when an acknowledged commit is missing, an ended session
 * is back, or a call took longer than `storeTimeout` and one retry. A commit of a session that many change at once may
 * wait for its turn, merge and try again: it has five times `storeTimeout`.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { killServer, stopProcess } from "../../scripts/services/processes.ts";
import { provide, release, startPrivate, type ServerName } from "../../scripts/services/services.ts";
import { migrate } from "../../src/index.ts";
import { seeded } from "../session/doubles.ts";
import { sharedSessions, sum } from "./callers.ts";
import { managerOf, storeTimeout, type Order, type Report } from "./crash.worker.ts";

const { values } = parseArgs({
  options: {
    database: { type: "string" },
    minutes: { type: "string", default: "5" },
    kills: { type: "string", default: "20" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const database = values.database as ServerName;
if (!["postgres", "mysql", "mariadb"].includes(database)) {
  console.error("usage: crash.ts --database postgres|mysql|mariadb [--minutes 5] [--kills 20] [--seed N]");
  process.exit(2);
}
const [kills, seed] = [Number(values.kills), Number(values.seed)];
const between = (Number(values.minutes) * 60_000) / kills;
const random = seeded(seed);
const processes = 4;

console.log(`crash campaign on ${database}: ${kills} kills in ${values.minutes} minutes, seed ${seed}`);
await provide([database], { hold: true }); // installs what is missing
const directory = mkdtempSync(join(tmpdir(), `stored-session-crash-${database}-`));
chmodSync(directory, 0o755);
const home = join(directory, "server");
let server = await startPrivate(database, home);
const wrong: string[] = [];
try {
  const sessions = managerOf(database, server.url);
  await migrate(sessions.store);
  const shared = await sharedSessions(sessions.manager, 8);
  const children = Array.from({ length: processes }, (_, nth) =>
    fork(new URL("./crash.worker.ts", import.meta.url), {
      execArgv: ["--disable-warning=ExperimentalWarning"],
    }).on("exit", (code) => code !== 0 && wrong.push(`Process ${nth} ended with ${code}.`)),
  );
  await Promise.all(children.map((child) => once(child, "message")));
  children.forEach((child, nth) => {
    const name = `p${nth}c`;
    send(child, { database, url: server.url, count: 64 / processes, seed: seed + nth, name, shared });
  });
  const downs: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const began = performance.now();
    await pause(between * (0.3 + 0.4 * random()));
    await killServer(server.pid!);
    const down = performance.now();
    server = await startPrivate(database, home, server.port);
    downs.push(Math.round(performance.now() - down));
    await pause(Math.max(0, between - (performance.now() - began)));
  }
  const reports = await Promise.all(
    children.map(async (child) => {
      const answered = once(child, "message") as Promise<[Report]>;
      send(child, "finish");
      return (await answered)[0];
    }),
  );
  await Promise.all(children.map((child) => child.exitCode ?? once(child, "exit")));
  wrong.push(...reports.flatMap((report) => report.wrong));
  for (const cookie of shared) {
    const count = (await sessions.manager.load(cookie)).data["count"] as number;
    const least = reports.reduce((total, report) => total + (report.counts[cookie]?.least ?? 0), 0);
    const most = reports.reduce((total, report) => total + (report.counts[cookie]?.most ?? 0), 0);
    if (count < least || count > most)
      wrong.push(`${least} to ${most} were counted, and there are ${count}.`);
  }
  const figures = sum(reports.map((report) => report.figures));
  const longest = Math.max(...reports.map((report) => report.figures.longest));
  if (longest > 2 * storeTimeout + 500) wrong.push(`A call took ${Math.round(longest)} ms.`);
  const longestShared = Math.max(...reports.map((report) => report.figures.longestShared));
  if (longestShared > 5 * storeTimeout + 500)
    wrong.push(`A call of a shared session took ${Math.round(longestShared)} ms.`);
  for (const [nth, { acknowledged }] of reports.map((report) => report.figures).entries()) {
    if (acknowledged < 100 * Number(values.minutes))
      wrong.push(`Process ${nth} wrote ${acknowledged} times.`);
  }
  const censuses = { live: 0, gone: 0, either: 0 };
  for (const { census } of reports) {
    censuses.live += census.live;
    censuses.gone += census.gone;
    censuses.either += census.either;
  }
  console.log({
    kills,
    restart: `${Math.min(...downs)} to ${Math.max(...downs)} ms`,
    ...figures,
    ...censuses,
    rows: await sessions.manager.count(),
  });
  await sessions.manager.close();
} finally {
  await stopProcess(server.pid!, database === "postgres" ? "SIGINT" : "SIGTERM");
  rmSync(directory, { recursive: true, force: true });
  await release();
}
for (const sentence of wrong.slice(0, 20)) console.error(sentence);
console.log(wrong.length === 0 ? "nothing lost, nothing back" : `${wrong.length} failures, seed ${seed}`);
process.exitCode = wrong.length === 0 ? 0 : 1;

function send(child: ChildProcess, order: Order): void {
  child.send(order);
}
