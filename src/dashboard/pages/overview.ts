import { eventCodes, outcomeCodes, devices, type AuditEventType } from "../../audit/events.ts";
import type { DayCount } from "../../store/audit.ts";
import { bytes, number, plural, span } from "../../shared/wording.ts";
import { chart, type Series } from "../chart.ts";
import { periods, sumOf, type Figures, type PeriodName } from "../counts.ts";
import { html, type Html } from "../html.ts";
import { card, facts, notice, segments, table, type Page } from "../layout.ts";
import { refusalsIn } from "../refusals.ts";
import { sampleOf, type Sample } from "../sample.ts";
import { may, pathTo, type View } from "../view.ts";

interface Ends {
  readonly name: string;
  readonly color: Series["color"];
  readonly events: readonly AuditEventType[];
}

const ends: readonly Ends[] = [
  { name: "Signed out", color: "blue", events: ["logout", "session.destroyed"] },
  { name: "Revoked", color: "red", events: ["session.revoked"] },
  { name: "Idle", color: "gray", events: ["session.expired.idle"] },
  { name: "Too old", color: "purple", events: ["session.expired.absolute"] },
  { name: "Over the limit", color: "orange", events: ["session.evicted"] },
];

export async function overviewPage(view: View): Promise<Page> {
  const period = periodIn(view);
  const links = Object.values(periods).map(({ name, title }) => ({
    href: pathTo(view, "/", { period: name }),
    name: title,
    isCurrent: name === period,
  }));
  return {
    title: "Overview",
    place: "overview",
    body: html`<div class="head">
        <h1>Overview</h1>
        ${segments("Period", links)}
      </div>
      <p class="muted" id="live-state" aria-live="off"></p>
      <div id="live" data-source="${pathTo(view, "/live", { period })}">${await liveFigures(view)}</div>`,
  };
}

/** Everything below the heading: the script renews it. */
export async function liveFigures(view: View): Promise<Html> {
  const [sample, figures] = [await sampleOf(view.records), await view.counts?.figures(periodIn(view))];
  return html`${tiles(sample, figures ?? null)}
    ${figures === undefined ? noTrail() : await charts(view, figures)}
    <div class="grid three">${ages(sample)}${keys(view, sample)}${process(view)}</div>`;
}

function periodIn({ query }: View): PeriodName {
  const name = query.get("period") ?? "day";
  return Object.hasOwn(periods, name) ? (name as PeriodName) : "day";
}

export function noTrail(): Html {
  return notice(
    "info",
    html`<strong>The audit trail is off,</strong> so there are no figures of the past and no events. Set
      <code>audit: true</code> in the options of <code>createSessionManager</code> and run
      <code>stored-session migrate</code>.`,
  );
}

function tiles(sample: Sample, figures: Figures | null): Html {
  const live = sample.size === 0 ? 0 : Math.round((sample.rows * sample.live) / sample.size);
  const signedIn = sample.size === 0 ? 0 : Math.round((sample.rows * sample.signedIn) / sample.size);
  const all = figures?.pieces.flatMap(({ counts }) => counts ?? []) ?? null;
  const sum = (...types: readonly AuditEventType[]): string =>
    all === null ? "–" : number(sumOf(all, isOf(types)));
  const isCounting = figures?.pieces.some(({ counts }) => counts === null) ?? false;
  const time = isCounting ? "still being counted" : figures?.period.title;
  const about = sample.isExact ? "" : "about ";
  const margin = sample.isExact ? "counted" : `estimate, ± ${Math.ceil(sample.error * 200)}%`;
  return html`<ul class="tiles">
    ${tile("Live sessions", about + number(live), margin)}
    ${tile("Signed in", about + number(signedIn), margin)} ${tile("Logins", sum("login"), time)}
    ${tile("Failed logins", sum("login.failed"), time)}
    ${tile("Ended", sum(...ends.flatMap(({ events }) => events)), time)}
    ${tile("Refused", sum("refusal"), time)}
  </ul>`;
}

function tile(label: string, value: string, note: string | undefined): Html {
  return html`<li class="tile">
    <span class="label">${label}</span><b>${value}</b><small>${note ?? "audit trail is off"}</small>
  </li>`;
}

async function charts(view: View, figures: Figures): Promise<Html> {
  const { pieces, period } = figures;
  const labels = pieces.map(({ from }) => labelOf(from, period.name));
  const series = (name: string, color: Series["color"], matches: (count: DayCount) => boolean): Series => ({
    name,
    color,
    values: pieces.map(({ counts }) => (counts === null ? null : sumOf(counts, matches))),
  });
  const waiting = pieces.filter(({ counts }) => counts === null).length;
  const all = pieces.flatMap(({ counts }) => counts ?? []);
  return html`${waiting > 0 && notice("info", `${plural(waiting, "column")} are still being counted, in the background. Reload in a moment.`)}
    <div class="grid">
      <section class="card">
        ${chart({
          id: "chart-logins",
          title: "Logins and failures",
          labels,
          series: [
            series("Logins", "blue", isOf(["login"])),
            series("Step-ups", "green", isOf(["elevation"])),
            series("Failed logins", "red", isOf(["login.failed"])),
          ],
        })}
      </section>
      <section class="card">
        ${chart({
          id: "chart-ends",
          title: "Ended sessions",
          labels,
          series: ends.map(({ name, color, events }) => series(name, color, isOf(events))),
        })}
      </section>
      <section class="card">
        ${chart({
          id: "chart-refusals",
          title: "Refusals",
          labels,
          series: [series("Refused", "orange", isOf(["refusal"]))],
        })}${may(view, "audit") && (await refusalsIn(view, pieces[0]!.from))}
      </section>
      ${devicesCard(all)}
    </div>`;
}

function devicesCard(counts: readonly DayCount[]): Html {
  const logins = counts.filter((count) => isOf(["login"])(count) && count.outcome === outcomeCodes.success);
  const total = sumOf(logins, () => true);
  const rows = devices
    .map((device, code) => ({ device, count: sumOf(logins, (one) => one.device === code) }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count)
    .map(({ device, count }) => [
      device === "none" ? "unknown" : device,
      number(count),
      html`<progress
        class="meter"
        max="${total}"
        value="${count}"
        aria-label="${device}: ${percent(count, total)} of logins"
      ></progress>`,
    ]);
  return card(
    "Devices at login",
    rows.length === 0
      ? html`<p class="muted">No logins in this period.</p>`
      : table("Devices at login", ["Device", "Logins", "Share"], rows, ["Logins"]),
  );
}

function ages(sample: Sample): Html {
  const names = ["under an hour", "under a day", "under a week", "under 30 days", "older"];
  const rows = sample.ages.map(({ live }, index) => [
    names[index]!,
    percent(live, sample.live),
    html`<progress
      class="meter"
      max="${Math.max(1, sample.live)}"
      value="${live}"
      aria-label="${names[index]}: ${percent(live, sample.live)}"
    ></progress>`,
  ]);
  return card(
    "Ages and sizes",
    sample.size === 0
      ? html`<p class="muted">No sessions are stored yet.</p>`
      : html`${table("Ages of live sessions", ["Age", "Live", "Share"], rows, ["Live"])}
        ${facts([
          [
            "Sealed size",
            `${bytes(sample.bytes.median)} median, ${bytes(sample.bytes.p95)} at 95%, ${bytes(sample.bytes.largest)} largest`,
          ],
        ])}
        ${sampled(sample)}`,
  );
}

function keys(view: View, sample: Sample): Html {
  const ring = view.records.settings.format.keyNames ?? [];
  const rows = [...sample.keys].map(([key, rowCount]) => [
    html`<code>${key}</code>`,
    ring[0] === key ? "newest" : ring.includes(key) ? "older" : html`<strong>not in the ring</strong>`,
    percent(rowCount, sample.size),
  ]);
  return card(
    "Keys in use",
    rows.length === 0
      ? html`<p class="muted">These sessions do not name their keys.</p>`
      : html`${table("Keys in use", ["Key", "Place", "Share of sessions"], rows, ["Share of sessions"])}
          ${sampled(sample)}
          <p><a href="${pathTo(view, "/keys")}">Keys and jobs</a></p>`,
  );
}

function sampled({ isExact, size }: Sample): Html {
  return isExact
    ? html`<p class="muted">From all ${plural(size, "session")}.</p>`
    : html`<p class="muted">From a random sample of ${number(size)} sessions.</p>`;
}

function process({ meter, records }: View): Html {
  const row = (name: string, operation: "read" | "write") => {
    const { count, failures, median, p99 } = meter.latency(operation);
    return [name, number(count), ms(median), ms(p99), number(failures)];
  };
  const { merged, ended, failed } = meter.conflicts;
  return card(
    "This server process",
    table(
      "Latency of the store",
      ["Store", "Operations", "Median", "p99", "Failed"],
      [row("Reads", "read"), row("Writes", "write")],
      ["Operations", "Median", "p99", "Failed"],
    ),
    facts([
      [
        "Conflicts",
        `${number(merged)} merged, ${number(ended)} with a session that had ended, ${number(failed)} given up`,
      ],
    ]),
    html`<p class="muted">
      Measured in this process in the last ${span(records.now() - meter.since)}. Metrics of all processes: see
      Prometheus and OpenTelemetry in the documentation.
    </p>`,
  );
}

function isOf(types: readonly AuditEventType[]): (count: DayCount) => boolean {
  const codes = types.map((type) => eventCodes[type]) as readonly number[];
  return ({ event }) => codes.includes(event);
}

function labelOf(from: number, period: PeriodName): string {
  const text = new Date(from).toISOString();
  return period === "month" ? text.slice(5, 10) : text.slice(11, 16);
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "0%" : `${Math.round((part * 100) / whole)}%`;
}

function ms(value: number | null): string {
  return value === null ? "–" : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}
