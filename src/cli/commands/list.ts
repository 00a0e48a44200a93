import { Option, type Command } from "commander";
import { infoOf, rowsOfUser, type ListedSession } from "../../operator/admin.ts";
import { ownerOf } from "../../session/user-rows.ts";
import { walk } from "../../session/walk.ts";
import type { CommonOptions } from "../configuration.ts";
import { bytes, short, table } from "../format.ts";
import { count, userId } from "../options.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../../shared/printable.ts";
import {
  assertKeysKnown,
  countUnfindable,
  nothingFound,
  uncountedKeyLines,
  withoutUserLines,
} from "../unfindable.ts";
import { paint, report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  user?: string;
  limit: number;
  ended?: boolean;
}

export function listCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("list")
      .description("list live sessions: handle, times, address; never data")
      .option("-u, --user <id>", "those of one user, newest first", userId)
      .addOption(new Option("-n, --limit <count>", "at most this many").argParser(count).default(50))
      .option("--ended", "those that have ended and wait to be deleted, too"),
  ).action((options: Options) =>
    withSessions(
      terminal,
      options,
      { keys: true, fit: options.user === undefined ? "known" : "ours" },
      async (place) => {
        const { records } = place;
        const { format } = records.settings;
        const { user, limit, ended = false } = options;
        let named = 0;
        const found: ListedSession[] = [];
        let more = false;
        for await (const row of user === undefined ? walk(records) : ofUser(records, user)) {
          // An application with a name shares its table with others.
          if (format.formerUserRefs !== undefined && (await ownerOf(records, row)) === "another") continue;
          named++;
          const info = infoOf(records, row);
          if (info.ended && !ended) continue;
          more = found.length === limit;
          if (more) break;
          found.push(info);
        }
        const listed = () => lines(found, more, records.now(), terminal);
        const none = "There are no such sessions.";
        if (user === undefined) {
          report(terminal, options, { sessions: found, more }, () => (found.length > 0 ? listed() : [none]));
          return;
        }
        const unfindable = await countUnfindable(place);
        // Where all that name the user have ended, those that name nobody are of no interest.
        const open = named > 0 ? { ...unfindable, withoutUser: 0 } : unfindable;
        report(terminal, options, { sessions: found, more, ...unfindable }, () => [
          ...(found.length > 0 ? listed() : [nothingFound(open, none), ...withoutUserLines(open)]),
          ...uncountedKeyLines(open),
        ]);
        assertKeysKnown(unfindable);
      },
    ),
  );
}

async function* ofUser(records: Parameters<typeof walk>[0], user: string) {
  yield* await rowsOfUser(records, user);
}

function lines(found: ListedSession[], more: boolean, now: number, terminal: Terminal): string[] {
  const style = paint(terminal);
  const width = terminal.out.isTTY ? (terminal.out.columns ?? 80) : Infinity;
  const [head = "", ...rows] = table(
    ["handle", "age", "idle", "ends in", "user", "size", "from"],
    found.map((info) => [
      info.handle,
      short(now - info.createdAt.getTime()),
      short(now - info.updatedAt.getTime()),
      info.ended ? "ended" : short(info.expiresAt.getTime() - now),
      info.signedIn ? "yes" : "no",
      bytes(info.bytes),
      from(info),
    ]),
  ).map((line) => (line.length > width ? `${line.slice(0, Math.max(width, 44) - 1)}…` : line));
  const note = more ? ["", style("dim", "There are more: raise --limit.")] : [];
  return [style("bold", head), ...rows, ...note];
}

function from({ client }: ListedSession): string {
  return printable([client?.address, client?.userAgent].filter(Boolean).join(", ")) || "unknown";
}
