import type { AuditEvent } from "../../audit/events.ts";
import { sessionInfo, type SessionInfo } from "../../operator/session-info.ts";
import { idOf } from "../../session/handle.ts";
import { parseUserId } from "../../session/user-id.ts";
import { UserRows } from "../../session/user-rows.ts";
import { ago, moment, number, plural, remaining } from "../../shared/wording.ts";
import { endOthers, type OthersEnded } from "../end-others.ts";
import { timeline, timelineTypes } from "../events.ts";
import { levelsOf } from "../levels.ts";
import { html, type Html, type Part } from "../html.ts";
import { card, list, type Page } from "../layout.ts";
import {
  endNotice,
  may,
  pathTo,
  postForm,
  reasonField,
  reasonIn,
  reasonMissing,
  record,
  type View,
} from "../view.ts";
import { noTrail } from "./overview.ts";
import { denied, invalid, redirect, type Answer } from "../answers.ts";

const HISTORY = 25;
/** Devices on one page. */
const SHOWN = 100;
/** Sessions that are counted. */
const MOST = 1_000;

export async function userPage(view: View): Promise<Page> {
  const user = view.query.get("id") ?? "";
  return {
    title: user === "" ? "Users" : `User ${user}`,
    place: "user",
    body: html`<h1>${user === "" ? "Users" : html`User ${user}`}</h1>
      ${search(view, user)} ${user === "" ? null : await about(view, user)}`,
  };
}

function search(view: View, user: string): Html {
  return card(
    "Find a user",
    html`<form class="line" method="get" action="${pathTo(view, "/user")}" role="search">
        <label
          >Exact user id
          <input type="search" name="id" value="${user}" required autocomplete="off" aria-describedby="exact"
        /></label>
        <button>Show sessions</button>
      </form>
      <p class="muted" id="exact">
        Only the exact id finds a user. The database holds a keyed hash of it (a blind index), so that a
        stolen copy names nobody; searching for a part of an id is impossible.
      </p>`,
  );
}

async function about(view: View, user: string): Promise<Html> {
  const { records } = view;
  const rows = (await new UserRows(records, parseUserId(user, "dashboard")).list(MOST)).filter((row) =>
    records.isAlive(row),
  );
  const history = may(view, "audit") && view.counts !== null ? await historyOf(view, user) : null;
  const levels = new Map([...levelsIn(history ?? []), ...(await levelsOf(records, rows.slice(0, SHOWN)))]);
  const found = rows.map((row) => sessionInfo(records, row));
  return html`${endNotice(view)}
  ${card(rows.length < MOST ? plural(rows.length, "live session") : `${number(MOST)} live sessions, or more`, devices(view, user, found, levels))}
  ${card("History", pastOf(view, history))}`;
}

function devices(
  view: View,
  user: string,
  found: readonly SessionInfo[],
  levels: ReadonlyMap<string, string>,
): Part {
  if (found.length === 0) return html`<p class="muted">This user is not signed in anywhere.</p>`;
  const now = view.records.now();
  const canEnd = may(view, "revoke");
  const rows = found
    .slice(0, SHOWN)
    .map((info) => [
      html`<strong>${info.client?.userAgent ?? "Unknown device"}</strong><br /><span class="muted mono"
          >${info.client?.address ?? "unknown address"}</span
        >${info.deviceBound && html` <span class="badge">device-bound</span>`}`,
      html`<time datetime="${info.createdAt.toISOString()}">${moment(info.createdAt).slice(0, 16)}</time>`,
      ago(info.updatedAt, now),
      remaining(info.expiresAt, now),
      levels.get(info.handle) ?? html`<span class="muted">–</span>`,
      html`<a href="${pathTo(view, "/session", { handle: info.handle })}">Details</a>`,
      ...(canEnd ? [endForms(view, user, info.handle, found.length)] : []),
    ]);
  const actions = canEnd ? ["Actions"] : [];
  const columns = ["Device", "Signed in", "Last used", "Ends", "Level", "Session", ...actions];
  return html`${list(`Sessions of user ${user}`, columns, rows)}
  ${found.length > SHOWN && html`<p class="muted">The newest ${SHOWN} are shown.</p>`}${canEnd && allForm(view, user)}`;
}

function endForms(view: View, user: string, handle: string, count: number): Html {
  return html`<details>
    <summary>End</summary>
    ${postForm(view, "/user", { id: user, handle, action: "end" }, reasonField(view), html`<button class="danger">End this session</button>`)}
    ${count > 1 && postForm(view, "/user", { id: user, handle, action: "others" }, reasonField(view), html`<button class="danger">End all others</button>`)}
  </details>`;
}

function allForm(view: View, user: string): Html {
  return html`<details>
    <summary>End all sessions of this user</summary>
    ${postForm(view, "/user", { id: user, action: "all" }, reasonField(view), html`<button class="danger">End all sessions</button>`)}
  </details>`;
}

async function historyOf(view: View, user: string): Promise<readonly AuditEvent[]> {
  await record(view, "trail.read", { user, reason: "history of a user" });
  return view.sessions.forUser(user).history({ types: timelineTypes, limit: HISTORY });
}

function pastOf(view: View, history: readonly AuditEvent[] | null): Part {
  if (view.counts === null) return noTrail();
  if (history === null)
    return html`<p class="muted">You need the permission <code>audit</code> to see events.</p>`;
  if (history.length === 0) return html`<p class="muted">The audit trail has no event of this user.</p>`;
  return html`${timeline(view, history, { user: view.query.get("id")! })}
  ${history.length === HISTORY && html`<p><a href="${pathTo(view, "/audit", { user: view.query.get("id")! })}">All events of this user</a></p>`}`;
}

/** The latest level of each session in these events: for sessions that only their cookie opens. */
function levelsIn(history: readonly AuditEvent[]): ReadonlyMap<string, string> {
  const levels = new Map<string, string>();
  for (const { session, level } of history) {
    if (session !== null && level !== undefined && !levels.has(session)) levels.set(session, level);
  }
  return levels;
}

/** Ends one session, all others, or all of them. */
export async function userAction(view: View): Promise<Answer> {
  if (!may(view, "revoke")) return denied("revoke");
  const { form, access, sessions } = view;
  const user = form.get("id") ?? "";
  const handle = form.get("handle");
  const reason = reasonIn(view);
  if (reason === null) return invalid(reasonMissing);
  if (user === "") return invalid("The id of the user is missing.");
  const by = { by: access.actor, reason };
  const of = sessions.forUser(parseUserId(user, "dashboard"));
  const done = (ended: number): Answer => redirect(pathTo(view, "/user", { id: user, ended: String(ended) }));
  switch (form.get("action")) {
    case "end":
      return handle === null ? incomplete : done((await of.revoke(handle, by)) ? 1 : 0);
    case "others": {
      if (handle === null) return incomplete;
      const kept = idOf(handle);
      const rows = new UserRows(view.records, user, { actor: access.actor, reason });
      const { ended, isKept } = kept === null ? nothing : await endOthers(view.records, rows, kept);
      return isKept ? done(ended) : keptIsGone(view, user, ended);
    }
    case "all":
      return done(await of.revokeAll(by));
    default:
      return incomplete;
  }
}

const nothing: OthersEnded = { ended: 0, isKept: false };

const incomplete: Answer = invalid("This form is not complete.");

/** It has ended, or goes on under a new id that nobody can tell from those of the others. */
function keptIsGone(view: View, user: string, ended: number): Answer {
  if (ended === 0) return invalid("This session has ended meanwhile.");
  return {
    kind: "problem",
    status: 409,
    title: "Not finished",
    text: html`${plural(ended, "other session")} ended. Then the session to keep got a new id, or ended, so
      others may be left. Look at
      <a href="${pathTo(view, "/user", { id: user })}">the sessions of this user</a> and send it again.`,
  };
}
