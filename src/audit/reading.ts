import { RefusedError } from "../errors.ts";
import { keyOf } from "../shared/bytes.ts";
import { CHAIN_BYTES, chainOf, numberOf, positionOf, SUBJECT_BYTES, type AuditRow } from "../store/audit.ts";
import { devices, outcomeOf, typeOf, type AuditContent, type AuditEvent } from "./events.ts";
import type { Subject, Subjects } from "./subjects.ts";

/** The name of an event. */
export function eventId(position: Uint8Array): string {
  const chain = Buffer.from(position.buffer, position.byteOffset, CHAIN_BYTES).toString("base64url");
  return `${chain}:${numberOf(position)}`;
}

/** @throws {TypeError} not the name of an event */
export function positionIn(id: string): Uint8Array {
  const [chain = "", number = ""] = id.split(":");
  const bytes = Buffer.from(chain, "base64url");
  if (bytes.length !== CHAIN_BYTES || !/^[1-9]\d{0,15}$/.test(number)) {
    throw new TypeError(`${JSON.stringify(id)} is not the id of an event of the audit trail.`);
  }
  return positionOf(bytes, Number(number));
}

/** Opens events. One whose key was destroyed, or that does not open, is there without its content. */
export async function readEvents(
  rows: readonly AuditRow[],
  subjects: Subjects,
): Promise<readonly AuditEvent[]> {
  const ids = new Map(rows.map((row) => [keyOf(subjectOf(row)), subjectOf(row)]));
  const keys = await subjects.read([...ids.values()]);
  return rows.map((row) => eventOf(row, keys.get(keyOf(subjectOf(row))) ?? "erased", subjects));
}

function subjectOf(row: AuditRow): Uint8Array {
  return row.subject ?? chainOf(row.position).subarray(0, SUBJECT_BYTES);
}

function eventOf(row: AuditRow, subject: Subject | "erased" | "refused", subjects: Subjects): AuditEvent {
  const content = contentOf(row, subject, subjects);
  const user = typeof subject === "object" && row.subject !== null ? (subject.user ?? null) : null;
  return describe(
    row,
    user,
    typeof content === "string" ? {} : content,
    typeof content === "string" ? content : null,
  );
}

function contentOf(
  row: AuditRow,
  subject: Subject | "erased" | "refused",
  subjects: Subjects,
): AuditContent | "erased" | "refused" {
  if (typeof subject === "string") return subject;
  try {
    return subjects.open(subject, row.position, row.body);
  } catch (error) {
    if (error instanceof RefusedError) return "refused";
    throw error;
  }
}

/** An event as the application and the command line see it. */
export function describe(
  row: AuditRow,
  user: string | null,
  content: AuditContent,
  unreadable: AuditEvent["unreadable"],
): AuditEvent {
  return {
    id: eventId(row.position),
    type: typeOf(row.event) ?? "unknown",
    outcome: outcomeOf(row.outcome),
    at: new Date(row.at),
    session: row.session === null ? null : Buffer.from(row.session).toString("base64url"),
    user,
    device: devices[row.device] ?? "none",
    count: row.amount,
    ...content,
    unreadable,
  };
}
