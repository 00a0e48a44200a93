/** `stored-session/prometheus`: metrics through prom-client. */
import { milliseconds, type Duration } from "../shared/duration.ts";
import { assertOptions, durationFrom, hasMethods, isText } from "../shared/option-checks.ts";
import { isOfCookie, type BatchEvent, type ConflictEvent, type RefuseEvent } from "./channels.ts";
import {
  batchOperations,
  conflictOutcomes,
  cookieRejections,
  deletions,
  outcomes,
  refusalReasons,
  writeReasons,
} from "./label-values.ts";
import { followOperations, listen, outcomeOf } from "./operations.ts";

type Labels = Record<string, string>;

/** The part of prom-client that is used: `import client from "prom-client"`. */
export interface PrometheusClient {
  readonly Histogram: new (configuration: any) => {
    observe(labels: any, value: number): void;
    zero(labels: any): void;
  };
  readonly Counter: new (configuration: any) => { inc(labels: any, value?: number): void };
  readonly Gauge: new (configuration: any) => { set(value: number): void; remove(): void };
  readonly register: PrometheusRegistry;
}

/** The part of a registry that is used. */
export interface PrometheusRegistry {
  removeSingleMetric(name: string): void;
}

export interface PrometheusOptions {
  /** Default: prom-client's own `register`. */
  registry?: PrometheusRegistry;
  /** The manager whose live sessions the `live` gauge counts. Omit to record no such gauge. */
  sessions?: { count(): Promise<number> };
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
    about("deleted_total", "Sessions deleted by logout, revocation and expiry.", ["operation"]),
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
  if (sessions !== undefined)
    gaugeOfLive(
      client,
      // Each worker of a cluster counts the same table.
      about("live", "Live sessions.", [], { aggregator: "max" }),
      sessions,
      countEvery,
    );

  const stops = [
    followOperations<void>({
      began() {},
      ended(event, _, seconds) {
        const { operation } = event;
        const outcome = outcomeOf(event);
        duration.observe({ operation, outcome } satisfies Labels, seconds);
        if (event.deleted !== undefined && event.deleted > 0) deleted.inc({ operation }, event.deleted);
        if (event.reason !== undefined && outcome === "ok") {
          writes.inc({ operation, reason: event.reason });
          bytes.observe({ operation }, event.bytes ?? 0);
        }
      },
    }),
    listen<BatchEvent>("batch", ({ operation, size }) => batches.observe({ operation }, size)),
    listen<RefuseEvent>("refuse", (event) =>
      (isOfCookie(event) ? rejected : refusals).inc({ reason: event.reason }),
    ),
    listen<ConflictEvent>("conflict", ({ outcome }) => conflicts.inc({ outcome })),
  ];
  return () => {
    for (const stop of stops) stop();
    for (const name of names) registry.removeSingleMetric(name);
  };
}

/** In milliseconds. A scrape times out after ten seconds by default and collects other metrics too. */
const countTimeout = 3_000;

/**
 * A gauge of live sessions. If a count fails, the gauge is removed rather than reporting a stale value or zero. If a count
 * is slow, the scrape reports the previous value while it is younger than twice `every`; the next scrape reports the late
 * result regardless of its age, so that slow counts still appear.
 */
function gaugeOfLive(
  client: PrometheusClient,
  about: object,
  sessions: { count(): Promise<number> },
  every: number,
): void {
  let countedAt = -Infinity;
  /** Whether a scrape has reported the current value. */
  let shown = true;
  const age = () => performance.now() - countedAt;
  let counting: Promise<void> | null = null;
  const gauge = new client.Gauge({
    ...about,
    async collect() {
      if (age() >= every) await recount();
      shown = true;
    },
  });

  async function recount(): Promise<void> {
    counting ??= sessions
      .count()
      .then(
        (live) => {
          gauge.set(live);
          countedAt = performance.now();
          shown = false;
        },
        // An outage of the store must not fail the scrape that reports it.
        () => gauge.remove(),
      )
      .finally(() => (counting = null));
    if (await settledWithin(countTimeout, counting)) return;
    if (shown && age() >= 2 * every) gauge.remove();
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
