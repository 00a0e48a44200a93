import type { Command } from "commander";
import { revokeEverything } from "../../session/admin.ts";
import { idOf } from "../../session/handle.ts";
import type { CommonOptions } from "../configuration.ts";
import { exitCodes, Failure } from "../failure.ts";
import { plural } from "../format.ts";
import { interruptible } from "../interrupt.ts";
import { userId } from "../options.ts";
import { Progress } from "../progress.ts";
import { printable, type Terminal } from "../terminal.ts";
import { countWithoutUser, withoutUserLines } from "../without-user.ts";
import { confirm, report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  user?: string;
  all?: boolean;
  yes?: boolean;
}

export function revokeCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("revoke")
      .argument("[handle]", "end this session")
      .description("end sessions; every server sees it at the next request")
      .option("-u, --user <id>", "end all sessions of one user", userId)
      .option("--all", "end every session there is")
      .option("-y, --yes", "do not ask before --all"),
  ).action((handle: string | undefined, options: Options) => {
    const given = [handle, options.user, options.all].filter((one) => one !== undefined);
    if (given.length !== 1) {
      throw new Failure("Say what to revoke: a handle, --user <id> or --all, one of them.", exitCodes.usage);
    }
    const needs = { keys: options.user !== undefined };
    return withSessions(terminal, options, needs, async (place) => {
      const { sessions, records } = place;
      if (handle !== undefined) {
        const id = idOf(handle);
        if (id === null || !(await records.delete(id, "revoke"))) {
          throw new Failure(`No stored session has the handle ${printable(handle)}.`);
        }
        report(terminal, options, { revoked: 1 }, () => ["Revoked 1 session."]);
      } else if (options.user !== undefined) {
        const revoked = await sessions.forUser(options.user).revokeAll();
        if (revoked > 0) {
          report(terminal, options, { revoked }, () => [`Revoked ${plural(revoked, "session")}.`]);
          return;
        }
        const withoutUser = await countWithoutUser(place);
        report(terminal, options, { revoked, withoutUser }, () => [
          withoutUser === 0 ? "This user has no sessions." : "No session names this user.",
          ...withoutUserLines(withoutUser),
        ]);
      } else {
        await confirm(terminal, options.yes, "This logs everybody out.");
        await interruptible(terminal, async (signal) => {
          const progress = new Progress(terminal, "Revoking", "session");
          const tell = (revoked: number, finished: boolean) => {
            progress.clear();
            report(terminal, options, { revoked, finished }, () => [
              `Revoked ${plural(revoked, "session")}.`,
            ]);
          };
          let sofar = 0;
          try {
            const revoked = await revokeEverything(records, {
              signal,
              onProgress: ({ scanned, fraction }) => progress.update((sofar = scanned), fraction),
            });
            tell(revoked, !signal.aborted);
          } catch (error) {
            if (sofar > 0) tell(sofar, false);
            throw error;
          }
          if (signal.aborted) throw new Failure("Stopped before the end.", exitCodes.interrupted);
        });
      }
    });
  });
}
