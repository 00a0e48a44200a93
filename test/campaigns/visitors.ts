/** Clients that read and write without end, and how long their reads took. */
import { performance, createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import type { SessionManager } from "../../src/index.ts";
import { cookieOf } from "../session/doubles.ts";

export type Counted = SessionManager<{ hits: number }>;

/** Does what a request does with the manager of the process that serves it. */
export type Serve = (work: (manager: Counted) => Promise<void>) => Promise<void>;

interface Visit {
  cookie: string;
  hits: number;
  /** One request of a visitor at a time, so that what it finds can be foretold. */
  busy: boolean;
  /** When its last request began. */
  at: number;
}

/** What was measured while one thing went on. Times are milliseconds. */
export class Measured {
  readonly #reads: RecordableHistogram = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 });
  seconds = 0;
  /** Share of the event loop's time that was work. */
  #busy = 0;

  add(milliseconds: number): void {
    this.#reads.record(Math.max(1, Math.round(milliseconds * 1_000)));
  }

  spent(seconds: number, utilization: number): void {
    this.seconds += seconds;
    this.#busy += seconds * utilization;
  }

  percentile(percent: number): number {
    return this.#reads.percentile(percent) / 1_000;
  }

  toString(): string {
    const [p50, p99] = [50, 99].map((percent) => this.percentile(percent).toFixed(2));
    const rate = Math.round(this.#reads.count / this.seconds);
    return `p50 ${p50} ms, p99 ${p99} ms, ${this.#reads.count} reads (${rate}/s), loop ${Math.round((100 * this.#busy) / this.seconds)}% busy`;
  }
}

/** Clients on many sessions: each thinks 10 ms on average, and one request in ten writes. */
export class Visitors {
  readonly #visits: Visit[] = [];
  readonly #clients: number;
  readonly #wrong: string[] = [];
  #serve: Serve;
  #into: Measured | null = null;
  #began = performance.now();
  #loop = performance.eventLoopUtilization();
  #running = true;
  #working: Promise<unknown> = Promise.resolve();
  requests = 0;

  constructor(clients: number, serve: Serve) {
    this.#clients = clients;
    this.#serve = serve;
  }

  async start(sessions = 1_000): Promise<void> {
    const enter = async (manager: Counted): Promise<void> => {
      const session = await manager.load(null);
      session.data = { hits: 0 };
      this.#visits.push({ cookie: cookieOf(await manager.commit(session)), hits: 0, busy: false, at: 0 });
    };
    await Promise.all(Array.from({ length: sessions }, () => this.#serve(enter)));
    this.#working = Promise.all(Array.from({ length: this.#clients }, () => this.#client()));
  }

  /** From now on reads are counted there; null: nowhere. */
  measure(into: Measured | null): void {
    const now = performance.now();
    const loop = performance.eventLoopUtilization();
    this.#into?.spent(
      (now - this.#began) / 1_000,
      performance.eventLoopUtilization(loop, this.#loop).utilization,
    );
    [this.#into, this.#began, this.#loop] = [into, now, loop];
  }

  /** Counts for so long. */
  async measureFor(seconds: number, into: Measured): Promise<Measured> {
    this.measure(into);
    await pause(seconds * 1_000);
    this.measure(null);
    return into;
  }

  /** From now on requests are served so, as after a deployment. */
  moveTo(serve: Serve): void {
    this.#serve = serve;
  }

  /** What was wrong, a sentence each. */
  async stop(): Promise<string[]> {
    this.#running = false;
    await this.#working;
    return this.#wrong;
  }

  /** Whether everybody was here since then. */
  everybodyCameSince(then: number): boolean {
    return this.#visits.every(({ at }) => at > then);
  }

  /** Looks everybody up. */
  async verify(manager: Counted): Promise<string[]> {
    const wrong: string[] = [];
    for (const { cookie, hits } of this.#visits) {
      const { isNew, data } = await manager.load(cookie);
      if (isNew || data.hits !== hits)
        wrong.push(`A visitor of ${hits} hits has ${isNew ? "no session" : data.hits}.`);
    }
    return wrong;
  }

  async #client(): Promise<void> {
    while (this.#running) {
      const visit = this.#visits[Math.floor(Math.random() * this.#visits.length)]!;
      if (visit.busy) continue;
      visit.busy = true;
      try {
        await this.#serve((manager) => this.#request(manager, visit));
      } catch (error) {
        this.#wrong.push(String(error));
      }
      visit.busy = false;
      await pause(Math.random() * 20);
    }
  }

  async #request(manager: Counted, visit: Visit): Promise<void> {
    const into = this.#into;
    const began = performance.now();
    visit.at = began;
    const session = await manager.load(visit.cookie);
    into?.add(performance.now() - began);
    this.requests++;
    if (session.isNew) {
      this.#wrong.push("A visitor was logged out.");
      return;
    }
    if (session.data.hits !== visit.hits)
      this.#wrong.push(`${visit.hits} hits were read as ${session.data.hits}.`);
    const writes = this.requests % 10 === 0;
    if (writes) session.data.hits = visit.hits + 1;
    const cookie = await manager.commit(session);
    if (writes) visit.hits++;
    if (cookie !== null) visit.cookie = cookieOf(cookie);
  }
}
