import { eventTypes, type AuditEvent, type AuditEventType } from "../audit/events.ts";
import { moment, number } from "../shared/wording.ts";
import { html, type Html, type Part } from "./html.ts";
import { pathTo, type View } from "./view.ts";

const names: Readonly<Record<AuditEventType, string>> = {
  "session.created": "Session created",
  login: "Login",
  "login.failed": "Login failed",
  elevation: "Step-up",
  "session.rotated": "New session id",
  logout: "Signed out",
  "session.destroyed": "Session destroyed",
  "session.revoked": "Session revoked",
  "session.expired.idle": "Expired: idle",
  "session.expired.absolute": "Expired: maximum age",
  "session.evicted": "Ended for a newer session",
  refusal: "Refused",
  "client.changed": "Client changed",
  "session.bound": "Bound to a device",
  "data.revealed": "Data revealed",
  "data.exported": "Data exported",
  "data.erased": "Data erased",
  "key.added": "Key added",
  "key.retired": "Key retired",
  "sessions.imported": "Sessions imported",
  "trail.started": "Server started",
  "trail.stopped": "Server stopped",
  "trail.read": "Audit trail read",
  "trail.pruned": "Audit trail pruned",
  "trail.lost": "Events lost",
  "trail.erased": "Events erased",
};

export function nameOfEvent(type: AuditEvent["type"]): string {
  return type === "unknown" ? "Unknown event" : names[type];
}

/** Color of the dot in a timeline. */
export function colorOf({ type, outcome }: AuditEvent): string {
  if (outcome === "failure" || outcome === "denied" || type === "session.revoked") return "red";
  if (type === "login" || type === "session.created") return "green";
  if (type === "elevation" || type === "session.rotated" || type === "session.bound") return "blue";
  return type.startsWith("data.") || type === "client.changed" ? "orange" : "gray";
}

export function timeOf(event: AuditEvent): Html {
  return html`<time class="nowrap" datetime="${event.at.toISOString()}"
    >${moment(event.at).replace(" UTC", "")}</time
  >`;
}

/** What happened, as a few words with links to what it concerns. */
export function detailsOf(view: View, event: AuditEvent, about: { readonly user?: string } = {}): Part {
  const {
    user,
    identifier,
    method,
    level,
    actor,
    address,
    userAgent,
    reason,
    session,
    count,
    unreadable,
    previous,
    details,
  } = event;
  const parts: (Part | null)[] = [
    user === null || user === about.user
      ? null
      : html`user <a href="${pathTo(view, "/user", { id: user })}">${user}</a>`,
    identifier ? html`as <q>${identifier}</q>` : null,
    method ? `by ${method}` : null,
    level ? `level ${level}` : null,
    actor ? html`by operator <strong>${actor}</strong>` : null,
    address ? html`from <span class="mono">${address}</span>` : null,
    reason ? html`<q>${reason}</q>` : null,
    details?.["thumbprint"] ? html`key <code>${details["thumbprint"]}</code>` : null,
    count === 1 ? null : `${number(count)} times`,
    session === null
      ? null
      : html`session
          <a href="${pathTo(view, "/session", { handle: session })}" class="mono"
            >${session.slice(0, 10)}…</a
          >`,
    previous
      ? html`before:
          <a href="${pathTo(view, "/session", { handle: previous })}" class="mono"
            >${previous.slice(0, 10)}…</a
          >`
      : null,
    unreadable === "erased" ? "content erased" : unreadable === "refused" ? "content unreadable" : null,
    userAgent ? html`<span class="muted">${userAgent}</span>` : null,
  ];
  return parts.filter((part) => part !== null).map((part, index) => (index === 0 ? part : html`, ${part}`));
}

/** What a timeline shows. Not the looks at it, which would push out what they look for. */
export const timelineTypes: readonly AuditEventType[] = eventTypes.filter((type) => type !== "trail.read");

/** @param about what the page is about, and need not be repeated with each event */
export function timeline(
  view: View,
  events: readonly AuditEvent[],
  about: { readonly user?: string } = {},
): Html {
  return html`<ol class="timeline">
    ${events.map(
      (event) =>
        html`<li class="${colorOf(event)}">
          <strong>${nameOfEvent(event.type)}</strong> <span class="muted">${timeOf(event)}</span
          ><br />${detailsOf(view, event, about)}
        </li>`,
    )}
  </ol>`;
}
