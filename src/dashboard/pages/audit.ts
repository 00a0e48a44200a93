import { eventTypes, type AuditEvent, type AuditEventType } from "../../audit/events.ts";
import { CSV_COLUMNS, cell, csvLine, formatEvent, type EventFormat } from "../../audit/formats.ts";
import type { VerifyReport } from "../../audit/report.ts";
import type { AuditListOptions } from "../../operator/audit-types.ts";
import { moment, number, plural } from "../../shared/wording.ts";
import { alone, isRunning, runsAlready } from "../alone.ts";
import { denied, invalid, type Answer } from "../answers.ts";
import { detailsOf, nameOfEvent, timeOf } from "../events.ts";
import { html, type Html, type Part } from "../html.ts";
import { card, facts, list, notice, table, type Page } from "../layout.ts";
import { progressOf } from "../progress.ts";
import { isHandle, may, pathTo, postForm, record, type View } from "../view.ts";
import { noTrail } from "./overview.ts";

const PAGE = 50;
/** What the field of a browser sends: a year, month, day, hour and minute, perhaps with seconds. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?$/;
const formats: readonly EventFormat[] = ["json", "csv", "ocsf", "ecs", "cloudevents"];

interface Filter {
  readonly user: string;
  readonly session: string;
  readonly type: string;
  readonly since: string;
  readonly until: string;
}

export async function auditPage(view: View): Promise<Page> {
  const filter = filterIn(view.query);
  const body = view.counts === null ? noTrail() : await content(view, filter);
  return {
    title: "Audit",
    place: "audit",
    status: typeof queryOf(filter) === "string" ? 400 : 200,
    body: html`<h1>Audit trail</h1>
      ${body}`,
  };
}

async function content(view: View, filter: Filter): Promise<Html> {
  if (!may(view, "audit")) {
    return notice("info", html`You need the permission <code>audit</code> to see events.`);
  }
  const query = queryOf(filter);
  return html`${card("Filter", filterForm(view, filter))}
    ${typeof query === "string" ? notice("bad", query) : await page(view, filter, query)}
    <div class="grid">
      ${card("Verify", verifyForm(view))}${may(view, "export") && card("Export", exportForm(view, filter))}
    </div>`;
}

function filterIn(form: URLSearchParams): Filter {
  const text = (name: string): string => form.get(name)?.trim() ?? "";
  return {
    user: form.get("user") ?? "",
    session: text("session"),
    type: text("type"),
    since: text("since"),
    until: text("until"),
  };
}

/** The query; or what is wrong with the filter. */
function queryOf({ user, session, type, since, until }: Filter): AuditListOptions | string {
  if (type !== "" && !eventTypes.includes(type as AuditEventType)) return "There is no such type of event.";
  if (session !== "" && !isHandle(session))
    return "This is not the handle of a session. It has 43 characters.";
  const times = [since, until].map((time) => (time === "" ? undefined : new Date(`${time}Z`)));
  const isTime = (text: string, time: Date | undefined): boolean =>
    time === undefined || (TIME.test(text) && !Number.isNaN(time.getTime()));
  if (!isTime(since, times[0]) || !isTime(until, times[1])) return "Type times as 2026-11-30T18:00, in UTC.";
  return {
    ...(user !== "" && { user }),
    ...(session !== "" && { session }),
    ...(type !== "" && { types: [type as AuditEventType] }),
    ...(times[0] && { since: times[0] }),
    ...(times[1] && { until: times[1] }),
  };
}

function filterForm(view: View, { user, session, type, since, until }: Filter): Html {
  const option = (value: string, name: string): Html =>
    value === type
      ? html`<option value="${value}" selected>${name}</option>`
      : html`<option value="${value}">${name}</option>`;
  return html`<form class="line" method="get" action="${pathTo(view, "/audit")}">
    <label
      >Type
      <select name="type">
        ${option("", "All")}${eventTypes.map((name) => option(name, nameOfEvent(name)))}
      </select></label
    >
    <label>Exact user id <input type="text" name="user" value="${user}" autocomplete="off" /></label>
    <label>Session handle <input type="text" name="session" value="${session}" autocomplete="off" /></label>
    <label>From (UTC) <input type="datetime-local" name="since" value="${since}" /></label>
    <label>Before (UTC) <input type="datetime-local" name="until" value="${until}" /></label>
    <button>Show</button>
  </form>`;
}

async function page(view: View, filter: Filter, query: AuditListOptions): Promise<Html> {
  const after = afterIn(view.query);
  // Also for the next page of a list: `after` is the client's to choose, and so is the first page that it names.
  await record(view, "trail.read", {
    reason: "list",
    ...(query.user !== undefined && { user: String(query.user) }),
  });
  const events: AuditEvent[] = [];
  const options = { ...query, newestFirst: true, limit: PAGE + 1, ...(after && { after }) };
  for await (const event of view.sessions.audit.list(options)) events.push(event);
  const shown = events.slice(0, PAGE);
  const last = shown.at(-1);
  const next = events.length > PAGE && last ? `${last.at.getTime()}.${last.id}` : null;
  return card(
    "Events, newest first",
    shown.length === 0
      ? html`<p class="muted">No event matches.</p>`
      : list(
          "Events",
          ["Time (UTC)", "Event", "Outcome", "Details"],
          shown.map((event) => [
            timeOf(event),
            nameOfEvent(event.type),
            outcome(event),
            detailsOf(view, event),
          ]),
        ),
    html`<p>
      ${after !== null && html`<a href="${pathTo(view, "/audit", { ...filter })}">Newest</a> `}
      ${next !== null && html`<a rel="next" href="${pathTo(view, "/audit", { ...filter, after: next })}">Older</a>`}
    </p>`,
  );
}

function outcome({ outcome: name }: AuditEvent): Part {
  return name === "success" ? html`<span class="muted">success</span>` : html`<strong>${name}</strong>`;
}

function afterIn(query: URLSearchParams): { readonly at: Date; readonly id: string } | null {
  const [, time, id] = /^(\d{1,15})\.([\w-]{32}:[1-9]\d{0,15})$/.exec(query.get("after") ?? "") ?? [];
  return time === undefined || id === undefined ? null : { at: new Date(Number(time)), id };
}

function verifyForm(view: View): Html {
  return html`<p>
      Checks every event and every signed checkpoint, and names what was edited, deleted, moved or forged. It
      reads the whole trail, a page at a time.
    </p>
    ${postForm(view, "/audit", { action: "verify" }, html`<button>Verify the trail</button>`)}`;
}

function exportForm(view: View, filter: Filter): Html {
  return html`<p>Downloads the events that match the filter, oldest first.</p>
    ${postForm(
      view,
      "/audit",
      { action: "export", ...filter },
      html`<label
          >Format
          <select name="format">
            ${formats.map((name) => html`<option>${name}</option>`)}
          </select></label
        >
        <button>Download</button>`,
    )}`;
}

/** Verifies the trail, or exports events of it. */
export async function auditAction(view: View): Promise<Answer> {
  const action = view.form.get("action");
  if (!may(view, "audit")) return denied("audit");
  if (view.counts === null) return invalid("The audit trail is off.");
  if (action === "export") return may(view, "export") ? await download(view) : denied("export");
  if (action !== "verify") return invalid("This form is not complete.");
  return { kind: "stream", title: "Verify the audit trail", parts: (signal) => verify(view, signal) };
}

async function* verify(view: View, signal: AbortSignal): AsyncIterable<Html> {
  yield html`<h1>Verifying the audit trail</h1>
    <p>Leave this page open. Closing it stops the verification.</p>`;
  if (isRunning(view.records, "verify")) {
    yield runsAlready("A verification");
    return;
  }
  const work = progressOf<number, VerifyReport>((onProgress) =>
    alone(view.records, "verify", async () => {
      await record(view, "trail.read", { reason: "verify" });
      return view.sessions.audit.verify({ signal, onProgress });
    }),
  );
  for await (const events of work) yield html`<div class="muted">${plural(events, "event")} verified …</div>`;
  const report = await work.result;
  yield verdict(report);
  yield html`<p><a href="${pathTo(view, "/audit")}">Back to the audit trail</a></p>`;
}

function verdict(report: VerifyReport): Html {
  const { ok, problems, truncated, provenUntil } = report;
  return html`${
    ok
      ? notice("good", html`<strong>Nothing was changed.</strong>`)
      : notice(
          "bad",
          html`<strong>The audit trail was changed: ${plural(problems.length, "problem")}.</strong> Nothing is
            proven of what was written after ${provenUntil === null ? "its beginning" : moment(provenUntil)}.
            Follow the incident guide.`,
        )
  }
  ${card(
    "Result",
    facts([
      ["Events", number(report.events)],
      ["Not yet in a checkpoint", number(report.uncovered)],
      ["Writers", number(report.chains)],
      ["Checkpoints", number(report.checkpoints)],
      ["Proven until", provenUntil === null ? "nothing is proven" : moment(provenUntil)],
    ]),
  )}
  ${
    problems.length > 0 &&
    card(
      "Problems",
      table(
        "Problems",
        ["Kind", "What was found"],
        problems.map(({ kind, message }) => [html`<strong>${kind}</strong>`, message]),
      ),
      truncated && html`<p>There are more problems than are listed.</p>`,
    )
  }`;
}

async function download(view: View): Promise<Answer> {
  const format = view.form.get("format") as EventFormat;
  const query = queryOf(filterIn(view.form));
  if (!formats.includes(format)) return invalid("There is no such format.");
  if (typeof query === "string") return invalid(query);
  await record(view, "trail.read", {
    reason: `export as ${format}`,
    ...(query.user !== undefined && { user: String(query.user) }),
  });
  return {
    kind: "download",
    name: `audit-${new Date(view.records.now()).toISOString().slice(0, 10)}.${format === "csv" ? "csv" : "ndjson"}`,
    type: format === "csv" ? "text/csv; charset=utf-8" : "application/x-ndjson",
    async *lines() {
      if (format === "csv") yield CSV_COLUMNS.map(cell).join(",");
      for await (const event of view.sessions.audit.list(query)) {
        yield format === "csv" ? csvLine(event) : JSON.stringify(formatEvent(event, format));
      }
    },
  };
}
