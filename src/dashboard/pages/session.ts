import { inspect } from "node:util";
import { exportRow, infoOf, rowOf } from "../../operator/admin.ts";
import { opensAlone } from "../../session/format.ts";
import { ownerOf } from "../../session/user-rows.ts";
import { ago, bytes, moment, remaining } from "../../shared/wording.ts";
import { printableJson } from "../../shared/printable.ts";
import { infoOfRow, type SessionRow } from "../../store/row.ts";
import { denied, invalid, redirect, type Answer } from "../answers.ts";
import { timeline, timelineTypes } from "../events.ts";
import { html, type Html, type Part } from "../html.ts";
import { levelsOf } from "../levels.ts";
import { card, facts, notice, type Page } from "../layout.ts";
import {
  endNotice,
  isHandle,
  isRecorded,
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

const EVENTS = 100;

export async function sessionPage(view: View): Promise<Page> {
  const handle = view.query.get("handle") ?? "";
  const row = await ownRow(view, handle);
  const levels = row === null ? null : await levelsOf(view.records, [infoOfRow(row)]);
  return {
    title: "Session",
    place: "user",
    body: html`<h1>Session <span class="mono">${handle}</span></h1>
      ${endNotice(view)} ${card("Now", row === null ? gone() : now(view, row, levels?.get(handle)))}
      ${row !== null && may(view, "reveal") && card("Data", hidden(view, row))}
      ${card("Life", await life(view, handle))}`,
  };
}

/** The row, unless it belongs to another application that shares the table. */
async function ownRow({ records }: View, handle: string): Promise<SessionRow | null> {
  if (!isHandle(handle)) return null;
  const row = await rowOf(records, handle);
  return row === null || (await ownerOf(records, infoOfRow(row), row)) === "another" ? null : row;
}

function gone(): Html {
  return html`<p>
    No session is stored under this handle. It has ended, or it continues under a new id: see its events.
  </p>`;
}

function now(view: View, row: SessionRow, level: string | undefined): Html {
  const { records } = view;
  const info = infoOf(records, row);
  const time = records.now();
  const key = records.settings.format.sealedUnder?.(row).data ?? null;
  return html`${facts([
    ["State", info.ended ? "ended, waiting to be deleted" : "live"],
    ["Signed in", info.signedIn ? "yes" : "no"],
    ["Level of the login", level ?? html`<span class="muted">none, or unknown</span>`],
    ["Device-bound", info.deviceBound ? "yes: its cookie is useless elsewhere" : "no"],
    ["Created", `${moment(info.createdAt)} (${ago(info.createdAt, time)})`],
    ["Last used", `${moment(info.updatedAt)} (${ago(info.updatedAt, time)})`],
    ["Ends", `${moment(info.expiresAt)} (${remaining(info.expiresAt, time)})`],
    ["Address", info.client?.address ?? "unknown"],
    ["User agent", info.client?.userAgent ?? "unknown"],
    ["Sealed size", bytes(info.bytes)],
    ["Key", key === null ? "unnamed" : html`<code>${key}</code>`],
  ])}
  ${
    may(view, "revoke") &&
    html`<details>
      <summary>End this session</summary>
      ${postForm(view, "/session", { handle: info.handle, action: "end" }, reasonField(view), html`<button class="danger">End this session</button>`)}
    </details>`
  }`;
}

function hidden(view: View, row: SessionRow): Html {
  if (!isRecorded(view))
    return html`<p class="muted">
      Encrypted. It can be revealed only where the audit trail records who looked, and the trail is off.
    </p>`;
  if (!opensAlone(view.records.settings.format, row)) {
    return html`<p class="muted">
      This session is sealed to its cookie (<code>sealTo: "cookie"</code>). Nobody but its owner can open it.
    </p>`;
  }
  return html`<p>Encrypted. Revealing it is recorded in the audit trail with your name and reason.</p>
    ${postForm(view, "/session", { handle: infoOf(view.records, row).handle, action: "reveal" }, reasonField(view), html`<button>Reveal</button>`)}`;
}

async function life(view: View, handle: string): Promise<Part> {
  if (view.counts === null) return noTrail();
  if (!may(view, "audit"))
    return html`<p class="muted">You need the permission <code>audit</code> to see events.</p>`;
  if (!isHandle(handle)) return html`<p class="muted">This is not the handle of a session.</p>`;
  await record(view, "trail.read", { handle, reason: "life of a session" });
  const options = { session: handle, types: timelineTypes, newestFirst: true, limit: EVENTS };
  const events = [];
  for await (const event of view.sessions.audit.list(options)) events.push(event);
  return events.length === 0
    ? html`<p class="muted">The audit trail has no event of this session.</p>`
    : timeline(view, events);
}

const endedMeanwhile = "The session has ended meanwhile.";

/** Ends the session, or reveals its data. */
export async function sessionAction(view: View): Promise<Answer> {
  const { form, records, access } = view;
  const action = form.get("action");
  const permission = action === "reveal" ? "reveal" : "revoke";
  if (!may(view, permission)) return denied(permission);
  if (action !== "reveal" && action !== "end") return invalid("This form is not complete.");
  const reason = reasonIn(view);
  if (reason === null) return invalid(reasonMissing);
  const handle = form.get("handle") ?? "";
  const row = await ownRow(view, handle);
  if (row === null) return invalid(endedMeanwhile);
  if (action === "reveal") return await reveal(view, row, reason);
  const by = { userRef: row.userRef, content: { actor: access.actor, reason } };
  if (!(await records.delete(row.id, "revoke", by))) return invalid(endedMeanwhile);
  return redirect(pathTo(view, "/session", { handle, ended: "1" }));
}

async function reveal(view: View, row: SessionRow, reason: string): Promise<Answer> {
  if (!isRecorded(view))
    return invalid(
      "The audit trail is off, so nothing would record that you looked. Set `audit: true` in the options of `createSessionManager` to reveal data.",
    );
  const opened = exportRow(view.records, row);
  if (opened.unreadable !== null) return invalid(`The session cannot be opened: ${opened.unreadable}.`);
  // Recorded before anything is shown: without its event, nothing is revealed.
  await record(view, "data.revealed", { handle: opened.handle, reason, user: opened.user });
  return {
    kind: "page",
    title: "Session data",
    body: html`<h1>Data of session <span class="mono">${opened.handle}</span></h1>
      ${notice("warn", "You see personal data. That you looked, and why, is recorded.")}
      ${card(
        "Content",
        facts([
          [
            "User",
            opened.user === undefined
              ? "none"
              : html`<a href="${pathTo(view, "/user", { id: opened.user })}">${opened.user}</a>`,
          ],
        ]),
        html`<h2>data</h2>
          <pre>${shown(opened.data)}</pre>
          <h2>flash</h2>
          <pre>${shown(opened.flash)}</pre>`,
      )}
      <p><a href="${pathTo(view, "/session", { handle: opened.handle })}">Back to the session</a></p>`,
  };
}

/** Control and format characters come out escaped, so that text cannot pass for something else. */
function shown(value: unknown): string {
  return printableJson(
    inspect(value, { depth: 32, maxArrayLength: 1_000, maxStringLength: 10_000, compact: 3 }),
  );
}
