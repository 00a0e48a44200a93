import { Option, type Command } from "commander";
import { infoOf, rowsOfUser, type ListedSession } from "../../operator/admin.ts";
import { ownerOf } from "../../session/user-rows.ts";
import { walk } from "../../session/walk.ts";
import { idOf } from "../../session/handle.ts";
import { exitCodes, Failure } from "../failure.ts";
import { Filter, filtered, type FilterOptions } from "../filters.ts";
import { cursor, Page, sorts, type Cursor, type Sort } from "../list-order.ts";
import type { CommonOptions } from "../configuration.ts";
import { table } from "../format.ts";
import { bytes, short } from "../../shared/wording.ts";
import { count, userId } from "../options.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../../shared/printable.ts";
import {
  assertKeysKnown,
  nothingFound,
  sampledKeyLines,
  sampleUnfindable,
  withoutUserLines,
} from "../unfindable.ts";
import { paint, report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions, FilterOptions {
  user?: string;
  sort?: Sort;
  after?: Cursor;
  limit: number;
  ended?: boolean;
}

export function listCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("list")
    .description("list live sessions: handle, times, address; never data")
    .option("-u, --user <id>", "only sessions of this user, newest first", userId);
  reporting(
    filtered(command, "only sessions")
      .addOption(
        new Option(
          "--sort <by>",
          "newest, last used, last to end or largest first (reads every session)",
        ).choices(Object.keys(sorts)),
      )
      .addOption(new Option("-n, --limit <count>", "most sessions to print").argParser(count).default(50))
      .option("--after <cursor>", "continue after this cursor, which the previous page printed", cursor)
      .option("--ended", "also sessions that have ended and are not deleted yet"),
  ).action((options: Options) =>
    withSessions(
      terminal,
      options,
      { keys: true, fit: options.user === undefined ? "known" : "ours" },
      async (place) => {
        const { records } = place;
        const { format } = records.settings;
        const { user, limit, ended = false, after } = options;
        const sort = options.sort ?? (user === undefined ? undefined : "created");
        if (after !== undefined && (after.value === null) !== (sort === undefined)) {
          throw new Failure(
            "This --after belongs to a list in another order. Use the options of the previous page.",
            exitCodes.usage,
          );
        }
        const filter = new Filter(records, options);
        const page = new Page(limit, sort, after);
        let named = 0;
        const start = sort === undefined && after !== undefined ? idOf(after.handle) : null;
        for await (const row of user === undefined
          ? walk(records, { after: start })
          : ofUser(records, user)) {
          // An application with a name shares its table with others.
          if (format.formerUserRefs !== undefined && (await ownerOf(records, row)) === "another") continue;
          named++;
          const info = infoOf(records, row);
          if ((info.ended && !ended) || !filter.matches(row)) continue;
          page.add(info);
          if (page.isFull) break;
        }
        const { sessions: found, next } = page.end();
        const more = next !== null;
        const listed = () => lines(found, next, records.now(), terminal);
        const none = "There are no such sessions.";
        if (user === undefined) {
          const answer = { sessions: found, more, next };
          report(terminal, options, answer, () => (found.length > 0 ? listed() : [none]));
          filter.assertComplete();
          return;
        }
        const sampled = await sampleUnfindable(place);
        const { lookedAt: _, ...unfindable } = sampled;
        // Where all that name the user have ended, those that name nobody are of no interest.
        const open = named > 0 ? { ...unfindable, withoutUser: 0 } : unfindable;
        report(terminal, options, { sessions: found, more, next, ...unfindable }, () => [
          ...(found.length > 0 ? listed() : [nothingFound(open, none), ...withoutUserLines(open)]),
          ...sampledKeyLines(sampled),
        ]);
        assertKeysKnown(unfindable);
        filter.assertComplete();
      },
    ),
  );
}

async function* ofUser(records: Parameters<typeof walk>[0], user: string) {
  yield* await rowsOfUser(records, user);
}

/** One line for each session, where the terminal is wide enough to show its address; else two, or three. */
function lines(found: ListedSession[], next: string | null, now: number, terminal: Terminal): string[] {
  const style = paint(terminal);
  const width = terminal.out.isTTY ? terminal.out.columns || 80 : Infinity;
  const cells = found.map((info) => [
    info.handle,
    short(now - info.createdAt.getTime()),
    short(now - info.updatedAt.getTime()),
    info.ended ? "ended" : short(info.expiresAt.getTime() - now),
    info.deviceBound ? "bound" : info.signedIn ? "yes" : "no",
    bytes(info.bytes),
    from(info),
  ]);
  const addressWidth = Math.max(4, ...found.map(({ client }) => client?.address?.length ?? 7)); // "unknown"
  const all = [["handle", "age", "idle", "ends in", "user", "size", "from"], ...cells];
  const columns = (first: number, end?: number) => {
    const [head = [], ...rows] = all.map((row) => row.slice(first, end));
    return table(head, rows);
  };
  const fits = (indent: number, first: number) => {
    const [line = ""] = columns(first);
    return indent + line.length - "from".length + addressWidth <= width;
  };
  const below = (texts: readonly string[]) => texts.map((text) => `  ${text}`);
  const layout = fits(0, 0)
    ? [columns(0)]
    : fits(2, 1)
      ? [columns(0, 1), below(columns(1))]
      : [columns(0, 1), below(columns(1, 6)), below(columns(6))];
  const sessions = all.map((_, place) => layout.map((block) => cut(block[place]!, width)));
  const [head = [], ...rows] = sessions;
  const note = next === null ? [] : ["", style("dim", `There are more. Add --after ${next}`)];
  return [...head.map((line) => style("bold", line)), ...rows.flat(), ...note];
}

/** A user agent may be longer than any terminal; `show` prints it whole. */
function cut(line: string, width: number): string {
  return line.length > width ? `${line.slice(0, Math.max(width, 44) - 1)}…` : line;
}

function from({ client }: ListedSession): string {
  return printable([client?.address, client?.userAgent].filter(Boolean).join(", ")) || "unknown";
}
