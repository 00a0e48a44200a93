import type { TelemetryMeter, TelemetryObserver } from "./opentelemetry-api.ts";
import { TableCount, type Counted, type CountedSessions } from "./table-count.ts";

/** Gauges of what the table holds, until the returned function is called. Without current values they report none. */
export function observeTable(meter: TelemetryMeter, sessions: CountedSessions, every: number): () => void {
  const table = new TableCount(sessions, every);
  const stops = [
    observe("stored_session.live", "Sessions that have not ended.", (observer, { live }) =>
      observer.observe(live),
    ),
    observe(
      "stored_session.ended",
      "Sessions that have ended and are not deleted yet.",
      (observer, { census }) => {
        if (census !== null) observer.observe(census.ended);
      },
    ),
    observe("stored_session.rows", "Stored sessions by the key that sealed them.", (observer, { census }) => {
      for (const { key, place, rows } of census?.keys ?? [])
        observer.observe(rows, { "stored_session.key": key, "stored_session.place": place });
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };

  function observe(
    name: string,
    description: string,
    report: (observer: TelemetryObserver, counted: Counted) => void,
  ): () => void {
    const gauge = meter.createObservableGauge?.(name, { description, unit: "{session}" });
    const callback = async (observer: TelemetryObserver): Promise<void> => {
      const counted = await table.values();
      if (counted !== null) report(observer, counted);
    };
    gauge?.addCallback(callback);
    return () => gauge?.removeCallback(callback);
  }
}
