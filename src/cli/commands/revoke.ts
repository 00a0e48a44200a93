import type { Command } from "commander";
import { revokeEverything } from "../../operator/admin.ts";
import { walk } from "../../session/walk.ts";
import { idOf } from "../../session/handle.ts";
import type { CommonOptions } from "../configuration.ts";
import { changedBefore, exitCodes, Failure, orReport } from "../failure.ts";
import { plural } from "../../shared/wording.ts";
import { Filter, filtered, hasFilter, type FilterOptions } from "../filters.ts";
import { interruptible } from "../interrupt.ts";
import { linkOf, userId } from "../options.ts";
import type { SessionLinks } from "../../session/authentication.ts";
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
import { operator } from "../operator.ts";
import { confirm, report, reporting, withSessions, type Workplace } from "../work.ts";

interface Options extends CommonOptions, FilterOptions {
  user?: string;
  link?: SessionLinks;
  all?: boolean;
  yes?: boolean;
  dryRun?: boolean;
}

export function revokeCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("revoke")
    .argument("[handle]", "end this session")
    .description("end sessions; every server refuses them from the next request on")
    .option("-u, --user <id>", "end all sessions of one user", userId)
    .option("--link <name=value>", "end all sessions with a link of their login", linkOf)
    .option("--all", "end every session");
  reporting(
    filtered(command, "end sessions")
      .option("-n, --dry-run", "show how many sessions --all, an address or times would end")
      .option("-y, --yes", "do not ask before ending sessions by --all, address or time"),
  ).action((handle: string | undefined, options: Options) => {
    const chosen = hasFilter(options) ? true : undefined;
    const given = [handle, options.user, options.link, options.all, chosen].filter(
      (one) => one !== undefined,
    );
    if (given.length !== 1) {
      throw new Failure(
        "Choose what to revoke: a handle, --user <id>, --link <name=value>, --all, or an address or time (--address, --created-after, --created-before). These cannot be combined, except address and times.",
        exitCodes.usage,
      );
    }
    if (options.dryRun && (handle ?? options.user ?? options.link) !== undefined) {
      throw new Failure(
        '--dry-run requires --all, an address or a time. "list" shows a user\'s sessions.',
        exitCodes.usage,
      );
    }
    const byAddress = options.address !== undefined;
    const needs = {
      changes: !options.dryRun,
      keys: (options.user ?? options.link) !== undefined || byAddress,
      fit: byAddress ? "known" : "ours",
    } as const;
    return withSessions(terminal, options, needs, async (place) => {
      const { records } = place;
      if (handle !== undefined) {
        const id = idOf(handle);
        if (id === null || !(await records.delete(id, "revoke", { content: operator() }))) {
          throw new Failure(`No stored session has the handle ${printable(handle)}.`);
        }
        report(terminal, options, { revoked: 1 }, () => ["Revoked 1 session."]);
      } else if (options.user !== undefined) {
        await revokeUser(place, options.user, terminal, options);
      } else if (options.link !== undefined) {
        await revokeLinked(place, options.link, terminal, options);
      } else {
        await revokeMany(place, terminal, options);
      }
    });
  });
}

/** All, or those that the filter chooses. */
async function revokeMany({ records }: Workplace, terminal: Terminal, options: Options): Promise<void> {
  const { dryRun = false } = options;
  const filter = new Filter(records, options);
  if (!dryRun) {
    const what = options.all
      ? "This logs everybody out."
      : "This ends every session that matches. --dry-run shows how many.";
    await confirm(terminal, options.yes, what);
  }
  await interruptible(terminal, async (signal) => {
    const progress = new Progress(terminal, dryRun ? "Counting" : "Revoking", "session");
    const reportDone = (count: number, finished: boolean) => {
      progress.clear();
      const answer = dryRun ? { wouldRevoke: count, finished } : { revoked: count, finished };
      report(terminal, options, answer, () => [
        dryRun
          ? `${plural(count, "session")} would be revoked. Nothing was changed.`
          : `Revoked ${plural(count, "session")}.`,
      ]);
    };
    let sofar = 0;
    try {
      let count = 0;
      if (dryRun) {
        const walked = walk(records, {
          signal,
          onProgress: ({ scanned, fraction }) => progress.update(scanned, fraction),
        });
        for await (const row of walked) if (filter.matches(row)) count++;
      } else {
        count = await revokeEverything(
          records,
          {
            signal,
            only: (row, pass) => filter.matches(row, pass),
            onProgress: ({ scanned, fraction }) => progress.update((sofar = scanned), fraction),
          },
          operator(),
        );
      }
      reportDone(count, !signal.aborted);
    } catch (error) {
      const done = changedBefore(error) ?? sofar;
      if (done > 0) reportDone(done, false);
      throw error;
    }
    if (signal.aborted)
      throw new Failure(
        dryRun ? "Stopped before the end." : "Stopped before the end. Run it again to continue.",
        exitCodes.interrupted,
      );
    filter.assertComplete();
  });
}

async function revokeLinked(
  place: Workplace,
  link: SessionLinks,
  terminal: Terminal,
  options: Options,
): Promise<void> {
  const tell = (revoked: number, finished: boolean) =>
    report(terminal, options, { revoked, finished }, () => [
      finished && revoked === 0 ? "No session has this link." : `Revoked ${plural(revoked, "session")}.`,
    ]);
  const by = operator().actor!;
  tell(
    await orReport(
      () => place.sessions.revokeByLink(link, { by }),
      (done) => tell(done, false),
    ),
    true,
  );
}

async function revokeUser(
  place: Workplace,
  user: string,
  terminal: Terminal,
  options: Options,
): Promise<void> {
  const revoked = await orReport(
    () => place.sessions.forUser(user).revokeAll({ by: operator().actor! }),
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
