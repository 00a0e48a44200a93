import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Profiler } from "node:inspector";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg } from "node:os";
import { budgetOf, partNames, type Budget } from "./budget.ts";
import { Visitor } from "./http-client.ts";
import type { DatabaseName, Options } from "./options.ts";
import { processorTime, startDatabase, startRedis } from "./servers.ts";
import type { Server } from "./servers.ts";
import { median, ratioOf, spread, timesAsFast } from "./statistics.ts";

export interface HttpLine {
  readonly database: DatabaseName;
  readonly kind: string;
  readonly perSecond: number;
  readonly spread: number;
  /** Null where this line or the first is too unsteady to be compared. */
  readonly timesFaster: number | null;
  /**
   * Microseconds of processor time per request: of Node in user mode and in the system, and of the database. On one
   * machine with the load generator, a large part of the system's time is waking it up.
   */
  readonly user: number;
  readonly system: number;
  readonly server: number;
  /** 99th percentiles in milliseconds: of the event loop's delay, and of the answer. */
  readonly loop: number;
  readonly answer: number;
  /** The same two where every server is asked equally often. */
  readonly loopEqually: number;
  readonly answerEqually: number;
  /** What the processor time goes to; null without `--profile`. */
  readonly budget: Budget | null;
}

interface Sample {
  readonly perSecond: number;
  readonly user: number;
  readonly system: number;
  readonly server: number;
  readonly loop: number;
  readonly answer: number;
}

interface Contender {
  readonly kind: string;
  readonly pid: number | null;
  readonly child: ChildProcess;
  readonly visitors: readonly Visitor[];
  readonly samples: Sample[];
  readonly equally: Sample[];
  profile: Profiler.Profile | null;
}

export const connections = 64;
/** Requests a second where every server is asked equally often: what the slowest of them can answer. */
export const equalRate = 1_000;

const everywhere = [
  "no session",
  "one setImmediate",
  "cookie-session",
  "iron-session",
  "memorystore",
  "connect-redis",
];
const kinds: Record<DatabaseName, readonly string[]> = {
  postgres: [
    "Stored Session on PostgreSQL",
    "Stored Session on PostgreSQL, one lane",
    "express-session, Stored Session on PostgreSQL",
    "connect-pg-simple",
    "connect-pg-simple, disableTouch: true",
    "connect-session-knex on PostgreSQL",
  ],
  mysql: [
    "Stored Session on MySQL",
    "express-session, Stored Session on MySQL",
    "express-mysql-session",
    "connect-session-knex on MySQL",
  ],
  mariadb: [
    "Stored Session on MySQL",
    "express-session, Stored Session on MySQL",
    "express-mysql-session",
    "connect-session-knex on MySQL",
  ],
  sqlite: [
    "Stored Session on SQLite",
    "express-session, Stored Session on SQLite",
    "better-sqlite3-session-store as installed",
    "better-sqlite3-session-store WAL NORMAL",
  ],
};

/** Each kind of session in an Express server of its own, all started at once and asked one after another. */
export async function measureHttp(options: Options): Promise<{ lines: HttpLine[]; load: number }> {
  const lines: HttpLine[] = [];
  const loads: number[] = [];
  for (const database of options.databases) {
    const folder = mkdtempSync(new URL("../run-", import.meta.url).pathname);
    const server = database === "sqlite" ? null : await startDatabase(database);
    const redis = await startRedis();
    const contenders: Contender[] = [];
    try {
      const wanted = [...kinds[database], ...everywhere]
        .filter((kind) => redis || kind !== "connect-redis")
        .filter((kind) => options.only.length === 0 || options.only.some((part) => kind.includes(part)));
      for (const kind of wanted) {
        const its = everywhere.includes(kind) ? (kind === "connect-redis" ? redis : null) : server;
        contenders.push(await start(kind, its, folder, options.sizes[0] ?? 300));
      }
      for (const contender of contenders) await measure(contender, 2);
      for (let round = 0; round < options.rounds; round++) {
        for (let turn = 0; turn < contenders.length; turn++) {
          const contender = contenders[(turn + round) % contenders.length] as Contender;
          contender.samples.push(await measure(contender, Math.max(1, options.seconds)));
          contender.equally.push(
            await measure(contender, Math.max(1, options.seconds), (1_000 * connections) / equalRate),
          );
        }
      }
      if (options.profile) {
        for (const contender of contenders) await takeProfile(contender, Math.max(1, options.seconds));
      }
      lines.push(...linesOf(database, contenders));
      loads.push(loadavg()[0] ?? 0);
    } finally {
      for (const { child, visitors } of contenders) {
        for (const visitor of visitors) visitor.close();
        if (child.connected) child.send("end");
        await once(child, "exit");
      }
      await redis?.stop();
      await server?.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return { lines, load: loads.length > 0 ? median(loads) : 0 };
}

async function start(kind: string, server: Server | null, folder: string, size: number): Promise<Contender> {
  const child = fork(
    new URL("http-server.ts", import.meta.url),
    [kind, server?.url ?? "", folder, String(size)],
    {
      env: { ...process.env, NODE_ENV: "production" },
      execArgv: process.env["BENCH_EXEC_ARGV"]?.split(" ") ?? [],
    },
  );
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  const visitors = Array.from({ length: connections }, (_, turn) => new Visitor(port, turn));
  await Promise.all(visitors.map((visitor) => visitor.begin()));
  return { kind, pid: server?.pid ?? null, child, visitors, samples: [], equally: [], profile: null };
}

async function measure({ child, visitors, pid }: Contender, seconds: number, every = 0): Promise<Sample> {
  await ask(child, "start");
  const before = processorTime(pid);
  const begun = performance.now();
  const delays: number[] = [];
  await Promise.all(visitors.map((visitor) => visitor.visit(begun + seconds * 1000, delays, every)));
  const elapsed = (performance.now() - begun) / 1000;
  const server = processorTime(pid) - before;
  const { user, system, p99 } = (await ask(child, "stop")) as Record<"user" | "system" | "p99", number>;
  return {
    perSecond: delays.length / elapsed,
    user: user / delays.length,
    system: system / delays.length,
    server: server / delays.length,
    loop: p99,
    answer: delays.toSorted((a, b) => a - b)[Math.floor(delays.length * 0.99)] ?? Number.NaN,
  };
}

/** Apart from the rounds, because taking samples slows everything down. */
async function takeProfile(contender: Contender, seconds: number): Promise<void> {
  await ask(contender.child, "profile");
  await measure(contender, seconds);
  contender.profile = (await ask(contender.child, "profiled")) as Profiler.Profile;
}

async function ask(child: ChildProcess, message: string): Promise<unknown> {
  const answer = once(child, "message");
  child.send(message);
  return (await answer)[0];
}

function linesOf(database: DatabaseName, contenders: readonly Contender[]): HttpLine[] {
  const first = (contenders[0]?.samples ?? []).map(({ perSecond }) => perSecond);
  return contenders.map(({ kind, samples, equally, profile }) => {
    const of = (name: keyof Sample, from = samples): number => median(from.map((sample) => sample[name]));
    const speeds = samples.map(({ perSecond }) => perSecond);
    const line: HttpLine = {
      database,
      kind,
      perSecond: median(speeds),
      spread: spread(speeds),
      timesFaster: timesAsFast(first, speeds),
      user: of("user"),
      system: of("system"),
      server: of("server"),
      loop: of("loop"),
      answer: of("answer"),
      loopEqually: of("loop", equally),
      answerEqually: of("answer", equally),
      budget: profile && budgetOf(profile, of("user") + of("system")),
    };
    console.log(
      [
        `${database} http`.padEnd(16),
        kind.padEnd(44),
        `${Math.round(line.perSecond)}/s`.padStart(9),
        `±${line.spread.toFixed(0)}%`.padStart(6),
        `ours ${ratioOf(line)}`.padStart(14),
        `user ${line.user.toFixed(1)} system ${line.system.toFixed(1)} server ${line.server.toFixed(1)} us`.padStart(
          38,
        ),
        `p99 loop ${line.loop.toFixed(1)} answer ${line.answer.toFixed(1)} ms; at ${equalRate}/s loop ${line.loopEqually.toFixed(1)} answer ${line.answerEqually.toFixed(1)} ms`,
      ].join(" "),
    );
    if (line.budget) console.log(`${" ".repeat(17)}${budgetText(line.budget)}`);
    return line;
  });
}

function budgetText(budget: Budget): string {
  return partNames.map((part) => `${part} ${budget[part].toFixed(1)}`).join(", ");
}
