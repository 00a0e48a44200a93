import type { Command } from "commander";
import type { SessionStats } from "../../operator/admin.ts";
import type { CommonOptions } from "../configuration.ts";
import { exitCodes, Failure } from "../failure.ts";
import { table } from "../format.ts";
import { bytes, number, span } from "../../shared/wording.ts";
import { instantFrom } from "../options.ts";
import { interruptible } from "../interrupt.ts";
import { Progress } from "../progress.ts";
import type { Terminal } from "../terminal.ts";
import { paint, report, reporting, withSessions } from "../work.ts";

export function statsCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("stats")
      .description("count sessions by state, age, size and key (reads the whole table)")
      .option(
        "--since <day>",
        "events of the audit trail by day in UTC instead, from this day on",
        instantFrom,
      ),
  ).action((options: CommonOptions & { since?: Date }) => {
    if (options.since !== undefined) return days(options.since, options, terminal);
    return withSessions(terminal, options, { keys: false }, ({ sessions, hasKeys }) =>
      interruptible(terminal, async (signal) => {
        const progress = new Progress(terminal, "Counting", "session");
        const stats = await sessions.stats({
          signal,
          onProgress: ({ scanned, fraction }) => progress.update(scanned, fraction),
        });
        progress.clear();
        if (signal.aborted)
          throw new Failure("Stopped before the end: no figures are available.", exitCodes.interrupted);
        const seen = hasKeys ? stats : withoutRing(stats);
        report(terminal, options, inJson(seen), () => lines(seen, paint(terminal)));
      }),
    );
  });
}

/** What the audit trail has recorded, by day; days whose events were pruned are counted as well. */
function days(since: Date, options: CommonOptions, terminal: Terminal): Promise<void> {
  return withSessions(terminal, options, { keys: true, fit: "any", audit: true }, async ({ sessions }) => {
    const counts = await sessions.audit.days({ since });
    report(terminal, options, { days: counts }, () => {
      if (counts.length === 0) return ["There are no events since then."];
      return table(
        ["day", "event", "outcome", "device", "count"],
        counts.map(({ day, type, outcome, device, count }) => [day, type, outcome, device, number(count)]),
      );
    });
  });
}

/** Without keys nothing is known of the ring: the keys found are just keys. */
function withoutRing(stats: SessionStats): SessionStats {
  return { ...stats, keys: stats.keys.filter(({ place }) => place === "unknown") };
}

/** The last age has no upper bound, and JSON no Infinity. */
function inJson(stats: SessionStats) {
  const ages = stats.ages.map(({ under, live }) => ({ under: under === Infinity ? null : under, live }));
  return { ...stats, ages };
}

function lines(stats: SessionStats, style: ReturnType<typeof paint>): string[] {
  const out = [
    ...table(
      ["sessions", ""],
      [
        ["live", number(stats.live)],
        ["  signed in", number(stats.signedIn)],
        ["  anonymous", number(stats.live - stats.signedIn)],
        ["ended, to be deleted", number(stats.ended)],
      ],
    ),
  ];
  if (stats.total === 0) return ["There are no sessions."];
  out.push(
    "",
    ...table(
      ["sealed size", ""],
      [
        ["all", bytes(stats.bytes.total)],
        ["median", bytes(stats.bytes.median)],
        ["largest", bytes(stats.bytes.largest)],
      ],
    ),
    "",
    ...table(
      ["created (live)", ""],
      stats.ages.map(({ under, live }, index) => [age(stats, under, index), number(live)]),
    ),
    "",
    ...table(
      ["key", "", "live", "ended"],
      stats.keys.map(({ key, place, live, ended }) => [
        key ?? "(unnamed)",
        place === "unknown" ? "not in the ring" : place,
        number(live),
        number(ended),
      ]),
    ),
  );
  return out.map((line, index) => (index === 0 || out[index - 1] === "" ? style("bold", line) : line));
}

function age(stats: SessionStats, under: number, index: number): string {
  if (under !== Infinity) return `less than ${span(under)} ago`;
  return `${span(stats.ages[index - 1]!.under)} ago or more`;
}
