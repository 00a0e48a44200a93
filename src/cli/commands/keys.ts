import type { Command } from "commander";
import { walk } from "../../session/walk.ts";
import { storedEndOf } from "../../session/lifetime.ts";
import type { Records } from "../../session/records.ts";
import type { CommonOptions } from "../configuration.ts";
import { exitCodes, Failure } from "../failure.ts";
import { generateKey } from "../../sealing/keyring.ts";
import { table } from "../format.ts";
import { moment, number, plural } from "../../shared/wording.ts";
import { interruptible } from "../interrupt.ts";
import { missingKeyAdvice } from "../missing-key.ts";
import { instant } from "../options.ts";
import { Progress } from "../progress.ts";
import { wrapped, type Terminal } from "../terminal.ts";
import { paint, report, reporting, withSessions } from "../work.ts";

interface StatusOptions extends CommonOptions {
  since?: Date;
}

const useOfKey =
  "Add it to STORED_SESSION_KEYS, separated by a comma: first at the end on every server, then, once all have it, at the front. A single server can put it at the front at once. If a key has leaked, follow docs/incident-guide.md instead; otherwise docs/key-rotation.md.";

export function keysCommand(program: Command, terminal: Terminal): void {
  const keys = program.command("keys").description("generate keys, and show which are in use");
  keys
    .command("generate")
    .description("print a new key; uses no database")
    .option("--json", "print JSON")
    .action((options: CommonOptions) => {
      const key = generateKey();
      report(terminal, options, { key }, () => [key]);
      if (terminal.err.isTTY && terminal.out.isTTY && !options.json) {
        terminal.err.write(`\n${wrapped(terminal.err, useOfKey)}\n`);
      }
    });
  reporting(
    keys
      .command("status")
      .description("count rows per key, and show which keys can be removed and when")
      .option(
        "--since <time>",
        'when every server had the newest key first, such as "2026-11-23T18:00Z"; a day alone counts as its end in UTC',
        instant,
      ),
  ).action((options: StatusOptions) =>
    withSessions(terminal, options, { keys: true, fit: "any" }, ({ records, isDropIn = false }) =>
      interruptible(terminal, async (signal) => {
        const { keyNames } = records.settings.format;
        if (keyNames === undefined) {
          throw new Failure(
            "The format of these sessions does not name its keys in its rows.",
            exitCodes.usage,
          );
        }
        const progress = new Progress(terminal, "Counting", "session");
        const uses = await usesOf(records, keyNames, { since: options.since, isDropIn }, signal, progress);
        progress.clear();
        if (signal.aborted)
          throw new Failure("Stopped before the end: no figures are available.", exitCodes.interrupted);
        report(terminal, options, { keys: uses }, () => lines(uses, options.since, terminal));
      }),
    ),
  );
}

interface Use {
  key: string;
  place: "newest" | "older" | "unknown";
  live: number;
  ended: number;
  /** Live sessions that began before `--since` and were not used since: their cookies have an older key's tag. */
  unreturned: number | null;
  /** False while rows or cookies need it; null when that cannot be known. */
  retirable: boolean | null;
  /** When it can be retired at the latest: the end of the last session that needs it. Null while rows are under it. */
  retirableAt: Date | null;
}

/**
 * A row names the key that sealed it. A cookie's tag does not show in the database; but whoever comes back is given a
 * fresh one, so only sessions that began before the newest key and were not used since can depend on an older key.
 * Without `--since` that may be any. A drop-in store's cookies have no tag. Ends are those that are stored: other
 * timeouts may be configured here.
 */
async function usesOf(
  records: Records,
  ring: readonly string[],
  { since, isDropIn }: { since: Date | undefined; isDropIn: boolean },
  signal: AbortSignal,
  progress: Progress,
): Promise<Use[]> {
  const { format } = records.settings;
  const counts = new Map(ring.map((key) => [key, { live: 0, ended: 0 }]));
  const now = records.now();
  let unreturned = 0;
  let lastEnd = now;
  for await (const row of walk(records, {
    signal,
    onProgress: ({ scanned, fraction }) => progress.update(scanned, fraction),
  })) {
    const end = storedEndOf(row, records.settings);
    const sealed = format.sealedUnder!({ data: row.head, client: row.client });
    for (const key of new Set([
      sealed.data ?? "no envelope",
      sealed.client ?? sealed.data ?? "no envelope",
    ])) {
      const count = counts.get(key) ?? { live: 0, ended: 0 };
      count[now < end ? "live" : "ended"]++;
      counts.set(key, count);
    }
    if (!isDropIn && now < end && row.updatedAt < (since?.getTime() ?? Infinity)) {
      unreturned++;
      lastEnd = Math.max(lastEnd, end);
    }
  }
  return [...counts].map(([key, { live, ended }]): Use => {
    const index = ring.indexOf(key);
    const place = index === 0 ? "newest" : index > 0 ? "older" : "unknown";
    const common = { key, place, live, ended } as const;
    if (place !== "older") return { ...common, unreturned: null, retirable: null, retirableAt: null };
    const retirableAt = live > 0 ? null : new Date(lastEnd);
    const retirable = live === 0 && unreturned === 0;
    if (since !== undefined || retirable) return { ...common, unreturned, retirable, retirableAt };
    return { ...common, unreturned: null, retirable: live > 0 ? false : null, retirableAt };
  });
}

function lines(uses: readonly Use[], since: Date | undefined, terminal: Terminal): string[] {
  const style = paint(terminal);
  const [head = "", ...rows] = table(
    ["key", "", "live rows", "ended rows"],
    uses.map(({ key, place, live, ended }) => [
      key,
      place === "unknown" ? "not in the ring" : place,
      number(live),
      number(ended),
    ]),
  );
  const out = [style("bold", head), ...rows, ""];
  const missing = uses.filter(({ place, live }) => place === "unknown" && live > 0);
  for (const { key, live } of missing)
    out.push(style("red", `${key}: ${plural(live, "session")} cannot be opened.`));
  if (missing.length > 0) out.push(missingKeyAdvice);
  for (const use of uses) {
    if (use.place !== "older") continue;
    if (use.retirable === true) {
      out.push(style("green", `${use.key}: can be retired now. Remove it from STORED_SESSION_KEYS.`));
    } else if (use.live > 0) {
      out.push(
        `${use.key}: keep it. Run "stored-session reseal" to move ${plural(use.live, "row")} to the newest key.`,
      );
    } else if (since === undefined) {
      out.push(
        `${use.key}: no row needs it. Cookies signed with it may still be in use, until ${moment(use.retirableAt!)} at the latest: keep it until then, or rerun with --since <time every server had the new key first>.`,
      );
    } else {
      out.push(
        `${use.key}: keep it. ${plural(use.unreturned!, "session")} may still hold a cookie signed with it, until ${moment(use.retirableAt!)} at the latest.`,
      );
    }
  }
  if (uses.every(({ place }) => place === "newest")) out.push("Every row is under the only key.");
  return out.at(-1) === "" ? out.slice(0, -1) : out;
}
