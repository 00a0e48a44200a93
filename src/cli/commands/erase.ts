import type { Command } from "commander";
import type { CommonOptions } from "../configuration.ts";
import { orReport } from "../failure.ts";
import { plural } from "../../shared/wording.ts";
import { userId } from "../options.ts";
import { note, operator } from "../operator.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../../shared/printable.ts";
import {
  assertKeysKnown,
  countUnfindable,
  nothingFound,
  uncountedKeyLines,
  withoutUserLines,
} from "../unfindable.ts";
import { confirm, report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  audit?: boolean;
  user: string;
  yes?: boolean;
}

export function eraseCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("erase")
      .description("delete all sessions of a user, to answer an erasure request")
      .requiredOption("-u, --user <id>", "user id", userId)
      .option("--audit", "also destroy the key of the user's events in the audit trail")
      .option("-y, --yes", "do not ask for confirmation"),
  ).action((options: Options) =>
    withSessions(terminal, options, { keys: true, fit: "ours" }, async (place) => {
      await confirm(terminal, options.yes, `This erases every session of user ${printable(options.user)}.`);
      // Counted first: what could fail comes before what cannot be undone.
      const unfindable = await countUnfindable(place);
      const erased = await orReport(
        () => place.sessions.eraseUser(options.user),
        (done) =>
          report(terminal, options, { erased: done, finished: false }, () => [
            `Erased ${plural(done, "session")}.`,
          ]),
      );
      await note(place.records, "data.erased", { reason: "sessions" });
      if (options.audit) await place.sessions.audit.erase(options.user, { by: operator().actor! });
      report(terminal, options, { erased, ...unfindable }, () => [
        erased === 0
          ? nothingFound(unfindable, "Nothing is stored of this user.")
          : `Erased ${plural(erased, "session")}.`,
        ...withoutUserLines(unfindable),
        ...uncountedKeyLines(unfindable),
      ]);
      assertKeysKnown(unfindable);
    }),
  );
}
