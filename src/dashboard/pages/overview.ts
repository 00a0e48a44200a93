import type { AuditEventType } from "../../audit/events.ts";
import type { DayCount } from "../../store/audit.ts";
import { number, plural } from "../../shared/wording.ts";
import type { Series } from "../chart.ts";
import { isOf, periods, sumOf, type Figures, type PeriodName } from "../counts.ts";
import { durabilityNotice } from "../durability-notice.ts";
import { html, type Html } from "../html.ts";
import { notice, segments, type Page } from "../layout.ts";
import { refusalsIn } from "../refusals.ts";
import { errorOf, sampleOf, type Sample } from "../sample.ts";
import { may, pathTo, type View } from "../view.ts";
import { ages, devicesCard, expiry, keys, process } from "./overview-tables.ts";

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
  const warnings = await view.durability.warnings();
  return html`${durabilityNotice(warnings)}${tiles(sample, figures ?? null)}
    ${figures === undefined ? noTrail() : await charts(view, figures, sample)}
    <div class="grid three">
      ${figures === undefined && expiry(view, sample)}${ages(sample)}${keys(view, sample)}${process(view)}
    </div>`;
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
  return html`<ul class="tiles">
    ${tile("Live sessions", about + number(live), marginOf(sample, sample.live))}
    ${tile("Signed in", about + number(signedIn), marginOf(sample, sample.signedIn))}
    ${tile("Logins", sum("login"), time)} ${tile("Failed logins", sum("login.failed"), time)}
    ${tile("Ended", sum(...ends.flatMap(({ events }) => events)), time)}
    ${tile("Refused", sum("refusal"), time)}
  </ul>`;
}

/** Two standard errors. */
function marginOf(sample: Sample, part: number): string {
  if (sample.isExact) return "counted";
  return part === 0 ? "none in the sample" : `estimate, ± ${Math.ceil(errorOf(sample, part) * 200)}%`;
}

function tile(label: string, value: string, note: string | undefined): Html {
  return html`<li class="tile">
    <span class="label">${label}</span><b>${value}</b><small>${note ?? "audit trail is off"}</small>
  </li>`;
}

async function charts(view: View, figures: Figures, sample: Sample): Promise<Html> {
  // Only this page needs the library that draws charts, which is large.
  const { chart } = await import("../chart.ts");
  const { pieces, period } = figures;
  const labels = pieces.map(({ from }) => labelOf(from, period.name));
  const series = (name: string, color: Series["color"], matches: (count: DayCount) => boolean): Series => ({
    name,
    color,
    values: pieces.map(({ counts }) => (counts === null ? null : sumOf(counts, matches))),
  });
  const waiting = pieces.filter(({ counts }) => counts === null).length;
  const all = pieces.flatMap(({ counts }) => counts ?? []);
  return html`${waiting > 0 && notice("info", `${plural(waiting, "column")} still being counted, in the background. Reload in a moment.`)}
    <div class="grid">
      <section class="card">
        ${chart({
          id: "chart-stored",
          title: "Stored sessions",
          labels,
          series: [
            {
              name: "Live, and ended but not deleted yet",
              color: "purple",
              values: storedIn(figures, sample.rows),
            },
          ],
        })}
        <p class="muted">
          Estimated backwards from now, by what the trail says began, was imported and ended.
        </p>
      </section>
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
      ${devicesCard(all)}${expiry(view, sample)}
    </div>`;
}

/**
 * How many sessions were stored at the end of each piece: those of now, without what began or was imported since, and with
 * what was deleted since. Null before the first piece that is not counted yet.
 */
function storedIn({ pieces }: Figures, now: number): (number | null)[] {
  const deleted = isOf(ends.flatMap(({ events }) => events));
  const added = isOf(["session.created", "sessions.imported"]);
  let stored: number | null = now;
  return pieces
    .toReversed()
    .map(({ counts }) => {
      const atEnd = stored;
      if (counts === null) stored = null;
      else if (stored !== null) stored += sumOf(counts, deleted) - sumOf(counts, added);
      return atEnd === null ? null : Math.max(0, atEnd);
    })
    .toReversed();
}

function labelOf(from: number, period: PeriodName): string {
  const text = new Date(from).toISOString();
  return period === "month" ? text.slice(5, 10) : text.slice(11, 16);
}
