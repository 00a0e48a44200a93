/** `stored-session/prometheus`: metrics through prom-client. */
import { milliseconds, type Duration } from "../shared/duration.ts";
import { assertOptions, durationFrom, hasMethods, isText } from "../shared/option-checks.ts";
import {
  isOfCookie,
  type BatchEvent,
  type ConflictEvent,
  type DeviceEvent,
  type RefuseEvent,
} from "./channels.ts";
import { isOfDevice } from "./device-refusals.ts";
import {
  batchOperations,
  conflictOutcomes,
  cookieRejections,
  deletions,
  deviceOutcomes,
  deviceRefusals,
  outcomes,
  refusalReasons,
  writeReasons,
} from "./label-values.ts";
import type { PrometheusClient, PrometheusRegistry } from "./prometheus-client.ts";
import { measureTrail } from "./prometheus-audit.ts";
import { gaugesOfTable } from "./prometheus-gauges.ts";
import type { CountedSessions } from "./table-count.ts";
import { followOperations, listen, outcomeOf } from "./operations.ts";

type Labels = Record<string, string>;

export type { PrometheusClient, PrometheusRegistry } from "./prometheus-client.ts";

export interface PrometheusOptions {
  /** Default: prom-client's own `register`. */
  registry?: PrometheusRegistry;
  /** The manager whose table the gauges `live`, `ended` and `rows` count. Omit to record no such gauges. */
  sessions?: CountedSessions;
  /** Minimum interval between counts, which scan an index or the table. Default "60 s". */
  countEvery?: Duration;
  /** Default "stored_session_". */
  prefix?: string;
}

/**
 * Records all session operations of this process until the returned function is called, which also removes the metrics
 * from the registry. No label contains data of a session or a request.
 *
 * @throws {TypeError} an invalid option
 *
 * ```ts
 * import client from "prom-client";
 * measureSessions(client, { sessions });
 * ```
 */
export function measureSessions(client: PrometheusClient, options: PrometheusOptions = {}): () => void {
  assertOptions("measureSessions", options, {
    registry: hasMethods("removeSingleMetric"),
    sessions: hasMethods("count"),
    countEvery: durationFrom(0),
    prefix: isText,
  });
  const { registry = client.register, sessions, prefix = "stored_session_" } = options;
  const countEvery = milliseconds(options.countEvery ?? "60 s")!;
  const names: string[] = [];
  const about = (name: string, help: string, labelNames: string[] = [], rest: object = {}) => {
    names.push(prefix + name);
    return { name: prefix + name, help, labelNames, registers: [registry], ...rest };
  };

  const duration = new client.Histogram(
    about(
      "operation_duration_seconds",
      "Duration of store operations, including time in the queue.",
      ["operation", "outcome"],
      {
        buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      },
    ),
  );
  const bytes = new client.Histogram(
    about("written_bytes", "Size of encrypted sessions when written.", ["operation"], {
      buckets: [128, 256, 512, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576],
    }),
  );
  const batches = new client.Histogram(
    about("batch_size", "Operations per statement (batch size).", ["operation"], {
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    }),
  );
  const writes = new client.Counter(
    about("writes_total", "Sessions written, by reason.", ["operation", "reason"]),
  );
  const deleted = new client.Counter(
    about("deleted_total", "Sessions deleted by logout, revocation, eviction and expiry.", ["operation"]),
  );
  const refusals = new client.Counter(
    about("refusals_total", "Rows that could not be decrypted or decoded, by reason.", ["reason"]),
  );
  const rejected = new client.Counter(
    about(
      "cookies_rejected_total",
      "Session cookies rejected, by reason: malformed, or not signed by a key of the ring.",
      ["reason"],
    ),
  );
  const conflicts = new client.Counter(
    about(
      "conflicts_total",
      "Commits that conflicted with another request's changes, by result: merged, ended or failed.",
      ["outcome"],
    ),
  );
  const devices = new client.Counter(
    about(
      "device_bindings_total",
      "Device-bound sessions: logins offered to be bound, logins bound, proofs refreshed, logins ended because they were not bound.",
      ["outcome"],
    ),
  );
  const unproved = new client.Counter(
    about(
      "device_refusals_total",
      "Requests and proofs refused because they did not prove the device, by reason.",
      ["reason"],
    ),
  );
  for (const [operation, ends] of Object.entries(outcomes))
    for (const outcome of ends) duration.zero({ operation, outcome });
  for (const operation of batchOperations) batches.zero({ operation });
  for (const [operation, reasons] of Object.entries(writeReasons)) {
    bytes.zero({ operation });
    for (const reason of reasons) writes.inc({ operation, reason }, 0);
  }
  for (const operation of deletions) deleted.inc({ operation }, 0);
  for (const reason of refusalReasons) refusals.inc({ reason }, 0);
  for (const reason of cookieRejections) rejected.inc({ reason }, 0);
  for (const outcome of conflictOutcomes) conflicts.inc({ outcome }, 0);
  for (const outcome of deviceOutcomes) devices.inc({ outcome }, 0);
  for (const reason of deviceRefusals) unproved.inc({ reason }, 0);
  // Each worker of a cluster counts the same table.
  const shared = { aggregator: "max" };
  const lastExpiry = new client.Gauge(
    about(
      "last_expiry_timestamp_seconds",
      "Time of the last expiry that succeeded in this process.",
      [],
      shared,
    ),
  );
  // Before the first one there is no time to report, and 0 would look like 1970.
  lastExpiry.remove();
  if (sessions !== undefined) {
    gaugesOfTable(
      client,
      {
        live: about("live", "Sessions that have not ended.", [], shared),
        ended: about("ended", "Sessions that have ended and are not deleted yet.", [], shared),
        rows: about("rows", "Stored sessions by the key that sealed them.", ["key", "place"], shared),
      },
      sessions,
      countEvery,
    );
  }

  const stops = [
    followOperations<void>({
      began() {},
      ended(event, _, seconds) {
        const { operation } = event;
        const outcome = outcomeOf(event);
        duration.observe({ operation, outcome } satisfies Labels, seconds);
        if (operation === "expire" && outcome === "ok") lastExpiry.set(Date.now() / 1_000);
        if (event.deleted !== undefined && event.deleted > 0) deleted.inc({ operation }, event.deleted);
        if (event.reason !== undefined && outcome === "ok") {
          writes.inc({ operation, reason: event.reason });
          bytes.observe({ operation }, event.bytes ?? 0);
        }
      },
    }),
    listen<BatchEvent>("batch", ({ operation, size }) => batches.observe({ operation }, size)),
    listen<RefuseEvent>("refuse", (event) => {
      const counter = isOfDevice(event) ? unproved : isOfCookie(event) ? rejected : refusals;
      counter.inc({ reason: event.reason });
    }),
    listen<DeviceEvent>("device", ({ outcome }) => devices.inc({ outcome })),
    listen<ConflictEvent>("conflict", ({ outcome }) => conflicts.inc({ outcome })),
    measureTrail(client, about),
  ];
  return () => {
    for (const stop of stops) stop();
    for (const name of names) registry.removeSingleMetric(name);
  };
}
