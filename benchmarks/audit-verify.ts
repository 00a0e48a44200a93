/** Verifies the trail in an SQLite file under STORED_SESSION_KEYS and prints time and memory. Run by audit.ts. */
import { createSessionManager } from "../src/index.ts";
import { sqliteStore } from "../src/sql/sqlite/store.ts";
import { print, rounded } from "./print.ts";

const keys = process.env["STORED_SESSION_KEYS"]!;
const sessions = createSessionManager({ store: sqliteStore(process.argv[2]!), keys, audit: true });
await sessions.load(null);
const before = process.memoryUsage().rss;
const began = performance.now();
const report = await sessions.audit.verify();
const seconds = (performance.now() - began) / 1_000;
print(`verification of ${report.events} events, seconds`, rounded(seconds));
print("  of a million, seconds at that rate", rounded((seconds * 1e6) / report.events));
print(
  "  memory above what the process started with, MiB",
  rounded(process.resourceUsage().maxRSS / 1_024 - before / 2 ** 20),
);
print("  result", report.ok ? "nothing was changed" : JSON.stringify(report.problems.slice(0, 3)));
if (!report.ok) process.exitCode = 1;
await sessions.close();
