import { csvLine, formatEvent, type EventFormat } from "../audit/formats.ts";
import type { AuditEvent } from "../audit/events.ts";
import { printable, printableJson } from "../shared/printable.ts";
import { number } from "../shared/wording.ts";

/** An event as one line of output. */
export function lineOf(event: AuditEvent, how: EventFormat | "text" | "raw"): string {
  if (how === "csv") return csvLine(event);
  if (how === "text" || how === "raw") return textOf(event);
  return printableJson(JSON.stringify(formatEvent(event, how)));
}

function textOf(event: AuditEvent): string {
  const { at, type, outcome, user, identifier, session, address, actor, reason, method, unreadable } = event;
  const parts = [
    at.toISOString(),
    type.padEnd(24),
    outcome === "success" ? "" : outcome,
    user === null ? "" : `user ${user}`,
    identifier && `identifier ${identifier}`,
    method && `by ${method}`,
    actor && `actor ${actor}`,
    address && `from ${address}`,
    session && `session ${session}`,
    event.count === 1 ? "" : `${number(event.count)} times`,
    reason && `(${reason})`,
    unreadable && `[content ${unreadable}]`,
  ];
  return printable(parts.filter(Boolean).join("  "));
}
