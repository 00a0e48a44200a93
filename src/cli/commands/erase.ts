import type { Command } from "commander";
import type { CommonOptions } from "../configuration.ts";
import { plural } from "../format.ts";
import { userId } from "../options.ts";
import { printable, type Terminal } from "../terminal.ts";
import { confirm, report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  user: string;
  yes?: boolean;
}

export function eraseCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("erase")
      .description("delete everything stored of a user, for a request to be forgotten")
      .requiredOption("-u, --user <id>", "the application's id of the user", userId)
      .option("-y, --yes", "do not ask"),
  ).action((options: Options) =>
    withSessions(terminal, options, { keys: true }, async ({ sessions }) => {
      await confirm(terminal, options.yes, `This erases every session of user ${printable(options.user)}.`);
      const erased = await sessions.eraseUser(options.user);
      report(terminal, options, { erased }, () => [
        erased === 0 ? "Nothing is stored of this user." : `Erased ${plural(erased, "session")}.`,
      ]);
    }),
  );
}
