import { mkdtempSync, rmSync } from "node:fs";
import { loadavg } from "node:os";
import type { Candidate, Setting } from "./candidate.ts";
import { otherCandidates } from "./elsewhere.ts";
import { mysqlCandidates } from "./mysql.ts";
import { enlarge, settle } from "./large.ts";
import type { DatabaseName, OperationName, Options } from "./options.ts";
import { postgresCandidates } from "./postgres.ts";
import { processorTime, startDatabase, startRedis } from "./servers.ts";
import { sqliteCandidates } from "./sqlite.ts";
import { median, ratioOf, spread, timesAsFast } from "./statistics.ts";

export interface Line {
  readonly database: DatabaseName;
  readonly size: number;
  readonly operation: OperationName;
  readonly callers: number;
  readonly candidate: string;
  readonly perSecond: number;
  /** Half the range of the rounds, in per cent of the median. */
  readonly spread: number;
  /**
   * How many times as fast as this the first candidate is, in the median of the rounds; null where either is too
   * unsteady to be compared.
   */
  readonly timesFaster: number | null;
  /** Microseconds of processor time per operation: of this process, and of the server. */
  readonly node: number;
  readonly server: number;
}

/** What a candidate holds before the first measurement. */
export interface Holding {
  readonly database: DatabaseName;
  readonly size: number;
  readonly candidate: string;
  /** Those that are asked for, and the rows beside them. */
  readonly sessions: number;
  /** Of a row with all indexes; null where that cannot be told. */
  readonly bytes: number | null;
}

export interface StoreResults {
  readonly lines: Line[];
  readonly holdings: Holding[];
  /** What was changed on a server for a large table, in a sentence. */
  readonly changes: Map<DatabaseName, string>;
  readonly skipped: string[];
  readonly load: number;
}

interface Sample {
  readonly perSecond: number;
  readonly node: number;
  readonly server: number;
}

const candidatesOf: Record<DatabaseName, (setting: Setting) => Promise<Candidate[]>> = {
  postgres: postgresCandidates,
  mysql: mysqlCandidates,
  mariadb: mysqlCandidates,
  sqlite: sqliteCandidates,
};

/** Every candidate in one process, one after another within each round. */
export async function measureStores(options: Options): Promise<StoreResults> {
  const results: StoreResults & { load: number } = {
    lines: [],
    holdings: [],
    changes: new Map(),
    skipped: [],
    load: 0,
  };
  const loads: number[] = [];
  for (const database of options.databases) {
    const folder = mkdtempSync(new URL("../run-", import.meta.url).pathname);
    const server = database === "sqlite" ? null : await startDatabase(database);
    const redis = await startRedis();
    const durableRedis = await startRedis({ durable: true });
    if (!redis)
      results.skipped.push("connect-redis: there is no redis-server (apt-get install redis-server)");
    try {
      for (const size of options.sizes) {
        const { url, pid } = server ?? { url: "", pid: null };
        const sizeFolder = mkdtempSync(`${folder}/`);
        const setting = { database, url, pid, folder: sizeFolder, size, redis, durableRedis };
        const all = [...(await candidatesOf[database](setting)), ...(await otherCandidates(setting))];
        const chosen = all.filter(
          ({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)),
        );
        try {
          const large = options.filler > 0 && server !== null;
          const change = large ? await enlarge(database, server) : null;
          if (change !== null) results.changes.set(database, change);
          await fill(database, size, chosen, options, results);
          if (large) {
            await settle(database, server);
            await warm(chosen, options);
          }
          await compare(database, size, chosen, options, results.lines);
          loads.push(loadavg()[0] ?? 0);
        } finally {
          for (const candidate of all) await candidate.close();
        }
      }
    } finally {
      await redis?.stop();
      await durableRedis?.stop();
      await server?.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  results.load = loads.length > 0 ? median(loads) : 0;
  return results;
}

async function fill(
  database: DatabaseName,
  size: number,
  candidates: readonly Candidate[],
  { rows, filler }: Options,
  results: StoreResults,
): Promise<void> {
  for (const candidate of candidates) {
    const before = await candidate.bytes();
    await inTurns(rows, (place) => candidate.create(place));
    const after = await candidate.bytes();
    const added = filler > 0 ? ((await candidate.fill?.(filler)) ?? 0) : 0;
    const bytes = before === null || after === null ? null : Math.round((after - before) / rows);
    results.holdings.push({ database, size, candidate: candidate.name, sessions: rows + added, bytes });
    console.log(
      `${database}, ${size} B: ${candidate.name}: ${rows + added} sessions, ${bytes ?? "?"} bytes a row`,
    );
  }
}

/** Reads every session in use: filling has pushed their pages out, and what is measured is not the disk. */
async function warm(candidates: readonly Candidate[], { rows }: Options): Promise<void> {
  for (const candidate of candidates) await inTurns(rows, (place) => candidate.read(place));
}

/** 128 places at a time. */
async function inTurns(rows: number, work: (place: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < rows; from += 128) {
    const places = Array.from({ length: Math.min(128, rows - from) }, (_, index) => from + index);
    await Promise.all(places.map(work));
  }
}

async function compare(
  database: DatabaseName,
  size: number,
  candidates: readonly Candidate[],
  options: Options,
  lines: Line[],
): Promise<void> {
  for (const operation of options.operations) {
    for (const callers of options.callers) {
      const samples = candidates.map((): Sample[] => []);
      // Long enough for statements to be prepared on every connection of the pools.
      for (const candidate of candidates)
        await measure(candidate, operation, callers, options, options.seconds);
      for (let round = 0; round < options.rounds; round++) {
        // Each round begins with another one, so that none always follows the same neighbour.
        for (let turn = 0; turn < candidates.length; turn++) {
          const index = (turn + round) % candidates.length;
          const candidate = candidates[index] as Candidate;
          samples[index]?.push(await measure(candidate, operation, callers, options, options.seconds));
        }
      }
      const first = (samples[0] ?? []).map(({ perSecond }) => perSecond);
      for (const [index, { name }] of candidates.entries()) {
        const own = samples[index] ?? [];
        const speeds = own.map(({ perSecond }) => perSecond);
        const line: Line = {
          database,
          size,
          operation,
          callers,
          candidate: name,
          perSecond: median(speeds),
          spread: spread(speeds),
          timesFaster: timesAsFast(first, speeds),
          node: median(own.map(({ node }) => node)),
          server: median(own.map(({ server }) => server)),
        };
        lines.push(line);
        console.log(
          [
            `${database} ${size} B ${operation} ×${callers}`.padEnd(30),
            name.padEnd(54),
            `${Math.round(line.perSecond)}/s`.padStart(10),
            `±${line.spread.toFixed(0)}%`.padStart(6),
            `ours ${ratioOf(line)}`.padStart(14),
            `node ${line.node.toFixed(0)} server ${line.server.toFixed(0)} us`.padStart(24),
          ].join(" "),
        );
      }
    }
  }
}

async function measure(
  candidate: Candidate,
  operation: OperationName,
  callers: number,
  { rows }: Options,
  seconds: number,
): Promise<Sample> {
  let operations = 0;
  // Each caller has places of its own, so that no two meet at one session.
  const share = Math.max(1, Math.floor(rows / callers));
  const serverBefore = processorTime(candidate.pid);
  const before = process.cpuUsage();
  const start = performance.now();
  const end = start + seconds * 1000;
  const call = async (caller: number): Promise<void> => {
    for (let turn = Math.floor(Math.random() * 1000); performance.now() < end; turn += 7) {
      await perform(candidate, operation, (caller + callers * (turn % share)) % rows);
      operations++;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
  const elapsed = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  return {
    perSecond: operations / elapsed,
    node: (user + system) / operations,
    server: (processorTime(candidate.pid) - serverBefore) / operations,
  };
}

function perform(candidate: Candidate, operation: OperationName, place: number): Promise<unknown> {
  if (operation !== "mix") return candidate[operation](place);
  const dice = Math.random() * 100;
  if (dice < 90) return candidate.read(place);
  return dice < 99 ? candidate.change(place) : candidate.create(place);
}
