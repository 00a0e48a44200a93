import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, totalmem } from "node:os";
import { partNames } from "./budget.ts";
import { connections, equalRate, type HttpLine } from "./http-level.ts";
import type { DatabaseName, Options } from "./options.ts";
import { ratioOf, steadySpread } from "./statistics.ts";
import type { Line, StoreResults } from "./store-level.ts";

/** What was measured, as Markdown. */
export function writeReport(
  options: Options,
  stores: StoreResults | null,
  http: { lines: HttpLine[]; load: number } | null,
  skipped: readonly string[],
): void {
  const parts = [
    "# Results",
    `Written by \`npm run bench\`. Figures of one table are from one run, its candidates in turns within each round; figures of different tables do not compare. A speed is the median of the rounds; ± is half the range of the rounds, in per cent of the median. “Ours” says how many times as fast Stored Session is, in the median of the rounds; it is left out where ± is above ${steadySpread}%, so that the fastest round is more than twice as fast as the slowest: the line is then marked as unsteady, and where that line is Stored Session's own, no other has a ratio. Processor time is in microseconds per operation.`,
    machine(),
    `${options.rounds} rounds of ${options.seconds} s at the stores and ${Math.max(1, options.seconds)} s over HTTP; load average while measuring ${[stores?.load, http?.load].map((load) => load?.toFixed(1) ?? "–").join(" / ")}.`,
    "Sessions hold the same data in every store. Stored Session runs as by default: encrypted, each write checked for conflicts and on disk before it is acknowledged. The database servers that were started for the run have durable settings.",
  ];
  if (skipped.length > 0) parts.push(`Skipped: ${skipped.join("; ")}.`);
  if (http) parts.push(...httpTables(http.lines));
  if (stores) parts.push(...storeTables(stores, options));
  if (options.output) writeFileSync(options.output, `${parts.join("\n\n")}\n`);
}

function machine(): string {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  const versions = [
    `Node ${process.version}`,
    version("/usr/lib/postgresql/15/bin/postgres", /\d+\.\d+/, "PostgreSQL"),
    version("/usr/sbin/mariadbd", /\d+\.\d+\.\d+/, "MariaDB"),
    version("redis-server", /v=(\S+)/, "Redis"),
    `SQLite ${process.versions["sqlite"] ?? ""}`,
    ...[
      "express",
      "express-session",
      "connect-pg-simple",
      "express-mysql-session",
      "connect-redis",
      "iron-session",
    ].map((name) => `${name} ${packageVersion(name)}`),
  ];
  return `${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}, ${arch()}, ${memory}; ${versions.filter(Boolean).join(", ")}.`;
}

function version(program: string, pattern: RegExp, label: string): string {
  try {
    const found = pattern.exec(execFileSync(program, ["--version"], { encoding: "utf8" }));
    return found ? `${label} ${found[1] ?? found[0]}` : "";
  } catch {
    return "";
  }
}

function packageVersion(name: string): string {
  const path = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version : "";
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? "---" : "---:"))), ...rows.map(line)].join(
    "\n",
  );
}

const whole = (value: number): string => Math.round(value).toLocaleString("en");

function httpTables(lines: readonly HttpLine[]): string[] {
  const parts: string[] = [];
  for (const database of new Set(lines.map((line) => line.database))) {
    const own = lines.filter((line) => line.database === database);
    parts.push(
      `## Express over HTTP, ${database}`,
      `${connections} connections with a session each, and no other sessions; every tenth request changes it. Each connection asks again when it is answered, so that a faster server is asked more often; in the last two columns all are asked ${equalRate.toLocaleString("en")} times a second.`,
      touchesOverHttp(own),
      "“One setImmediate” is middleware that only waits for the next turn of the event loop, as everything that asks a store does. On one machine with the load generator, most of the system's time is waking it up.",
      table(
        [
          "sessions",
          "requests/s",
          "±",
          "ours",
          "Node user us",
          "Node system us",
          "above the bare application, user us",
          "server us",
          "loop p99 ms",
          "answer p99 ms",
          `loop p99 ms at ${equalRate.toLocaleString("en")}/s`,
          `answer p99 ms at ${equalRate.toLocaleString("en")}/s`,
        ],
        own.map((line) => [
          line.kind,
          whole(line.perSecond),
          `${line.spread.toFixed(0)}%`,
          ratioOf(line),
          whole(line.user),
          whole(line.system),
          aboveBare(line, own),
          whole(line.server),
          line.loop.toFixed(1),
          line.answer.toFixed(1),
          line.loopEqually.toFixed(1),
          line.answerEqually.toFixed(1),
        ]),
      ),
      ...budgetTable(own),
    );
  }
  return parts;
}

function aboveBare({ user, kind }: HttpLine, lines: readonly HttpLine[]): string {
  const bare = lines.find((line) => line.kind === "no session");
  return bare === undefined || kind === bare.kind ? "–" : whole(user - bare.user);
}

function budgetTable(lines: readonly HttpLine[]): string[] {
  const profiled = lines.filter(({ budget }) => budget !== null);
  if (profiled.length === 0) return [];
  return [
    "What the processor time of one request goes to, in microseconds, user and system time together, from a profile of each server that was taken after its rounds and is scaled to the times above:",
    table(
      ["sessions", ...partNames],
      profiled.map(({ kind, budget }) => [kind, ...partNames.map((part) => budget![part].toFixed(1))]),
    ),
  ];
}

/** What is written at a request that changes nothing, as most of them do. */
function touchesOverHttp(lines: readonly HttpLine[]): string {
  const without = lines.some(({ kind }) => kind.includes("disableTouch"))
    ? " The line with `disableTouch: true` runs without: a session then ends so long after its last change, however much it is read."
    : "";
  return `Touches: at each request that changes nothing, express-session has its store move the session's end, and by default all stores here write it each time (connect-redis to Redis, memorystore to memory).${without} Stored Session moves it at most once an hour by default, off the request's path: in a run as short as this not at all. cookie-session and iron-session have no store to touch.`;
}

function storeTables({ lines, holdings, changes }: StoreResults, { rows, filler }: Options): string[] {
  const beside = filler > 0 ? `, and ${whole(filler)} beside them where the store can be filled` : "";
  const parts: string[] = [
    "## At the stores",
    `${whole(rows)} sessions of each are asked for${beside}; how many each holds when measuring begins stands below each table, and “create” and the mix add to them. “Touch” moves the end of a session that was read before, and waits for the answer. For Stored Session it is the commit of an unchanged session whose touch is due, with the comparison that finds it unchanged; requests do not wait for it, and by default it is due once an hour. “Change” in the mix reads, changes and saves; the mix is 90 reads, 9 changes and 1 new session.`,
  ];
  const keys = new Set(lines.map(({ database, size }) => `${database} ${size}`));
  for (const key of keys) {
    const [database, size] = key.split(" ") as [string, string];
    const own = lines.filter((line) => line.database === database && line.size === Number(size));
    parts.push(
      `## Stores, ${database}, ${size} B`,
      ...[changes.get(database as DatabaseName)].filter((change) => change !== undefined),
      table(
        ["operation", "callers", "store", "operations/s", "±", "ours", "Node us", "server us"],
        own.map((line: Line) => [
          line.operation,
          String(line.callers),
          line.candidate,
          whole(line.perSecond),
          `${line.spread.toFixed(0)}%`,
          ratioOf(line),
          line.node.toFixed(0),
          line.server > 0 ? line.server.toFixed(0) : "–",
        ]),
      ),
    );
    const held = holdings.filter((one) => one.database === database && one.size === Number(size));
    if (held.length > 0) {
      parts.push(
        table(
          ["store", "sessions when measuring begins", "bytes a row, indexes included"],
          held.map((one) => [
            one.candidate,
            whole(one.sessions),
            one.bytes === null ? "–" : whole(one.bytes),
          ]),
        ),
      );
    }
  }
  return parts;
}
