/** Events in the forms that other systems read: OCSF, Elastic Common Schema, CloudEvents and CSV. */
import { isIP } from "node:net";
import { printable } from "../shared/printable.ts";
import type { AuditEvent, AuditEventType } from "./events.ts";

export type EventFormat = "json" | "ocsf" | "ecs" | "cloudevents" | "csv";

/** What an event is to other systems. */
interface Meaning {
  /** OCSF: 1 a login, 2 the end of a session; otherwise 99, or an activity of Entity Management (1 create … 4 delete). */
  readonly activity: number;
  readonly isEntity?: boolean;
  /** ECS: `event.category`, and one of the types that are expected for it. */
  readonly category: "authentication" | "session" | "iam" | "configuration" | "database";
  readonly type: "start" | "end" | "info" | "change" | "access" | "deletion" | "creation";
}

const LOGON = 1;
const LOGOFF = 2;
const OTHER = 99;

const meanings: Readonly<Record<AuditEventType | "unknown", Meaning>> = {
  "session.created": { activity: OTHER, category: "session", type: "start" },
  login: { activity: LOGON, category: "authentication", type: "start" },
  "login.failed": { activity: LOGON, category: "authentication", type: "start" },
  elevation: { activity: OTHER, category: "authentication", type: "info" },
  "session.rotated": { activity: OTHER, category: "session", type: "info" },
  logout: { activity: LOGOFF, category: "authentication", type: "end" },
  "session.destroyed": { activity: OTHER, category: "session", type: "end" },
  "session.revoked": { activity: LOGOFF, category: "session", type: "end" },
  "session.expired.idle": { activity: LOGOFF, category: "session", type: "end" },
  "session.expired.absolute": { activity: LOGOFF, category: "session", type: "end" },
  "session.evicted": { activity: LOGOFF, category: "session", type: "end" },
  refusal: { activity: OTHER, category: "session", type: "info" },
  "client.changed": { activity: OTHER, category: "session", type: "info" },
  "session.bound": { activity: OTHER, category: "session", type: "info" },
  "data.revealed": { activity: 2, isEntity: true, category: "database", type: "access" },
  "data.exported": { activity: 2, isEntity: true, category: "database", type: "access" },
  "data.erased": { activity: 4, isEntity: true, category: "iam", type: "deletion" },
  "key.added": { activity: 1, isEntity: true, category: "configuration", type: "creation" },
  "key.retired": { activity: 4, isEntity: true, category: "configuration", type: "deletion" },
  "sessions.imported": { activity: 1, isEntity: true, category: "configuration", type: "creation" },
  "trail.started": { activity: 3, isEntity: true, category: "configuration", type: "change" },
  "trail.stopped": { activity: 3, isEntity: true, category: "configuration", type: "change" },
  "trail.read": { activity: 2, isEntity: true, category: "configuration", type: "access" },
  "trail.pruned": { activity: 4, isEntity: true, category: "configuration", type: "deletion" },
  "trail.lost": { activity: 3, isEntity: true, category: "configuration", type: "info" },
  "trail.erased": { activity: 4, isEntity: true, category: "configuration", type: "deletion" },
  unknown: { activity: OTHER, category: "session", type: "info" },
};

const PRODUCT = { name: "Stored Session", vendor_name: "Stored Session" };

/** One event as an object of a format. */
export function formatEvent(event: AuditEvent, format: Exclude<EventFormat, "csv">): object {
  switch (format) {
    case "ocsf":
      return ocsf(event);
    case "ecs":
      return ecs(event);
    case "cloudevents":
      return cloudEvent(event);
    case "json":
      return defined({ ...event });
  }
}

/** Class Authentication (3002), or Entity Management (3004) for what operators and the trail do. */
function ocsf(event: AuditEvent): object {
  const { activity, isEntity = false } = meanings[event.type];
  const classUid = isEntity ? 3004 : 3002;
  const isFailure = event.outcome === "failure" || event.outcome === "denied";
  return defined({
    category_uid: 3,
    class_uid: classUid,
    activity_id: activity,
    activity_name: activity === OTHER ? event.type : undefined,
    type_uid: classUid * 100 + activity,
    severity_id: isFailure ? 2 : 1,
    status_id: isFailure ? 2 : event.outcome === "success" ? 1 : 0,
    status_detail: event.reason,
    time: event.at.getTime(),
    count: event.count,
    message: event.type,
    metadata: defined({
      version: "1.3.0",
      product: PRODUCT,
      uid: event.id,
      event_code: event.type,
      correlation_uid: event.requestId,
    }),
    user: isEntity
      ? undefined
      : defined({ uid: event.user ?? undefined, name: event.identifier ?? event.user ?? "unknown" }),
    entity: isEntity
      ? { name: event.type.split(".")[0], uid: event.session ?? event.user ?? undefined }
      : undefined,
    actor: event.actor && { user: { name: event.actor } },
    session: isEntity ? undefined : event.session && { uid: event.session },
    // One of `service` and `dst_endpoint` is required.
    service: isEntity ? undefined : { name: PRODUCT.name },
    src_endpoint: event.address && (isIP(event.address) ? { ip: event.address } : { name: event.address }),
    http_request: event.userAgent && { user_agent: event.userAgent },
    is_mfa: isEntity ? undefined : event.factors && event.factors.length > 1,
    unmapped: defined({
      ...(isEntity && { session: event.session, user: event.user }),
      device: event.device,
      method: event.method,
      level: event.level,
      factors: event.factors,
      previous: event.previous,
      unreadable: event.unreadable,
      details: event.details,
    }),
  });
}

function ecs(event: AuditEvent): object {
  const { category, type } = meanings[event.type];
  const isFailure = event.outcome === "failure" || event.outcome === "denied";
  return defined({
    "@timestamp": event.at.toISOString(),
    ecs: { version: "8.11.0" },
    event: defined({
      kind: "event",
      id: event.id,
      category: [category],
      type: [type],
      action: event.type,
      outcome: isFailure ? "failure" : event.outcome,
      reason: event.reason,
      module: "stored-session",
    }),
    user:
      (event.user ?? event.identifier) && defined({ id: event.user ?? undefined, name: event.identifier }),
    // A value that is no address would be refused by the mapping of `ip`, and the event with it.
    source: event.address && { address: event.address, ...(isIP(event.address) && { ip: event.address }) },
    user_agent: event.userAgent && { original: event.userAgent },
    http: event.requestId && { request: { id: event.requestId } },
    stored_session: defined({
      session: event.session ?? undefined,
      previous: event.previous,
      actor: event.actor,
      method: event.method,
      level: event.level,
      factors: event.factors,
      count: event.count,
      device: event.device,
      unreadable: event.unreadable ?? undefined,
      details: event.details,
    }),
  });
}

/** CloudEvents 1.0 in structured mode. */
function cloudEvent(event: AuditEvent): object {
  const { id, at, type, session, ...data } = event;
  return defined({
    specversion: "1.0",
    id,
    source: "/stored-session/audit",
    type: `stored-session.${type}`,
    time: at.toISOString(),
    subject: session ?? undefined,
    datacontenttype: "application/json",
    data: defined({ session: session ?? undefined, ...data }),
  });
}

export const CSV_COLUMNS = [
  "id",
  "at",
  "type",
  "outcome",
  "user",
  "session",
  "actor",
  "address",
  "userAgent",
  "requestId",
  "reason",
  "method",
  "level",
  "factors",
  "identifier",
  "previous",
  "device",
  "count",
  "unreadable",
  "details",
] as const;

/** A line of CSV (RFC 4180), without its end. No cell begins a formula, and none has a control character (R50). */
export function csvLine(event: AuditEvent): string {
  return CSV_COLUMNS.map((name) => {
    const value = event[name];
    if (value === undefined || value === null) return "";
    if (value instanceof Date) return value.toISOString();
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return cell(text);
  }).join(",");
}

export function cell(text: string): string {
  const safe = printable(text);
  // A spreadsheet takes these for the beginning of a formula, some also in their full-width forms; behind an apostrophe they
  // are text.
  const neutral = /^\s*[=+\-@|%\t\r＝＋－＠]/.test(safe) ? `'${safe}` : safe;
  return /[",\n\r']/.test(neutral) || neutral !== safe ? `"${neutral.replaceAll('"', '""')}"` : neutral;
}

function defined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== ""),
  );
}
