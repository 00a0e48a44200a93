import type { PrometheusClient } from "./prometheus-client.ts";
import { TableCount, type CountedSessions } from "./table-count.ts";

/** Gauges of what the table holds. Without current values they are removed. */
export function gaugesOfTable(
  client: PrometheusClient,
  about: { readonly live: object; readonly ended: object; readonly rows: object },
  sessions: CountedSessions,
  every: number,
): void {
  const table = new TableCount(sessions, every);
  const collect = async (): Promise<void> => {
    const counted = await table.values();
    live.remove();
    ended.remove();
    rows.reset();
    if (counted === null) return;
    live.set(counted.live);
    if (counted.census === null) return;
    ended.set(counted.census.ended);
    for (const { key, place, rows: count } of counted.census.keys) rows.set({ key, place }, count);
  };
  const live = new client.Gauge({ ...about.live, collect });
  const ended = new client.Gauge({ ...about.ended, collect });
  const rows = new client.Gauge({ ...about.rows, collect });
}
