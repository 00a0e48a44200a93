import type { Command } from "commander";
import { plural } from "../../shared/wording.ts";
import type { CommonOptions } from "../configuration.ts";
import type { Terminal } from "../terminal.ts";
import { report, reporting, withSessions } from "../work.ts";

export function countCommand(program: Command, terminal: Terminal): void {
  reporting(program.command("count").description("count the live sessions")).action(
    (options: CommonOptions) =>
      withSessions(terminal, options, { keys: false }, async ({ sessions }) => {
        const live = await sessions.count();
        report(terminal, options, { live }, () => [plural(live, "live session")]);
      }),
  );
}
