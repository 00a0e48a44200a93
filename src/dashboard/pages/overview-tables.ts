/** The tables of the overview: devices, ages and sizes, keys, expiry, and what this process measures. */
import { devices, outcomeCodes } from "../../audit/events.ts";
import { bytes, number, plural, span } from "../../shared/wording.ts";
import type { DayCount } from "../../store/audit.ts";
import { isOf, sumOf } from "../counts.ts";
import { html, type Html } from "../html.ts";
import { card, facts, shareBar, table } from "../layout.ts";
import type { Sample } from "../sample.ts";
import { pathTo, type View } from "../view.ts";

export function devicesCard(counts: readonly DayCount[]): Html {
  const logins = counts.filter((count) => isOf(["login"])(count) && count.outcome === outcomeCodes.success);
  const total = sumOf(logins, () => true);
  const rows = devices
    .map((device, code) => ({ device, count: sumOf(logins, (one) => one.device === code) }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count)
    .map(({ device, count }) => [
      device === "none" ? "unknown" : device,
      number(count),
      shareBar(count, total, `${device}: ${percent(count, total)} of logins`),
    ]);
  return card(
    "Devices at login",
    rows.length === 0
      ? html`<p class="muted">No logins in this period.</p>`
      : table("Devices at login", ["Device", "Logins", "Share"], rows, ["Logins"]),
  );
}

export function ages(sample: Sample): Html {
  const names = ["under an hour", "under a day", "under a week", "under 30 days", "older"];
  const rows = sample.ages.map(({ live }, index) => [
    names[index]!,
    percent(live, sample.live),
    shareBar(live, Math.max(1, sample.live), `${names[index]}: ${percent(live, sample.live)}`),
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

export function keys(view: View, sample: Sample): Html {
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

export function expiry({ records, base }: View, sample: Sample): Html {
  const { oldestEnd, rows, size, live, isExact } = sample;
  const waiting = size === 0 ? 0 : Math.round((rows * (size - live)) / size);
  return card(
    "Expiry",
    facts([
      ["Ended, not deleted yet", `${isExact ? "" : "about "}${number(waiting)}`],
      [
        "Longest wait",
        oldestEnd === null
          ? isExact
            ? "none waits"
            : "none in the sample"
          : `${isExact ? "" : "at least "}${span(records.now() - oldestEnd)}`,
      ],
    ]),
    sampled(sample),
    html`<p><a href="${pathTo({ base }, "/keys")}">When the job last ran</a></p>`,
  );
}

function sampled({ isExact, size }: Sample): Html {
  return isExact
    ? html`<p class="muted">From all ${plural(size, "session")}.</p>`
    : html`<p class="muted">From a random sample of ${number(size)} sessions.</p>`;
}

export function process({ meter, records }: View): Html {
  const row = (name: string, operation: "read" | "write") => {
    const { count, failures, median, p99 } = meter.latency(operation);
    return [html`<span class="nowrap">${name}</span>`, number(count), ms(median), ms(p99), number(failures)];
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

/** Neither none nor all unless it is: the last session under an old key must not round to nothing. */
function percent(part: number, whole: number): string {
  if (part === 0 || whole === 0) return "0%";
  const share = Math.round((part * 100) / whole);
  if (share === 0) return "under 1%";
  return share === 100 && part < whole ? "over 99%" : `${share}%`;
}

function ms(value: number | null): string {
  return value === null ? "–" : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}
