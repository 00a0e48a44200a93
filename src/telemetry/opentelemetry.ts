/** `stored-session/opentelemetry`: spans and metrics, named by the semantic conventions where these define a name. */
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
  conflictOutcomes,
  cookieRejections,
  deletions,
  deviceOutcomes,
  deviceRefusals,
  refusalReasons,
  writeReasons,
} from "./label-values.ts";
import { measureTrail } from "./opentelemetry-audit.ts";
import type { Attributes, TelemetryMeter, TelemetrySpan, TelemetryTracer } from "./opentelemetry-api.ts";
import { observeTable } from "./opentelemetry-gauges.ts";
import type { CountedSessions } from "./table-count.ts";
import { errorType, followOperations, listen, outcomeOf, type Operation } from "./operations.ts";

export type {
  TelemetryMeter,
  TelemetryObserver,
  TelemetrySpan,
  TelemetryTracer,
} from "./opentelemetry-api.ts";

export interface OpenTelemetryOptions {
  /** Omit to record no spans. */
  tracer?: TelemetryTracer;
  /** Omit to record no metrics. */
  meter?: TelemetryMeter;
  /** `db.system.name`: "postgresql", "mysql", "mariadb" or "sqlite". Default "other_sql". */
  system?: string;
  /** `db.collection.name`: the table. Default "stored_sessions". */
  table?: string;
  /** The manager whose table the gauges `stored_session.live`, `ended` and `rows` count. Omit to record no such gauges. */
  sessions?: CountedSessions;
  /** Minimum interval between counts, which scan an index or the table. Default "60 s". */
  countEvery?: Duration;
}

// `SpanKind.CLIENT` and `SpanStatusCode.ERROR`, whose values the specification fixes.
const clientKind = 2;
const errorStatus = 2;

/** In seconds, as the semantic conventions recommend for `db.client.operation.duration`. */
const durationBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

/**
 * Records all session operations of this process until the returned function is called.
 *
 * ```ts
 * import { metrics, trace } from "@opentelemetry/api";
 * instrumentSessions({ tracer: trace.getTracer("stored-session"), meter: metrics.getMeter("stored-session") });
 * ```
 *
 * `session.id` is the handle (the hashed id) and is set on spans only, not on metrics. No token, user or value is
 * recorded.
 */
export function instrumentSessions(options: OpenTelemetryOptions): () => void {
  assertOptions("instrumentSessions", options, {
    tracer: hasMethods("startSpan"),
    meter: hasMethods("createHistogram", "createCounter"),
    system: isText,
    table: isText,
    sessions: hasMethods("count"),
    countEvery: durationFrom(0),
  });
  const { system = "other_sql", table = "stored_sessions" } = options;
  const common = { "db.system.name": system, "db.collection.name": table };
  const stops: (() => void)[] = [];
  if (options.tracer !== undefined) stops.push(traceSessions(options.tracer, common));
  if (options.meter !== undefined) {
    stops.push(...measureSessions(options.meter, common));
    const every = milliseconds(options.countEvery ?? "60 s")!;
    if (options.sessions !== undefined) stops.push(observeTable(options.meter, options.sessions, every));
  }
  return () => {
    for (const stop of stops) stop();
  };
}

function traceSessions(tracer: TelemetryTracer, common: Attributes): () => void {
  return followOperations<TelemetrySpan>({
    began: (operation) =>
      tracer.startSpan(`${operation.operation} ${common["db.collection.name"]}`, {
        kind: clientKind,
        attributes: {
          ...common,
          "db.operation.name": operation.operation,
          ...(operation.handle !== undefined && { "session.id": operation.handle }),
          ...(operation.previousHandle !== undefined && { "session.previous_id": operation.previousHandle }),
          ...(operation.reason !== undefined && { "stored_session.reason": operation.reason }),
        },
      }),
    ended(operation, span) {
      if (operation.bytes !== undefined) span.setAttribute("stored_session.bytes", operation.bytes);
      if (operation.deleted !== undefined) span.setAttribute("stored_session.deleted", operation.deleted);
      span.setAttribute("stored_session.outcome", outcomeOf(operation));
      if (operation.error !== undefined) {
        const type = errorType(operation.error);
        span.setAttribute("error.type", type);
        span.setStatus({ code: errorStatus, message: type });
      }
      span.end();
    },
  });
}

function measureSessions(meter: TelemetryMeter, common: Attributes): (() => void)[] {
  const duration = meter.createHistogram("db.client.operation.duration", {
    description: "Duration of database client operations.",
    unit: "s",
    advice: { explicitBucketBoundaries: durationBuckets },
  });
  const batches = meter.createHistogram("stored_session.batch.size", {
    description: "Operations per statement (batch size).",
    unit: "{operation}",
    advice: { explicitBucketBoundaries: [1, 2, 4, 8, 16, 32, 64, 128, 256] },
  });
  const refused = meter.createCounter("stored_session.refusals", {
    description: "Rows that could not be decrypted or decoded.",
    unit: "{session}",
  });
  const rejected = meter.createCounter("stored_session.cookies.rejected", {
    description: "Session cookies rejected: malformed, or not signed by a key of the ring.",
    unit: "{cookie}",
  });
  const conflicts = meter.createCounter("stored_session.conflicts", {
    description: "Commits that conflicted with another request's changes.",
    unit: "{commit}",
  });
  const devices = meter.createCounter("stored_session.device.bindings", {
    description: "Device-bound sessions: logins offered, bound, refreshed and ended.",
    unit: "{session}",
  });
  const unproved = meter.createCounter("stored_session.device.refusals", {
    description: "Requests and proofs refused because they did not prove the device.",
    unit: "{request}",
  });
  const deleted = meter.createCounter("stored_session.deleted", {
    description: "Sessions deleted by logout, revocation, eviction and expiry.",
    unit: "{session}",
  });
  const writes = meter.createCounter("stored_session.writes", {
    description: "Sessions written, by reason.",
    unit: "{session}",
  });
  const written = meter.createHistogram("stored_session.written.size", {
    description: "Size of encrypted sessions when written.",
    unit: "By",
    advice: {
      explicitBucketBoundaries: [128, 256, 512, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576],
    },
  });
  const lastExpiry = meter.createGauge?.("stored_session.last_expiry", {
    description: "Unix time of the last expiry that succeeded in this process.",
    unit: "s",
  });
  for (const [operation, reasons] of Object.entries(writeReasons))
    for (const reason of reasons)
      writes.add(0, { "db.operation.name": operation, "stored_session.reason": reason });
  for (const reason of refusalReasons) refused.add(0, { "stored_session.reason": reason });
  for (const reason of cookieRejections) rejected.add(0, { "stored_session.reason": reason });
  for (const outcome of conflictOutcomes) conflicts.add(0, { "stored_session.outcome": outcome });
  for (const outcome of deviceOutcomes) devices.add(0, { "stored_session.outcome": outcome });
  for (const reason of deviceRefusals) unproved.add(0, { "stored_session.reason": reason });
  for (const operation of deletions) deleted.add(0, { "db.operation.name": operation });
  return [
    followOperations<void>({
      began() {},
      ended(operation: Operation, _, seconds) {
        const name = { "db.operation.name": operation.operation };
        const outcome = { "stored_session.outcome": outcomeOf(operation) };
        const failure = operation.error === undefined ? {} : { "error.type": errorType(operation.error) };
        duration.record(seconds, { ...common, ...name, ...outcome, ...failure });
        if (operation.deleted !== undefined && operation.deleted > 0) deleted.add(operation.deleted, name);
        if (outcomeOf(operation) !== "ok") return;
        if (operation.operation === "expire") lastExpiry?.record(Date.now() / 1_000);
        if (operation.reason !== undefined) {
          writes.add(1, { ...name, "stored_session.reason": operation.reason });
          written.record(operation.bytes ?? 0, name);
        }
      },
    }),
    listen<BatchEvent>("batch", ({ operation, size }) =>
      batches.record(size, { "db.operation.name": operation }),
    ),
    listen<RefuseEvent>("refuse", (event) => {
      const counter = isOfDevice(event) ? unproved : isOfCookie(event) ? rejected : refused;
      counter.add(1, { "stored_session.reason": event.reason });
    }),
    listen<DeviceEvent>("device", ({ outcome }) => devices.add(1, { "stored_session.outcome": outcome })),
    listen<ConflictEvent>("conflict", ({ outcome }) =>
      conflicts.add(1, { "stored_session.outcome": outcome }),
    ),
    measureTrail(meter),
  ];
}
