import { channels, type ConflictEvent, type ReadEvent, type WriteEvent } from "../telemetry/channels.ts";

type Traced = "read" | "write";

/** Times of the latest operations that are kept. */
const KEPT = 1_000;

export interface Latency {
  readonly count: number;
  readonly failures: number;
  /** In milliseconds, of the latest operations; null if there were none. */
  readonly median: number | null;
  readonly p99: number | null;
}

/** What this process has measured since the dashboard was created. Other processes measure for themselves. */
export class Meter {
  readonly since: number;
  readonly #times: Readonly<Record<Traced, number[]>> = { read: [], write: [] };
  readonly #counts: Record<Traced, { count: number; failures: number }> = {
    read: { count: 0, failures: 0 },
    write: { count: 0, failures: 0 },
  };
  readonly conflicts: Record<ConflictEvent["outcome"], number> = { merged: 0, ended: 0, failed: 0 };

  constructor(now: number) {
    this.since = now;
    this.#follow<ReadEvent>("read");
    this.#follow<WriteEvent>("write");
    channels.conflict.subscribe((event) => {
      this.conflicts[(event as ConflictEvent).outcome]++;
    });
  }

  latency(operation: Traced): Latency {
    const times = this.#times[operation].toSorted((a, b) => a - b);
    const at = (fraction: number): number | null => times[Math.floor(times.length * fraction)] ?? null;
    return { ...this.#counts[operation], median: at(0.5), p99: at(0.99) };
  }

  #follow<Event extends object>(operation: Traced): void {
    const starts = new WeakMap<object, number>();
    const ended = (event: object): void => {
      const start = starts.get(event);
      if (start === undefined) return;
      const times = this.#times[operation];
      const count = this.#counts[operation].count++;
      times[count % KEPT] = performance.now() - start;
    };
    channels[operation].subscribe({
      start: (event: Event) => void starts.set(event, performance.now()),
      asyncEnd: (event: Event) => ended(event),
      error: () => void this.#counts[operation].failures++,
    } as never);
  }
}
