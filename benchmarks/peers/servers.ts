/**
 * The servers under measurement: of their own, so that nobody else's load is counted, with the durable settings of the
 * tests; or those given by TEST_POSTGRES_URL and its like, whose processor time is then not known.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerName } from "../../scripts/services/engine.ts";
import { freePort, stopProcess, waitUntil, answers } from "../../scripts/services/processes.ts";
import { provide, release, startPrivate, variable } from "../../scripts/services/services.ts";
import { workplace } from "../../scripts/services/workplace.ts";

export interface Server {
  readonly url: string;
  /** Null when it is not on this machine. */
  readonly pid: number | null;
  /** Started for this run alone, so that its settings may be changed; otherwise it is somebody else's. */
  readonly own: boolean;
  stop(): Promise<void>;
}

export async function startDatabase(name: ServerName): Promise<Server> {
  const given = process.env[variable(name)];
  if (given) return { url: given, pid: null, own: false, stop: async () => {} };
  await provide([name], { hold: true }); // installs its programs
  const directory = mkdtempSync(join(workplace(), `bench-${name}-`));
  const running = await startPrivate(name, directory);
  return {
    url: running.url,
    pid: running.pid,
    own: true,
    async stop() {
      if (running.pid !== null) await stopProcess(running.pid, name === "postgres" ? "SIGINT" : "SIGTERM");
      rmSync(directory, { recursive: true, force: true });
      await release();
    },
  };
}

const redisServer = "redis-server";

/** @param durable every command on the disk before its answer; otherwise nothing is kept there */
export async function startRedis({ durable = false } = {}): Promise<Server | null> {
  try {
    execFileSync(redisServer, ["--version"], { stdio: "ignore" });
  } catch {
    return null;
  }
  const directory = mkdtempSync(join(tmpdir(), "stored-session-bench-redis-"));
  const port = await freePort();
  const kept = durable ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
  const child = spawn(
    redisServer,
    ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "", ...kept],
    { stdio: "ignore" },
  );
  const pid = child.pid!;
  await waitUntil(() => answers(port), { pid, name: "redis-server" });
  return {
    url: `redis://127.0.0.1:${port}`,
    pid,
    own: true,
    async stop() {
      await stopProcess(pid);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Microseconds of processor time that a process, its threads and its children have taken; 0 without a process. */
export function processorTime(pid: number | null): number {
  if (pid === null) return 0;
  let total = 0;
  for (const each of family(pid)) total += ownTime(each);
  return total / 1000;
}

const families = new Map<number, { at: number; pids: readonly number[] }>();

/** PostgreSQL has a process for each connection. Found anew every few seconds only, as looking costs as well. */
function family(pid: number): readonly number[] {
  const known = families.get(pid);
  if (known && performance.now() - known.at < 2_000) return known.pids;
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, "utf8"))?.[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // gone meanwhile
    }
  }
  const pids = [pid];
  for (const each of pids) pids.push(...(children.get(each) ?? []));
  families.set(pid, { at: performance.now(), pids });
  return pids;
}

/** Nanoseconds. */
function ownTime(pid: number): number {
  let total = 0;
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
    }
  } catch {
    // gone meanwhile, or a system without schedstat
  }
  return total;
}
