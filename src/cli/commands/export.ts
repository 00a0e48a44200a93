import type { Command } from "commander";
import { sealedToCookie } from "../../session/admin.ts";
import type { CommonOptions } from "../configuration.ts";
import { Failure } from "../failure.ts";
import { json, plural } from "../format.ts";
import { userId } from "../options.ts";
import type { Terminal } from "../terminal.ts";
import { countWithoutUser, withoutUserLines } from "../without-user.ts";
import { located, otherSettings, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  user: string;
}

export function exportCommand(program: Command, terminal: Terminal): void {
  located(
    program
      .command("export")
      .description("print every session that names a user as JSON, for a request for their own data")
      .requiredOption("-u, --user <id>", "the application's id of the user", userId)
      .option("--json", "(always)"),
  ).action((options: Options) =>
    withSessions(terminal, options, { keys: true }, async (place) => {
      const { sessions, records } = place;
      const found = await sessions.exportUser(options.user);
      const withoutUser = await countWithoutUser(place);
      const value = {
        user: options.user,
        exportedAt: new Date(records.now()),
        sessions: found,
        withoutUser,
      };
      terminal.out.write(`${json(value)}\n`);
      for (const line of withoutUserLines(withoutUser)) terminal.err.write(`${line}\n`);
      const closed = found.filter(({ unreadable }) => unreadable !== null);
      const refused = closed.filter(({ unreadable }) => unreadable !== sealedToCookie);
      if (refused.length > 0) {
        throw new Failure(
          `The data of ${plural(refused.length, "session")} cannot be read here: see "unreadable".${otherSettings(place, ...refused.map(({ unreadable }) => unreadable!))}`,
        );
      }
      if (terminal.err.isTTY || closed.length > 0) {
        terminal.err.write(
          `${plural(found.length, "session")}.${closed.length > 0 ? ` The data of ${closed.length} cannot be read here: see "unreadable".` : ""}\n`,
        );
      }
    }),
  );
}
