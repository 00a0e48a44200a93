import type { Command } from "commander";
import { revokeEverything } from "../../operator/admin.ts";
import { idOf } from "../../session/handle.ts";
import type { CommonOptions } from "../configuration.ts";
import { changedBefore, exitCodes, Failure, orTell } from "../failure.ts";
import { plural } from "../format.ts";
import { interruptible } from "../interrupt.ts";
import { userId } from "../options.ts";
import { Progress } from "../progress.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../../shared/printable.ts";
import {
  assertKeysKnown,
  countUnfindable,
  nothingFound,
  uncountedKeyLines,
  withoutUserLines,
} from "../unfindable.ts";
import { confirm, report, reporting, withSessions, type Workplace } from "../work.ts";

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
    const needs = { keys: options.user !== undefined, fit: "ours" } as const;
    return withSessions(terminal, options, needs, async (place) => {
      const { records } = place;
      if (handle !== undefined) {
        const id = idOf(handle);
        if (id === null || !(await records.delete(id, "revoke"))) {
          throw new Failure(`No stored session has the handle ${printable(handle)}.`);
        }
        report(terminal, options, { revoked: 1 }, () => ["Revoked 1 session."]);
      } else if (options.user !== undefined) {
        await revokeUser(place, options.user, terminal, options);
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
            const done = changedBefore(error) ?? sofar;
            if (done > 0) tell(done, false);
            throw error;
          }
          if (signal.aborted) throw new Failure("Stopped before the end.", exitCodes.interrupted);
        });
      }
    });
  });
}

async function revokeUser(
  place: Workplace,
  user: string,
  terminal: Terminal,
  options: Options,
): Promise<void> {
  const revoked = await orTell(
    () => place.sessions.forUser(user).revokeAll(),
    (done) =>
      report(terminal, options, { revoked: done, finished: false }, () => [
        `Revoked ${plural(done, "session")}.`,
      ]),
  );
  const unfindable = await countUnfindable(place);
  report(terminal, options, { revoked, ...unfindable }, () => [
    ...(revoked > 0
      ? [`Revoked ${plural(revoked, "session")}.`]
      : [nothingFound(unfindable, "This user has no sessions."), ...withoutUserLines(unfindable)]),
    ...uncountedKeyLines(unfindable),
  ]);
  assertKeysKnown(unfindable);
}
