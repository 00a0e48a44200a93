import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, totalmem } from "node:os";
import { equalRate, type HttpLine } from "./http-level.ts";
import type { Options } from "./options.ts";
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
    "Written by `npm run bench`. Figures of one table are from one run, its candidates in turns within each round; figures of different tables do not compare. A speed is the median of the rounds; ± is half the range of the rounds, in per cent of the median. “Ours” says how many times as fast Stored Session is, in the median of the rounds. Processor time is in microseconds per operation.",
    machine(),
    `${options.rounds} rounds of ${options.seconds} s at the stores and ${Math.max(1, options.seconds)} s over HTTP; ${(options.rows + options.filler).toLocaleString("en")} sessions in each table${options.filler > 0 ? `, ${options.rows.toLocaleString("en")} of them in use, and InnoDB with 1 GiB each for pages and log` : ""}; load average while measuring ${[stores?.load, http?.load].map((load) => load?.toFixed(1) ?? "–").join(" / ")}.`,
    "Sessions hold the same data in every store. Stored Session runs as by default: encrypted, each write checked for conflicts and on disk before it is acknowledged. The servers run with durable settings. “Change” in the mix reads, changes and saves; the mix is 90 reads, 9 changes and 1 new session.",
  ];
  if (skipped.length > 0) parts.push(`Skipped: ${skipped.join("; ")}.`);
  if (http) parts.push(...httpTables(http.lines));
  if (stores) parts.push(...storeTables(stores));
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
    parts.push(
      `## Express over HTTP, ${database}`,
      `64 connections with a session each; every tenth request changes it. Each connection asks again when it is answered, so that a faster server is asked more often; in the last two columns all are asked ${equalRate.toLocaleString("en")} times a second.`,
      table(
        [
          "sessions",
          "requests/s",
          "±",
          "ours",
          "Node us",
          "server us",
          "loop p99 ms",
          "answer p99 ms",
          `loop p99 ms at ${equalRate.toLocaleString("en")}/s`,
          `answer p99 ms at ${equalRate.toLocaleString("en")}/s`,
        ],
        lines
          .filter((line) => line.database === database)
          .map((line) => [
            line.kind,
            whole(line.perSecond),
            `${line.spread.toFixed(0)}%`,
            `${line.timesFaster.toFixed(2)}×`,
            whole(line.node),
            whole(line.server),
            line.loop.toFixed(1),
            line.answer.toFixed(1),
            line.loopEqually.toFixed(1),
            line.answerEqually.toFixed(1),
          ]),
      ),
    );
  }
  return parts;
}

function storeTables({ lines, rows }: StoreResults): string[] {
  const parts: string[] = [];
  const keys = new Set(lines.map(({ database, size }) => `${database} ${size}`));
  for (const key of keys) {
    const [database, size] = key.split(" ") as [string, string];
    const own = lines.filter((line) => line.database === database && line.size === Number(size));
    parts.push(
      `## Stores, ${database}, ${size} B`,
      table(
        ["operation", "callers", "store", "operations/s", "±", "ours", "Node us", "server us"],
        own.map((line: Line) => [
          line.operation,
          String(line.callers),
          line.candidate,
          whole(line.perSecond),
          `${line.spread.toFixed(0)}%`,
          `${line.timesFaster.toFixed(2)}×`,
          line.node.toFixed(0),
          line.server > 0 ? line.server.toFixed(0) : "–",
        ]),
      ),
    );
    const sizes = rows.filter((row) => row.database === database && row.size === Number(size));
    if (sizes.length > 0) {
      parts.push(
        table(
          ["bytes a row, indexes included", "bytes"],
          sizes.map((row) => [row.candidate, whole(row.bytes)]),
        ),
      );
    }
  }
  return parts;
}
