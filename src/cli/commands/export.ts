import type { Command } from "commander";
import { sealedToCookie } from "../../operator/admin.ts";
import type { CommonOptions } from "../configuration.ts";
import { Failure } from "../failure.ts";
import { json } from "../format.ts";
import { number, plural } from "../../shared/wording.ts";
import { userId } from "../options.ts";
import { note } from "../operator.ts";
import { wrapped, type Terminal } from "../terminal.ts";
import { countUnfindable, uncountedKeyLines, unknownKeys, withoutUserLines } from "../unfindable.ts";
import { located, otherSettings, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  user: string;
}

export function exportCommand(program: Command, terminal: Terminal): void {
  located(
    program
      .command("export")
      .description("print all sessions of a user as JSON, to answer an access request")
      .requiredOption("-u, --user <id>", "user id", userId)
      .option("--json", "the output is always JSON"),
  ).action((options: Options) =>
    withSessions(terminal, options, { keys: true, fit: "ours" }, async (place) => {
      const { sessions, records } = place;
      const found = await sessions.exportUser(options.user);
      await note(records, "data.exported", { user: options.user });
      const unfindable = await countUnfindable(place);
      const value = {
        user: options.user,
        exportedAt: new Date(records.now()),
        sessions: found,
        ...unfindable,
      };
      terminal.out.write(`${json(value)}\n`);
      for (const line of [...withoutUserLines(unfindable), ...uncountedKeyLines(unfindable)])
        terminal.err.write(`${wrapped(terminal.err, line)}\n`);
      const closed = found.filter(({ unreadable }) => unreadable !== null);
      const refused = closed.filter(({ unreadable }) => unreadable !== sealedToCookie);
      const problems: string[] = [];
      if (refused.length > 0) {
        problems.push(
          `The data of ${plural(refused.length, "session")} cannot be read here: see "unreadable".${otherSettings(place, ...refused.map(({ unreadable }) => unreadable!))}`,
        );
      } else if (terminal.err.isTTY || closed.length > 0) {
        const unread =
          closed.length > 0
            ? ` The data of ${number(closed.length)} cannot be read here: see "unreadable".`
            : "";
        terminal.err.write(`${wrapped(terminal.err, `${plural(found.length, "session")}.${unread}`)}\n`);
      }
      const missing = unknownKeys(unfindable);
      if (missing !== null) problems.push(missing);
      if (problems.length > 0) throw new Failure(problems.join("\n"));
    }),
  );
}
