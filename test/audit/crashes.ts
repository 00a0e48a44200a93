/** Processes that write a trail and are killed, and what has to hold in the database after that. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { createSessionManager } from "../../src/manager.ts";
import { Switch } from "../campaigns/switch.ts";
import type { AuditEvent } from "../../src/audit/events.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import type { WorkerOptions } from "./writer.worker.ts";

const program = new URL("./writer.worker.ts", import.meta.url).pathname;

export class Worker {
  readonly process: ChildProcess;
  readonly lines: string[] = [];
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
  errors = "";

  constructor(options: WorkerOptions) {
    this.process = spawn(process.execPath, [program, JSON.stringify(options)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const reading = createInterface({ input: this.process.stdout! });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    reading.on("line", (line) => {
      if (line === "ready") resolve();
      else this.lines.push(line);
    });
    this.process.stderr!.on("data", (data) => (this.errors += String(data)));
    this.ended = Promise.all([once(this.process, "close"), once(reading, "close")]).then(() => resolve());
  }
}

/** The way of processes to a server, on which all connections can break at once. SQLite has none. */
export class ServerWay implements AsyncDisposable {
  readonly where: string;
  readonly #switch: Switch | null;
  readonly #port: number;

  private constructor(where: string, way: Switch | null, port: number) {
    this.where = where;
    this.#switch = way;
    this.#port = port;
  }

  static async to(where: string): Promise<ServerWay> {
    if (!where.includes("://")) return new ServerWay(where, null, 0);
    const url = new URL(where);
    const port = Number(url.port);
    const way = await Switch.to(port);
    url.hostname = "127.0.0.1";
    url.port = String(way.port);
    return new ServerWay(url.href, way, port);
  }

  fail(): void {
    this.#switch?.lead(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#switch?.[Symbol.asyncDispose]();
  }
}

export interface Round {
  readonly workers: number;
  /** How many of them are killed with -9. */
  readonly killed: number;
  /** Milliseconds until then, at most. */
  readonly within: number;
  readonly further?: number;
  readonly most?: number;
}

/** Runs workers, kills some, lets the others end. Returns what was acknowledged. */
export async function runRound(
  options: Omit<WorkerOptions, "name" | "further" | "most">,
  { workers: count, killed, within, further = 0, most = Infinity }: Round,
): Promise<string[]> {
  const bound = Number.isFinite(most) ? most : 2 ** 31;
  const workers = Array.from(
    { length: count },
    (_, index) => new Worker({ ...options, name: `w${index}`, further, most: bound }),
  );
  await Promise.all(workers.map(({ ready }) => ready));
  await Promise.all(
    workers.map(async (worker, index) => {
      if (index < killed) {
        await pause(randomInt(5, within));
        worker.process.kill("SIGKILL");
      } else {
        if (!Number.isFinite(most)) {
          await pause(within);
          worker.process.kill("SIGTERM");
        }
      }
      await worker.ended;
    }),
  );
  const failed = workers.find(({ lines }, index) => index >= killed && lines.at(-1) !== "stopped");
  if (failed) throw new Error(`A worker failed: ${failed.errors}`);
  return workers.flatMap(({ lines }) => lines.filter((line) => line !== "stopped"));
}

/**
 * What contradicts "no acknowledged change without its event, and no event without its change". The trail says which sessions
 * there have to be; the table says which there are.
 * @param least as many events as there have to be
 */
export async function contradictions(
  store: SessionStore,
  keys: string,
  acknowledged: readonly string[],
  least = 0,
): Promise<string[]> {
  const sessions = createSessionManager({ store, keys, audit: true });
  const wrong: string[] = [];
  const begun = new Set<string>();
  const ended = new Set<string>();
  const types = [
    "session.created",
    "login",
    "session.rotated",
    "logout",
    "session.destroyed",
    "session.revoked",
  ] as const;
  for await (const event of sessions.audit.list({ types })) follow(event, begun, ended);
  for (const line of acknowledged) {
    const [what, handle, next] = line.split(" ") as [string, string, string | undefined];
    if (what === "login" && !begun.has(handle)) wrong.push(`${line}: without an event`);
    if (what === "end" && !ended.has(handle)) wrong.push(`${line}: without an event`);
    if (what === "rotate" && !(ended.has(handle) && begun.has(next!)))
      wrong.push(`${line}: without an event`);
  }
  const there = new Set<string>();
  for (let after: Uint8Array | null = null; ;) {
    const page = await store.scanInfo(after, 500);
    for (const { id } of page) there.add(Buffer.from(id).toString("base64url"));
    if (page.length < 500) break;
    after = page.at(-1)!.id;
  }
  for (const handle of begun) {
    if (!ended.has(handle) && !there.has(handle))
      wrong.push(`${handle}: an event of its beginning, and no session`);
    if (ended.has(handle) && there.has(handle))
      wrong.push(`${handle}: an event of its end, and the session is there`);
  }
  for (const handle of there) if (!begun.has(handle)) wrong.push(`${handle}: a session without an event`);
  const report = await sessions.audit.verify();
  if (report.events < least) wrong.push(`${report.events} events, of at least ${least}`);
  for (const problem of report.problems) wrong.push(`false alarm: ${problem.kind}: ${problem.message}`);
  return wrong;
}

function follow({ type, session, previous }: AuditEvent, begun: Set<string>, ended: Set<string>): void {
  if (type === "logout" || type === "session.destroyed" || type === "session.revoked") ended.add(session!);
  else begun.add(session!);
  if (type === "session.rotated" && previous !== undefined) ended.add(previous);
}
