import type { PrometheusClient } from "./prometheus-client.ts";

/** The part of a session manager that the gauges use. */
export interface CountedSessions {
  count(): Promise<number>;
  /** One pass over the table for all three gauges. Without it, only live sessions are counted. */
  census?(): Promise<{
    readonly live: number;
    readonly ended: number;
    readonly keys: readonly { readonly key: string; readonly place: string; readonly rows: number }[];
  } | null>;
}

/** In milliseconds. A scrape times out after ten seconds by default and collects other metrics too. */
const countTimeout = 3_000;

/**
 * Gauges of what the table holds, counted at most every `every` milliseconds. If a count fails, the gauges are removed
 * rather than reporting a stale value or zero. If a count is slow, the scrape reports the previous values while they are
 * younger than twice `every`; the next scrape reports the late result regardless of its age, so that slow counts still
 * appear.
 */
export function gaugesOfTable(
  client: PrometheusClient,
  about: { readonly live: object; readonly ended: object; readonly rows: object },
  sessions: CountedSessions,
  every: number,
): void {
  let countedAt = -Infinity;
  /** Whether a scrape has reported the current values. */
  let shown = true;
  const age = () => performance.now() - countedAt;
  let counting: Promise<void> | null = null;
  let page: Promise<void> | null = null;
  /** The gauges of a page are collected in one turn of the event loop, and wait for the same count. */
  const collect = () => (page ??= collectOnce().finally(() => (page = null)));
  const live = new client.Gauge({ ...about.live, collect });
  const ended = new client.Gauge({ ...about.ended, collect });
  const rows = new client.Gauge({ ...about.rows, collect });

  async function collectOnce(): Promise<void> {
    if (age() >= every) await recount();
    shown = true;
  }

  async function recount(): Promise<void> {
    counting ??= count()
      // An outage of the store must not fail the scrape that reports it.
      .catch(remove)
      .finally(() => (counting = null));
    if (await settledWithin(countTimeout, counting)) return;
    if (shown && age() >= 2 * every) remove();
  }

  async function count(): Promise<void> {
    const census = (await sessions.census?.()) ?? null;
    const alive = census === null ? await sessions.count() : census.live;
    remove();
    live.set(alive);
    if (census !== null) {
      ended.set(census.ended);
      for (const use of census.keys) rows.set({ key: use.key, place: use.place }, use.rows);
    }
    countedAt = performance.now();
    shown = false;
  }

  function remove(): void {
    live.remove();
    ended.remove();
    rows.reset();
  }
}

async function settledWithin(limit: number, work: Promise<void>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), limit);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
