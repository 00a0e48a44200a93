import type { Command } from "commander";
import { defaultShare } from "../../jobs/pace.ts";
import { countDue } from "../../operator/admin.ts";
import type { CommonOptions } from "../configuration.ts";
import { changedBefore, exitCodes, Failure } from "../failure.ts";
import { plural } from "../../shared/wording.ts";
import { interruptible } from "../interrupt.ts";
import { count, duration, share } from "../options.ts";
import { Progress } from "../progress.ts";
import type { Terminal } from "../terminal.ts";
import { report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  maxCreatedAge?: number;
  maxUpdatedAge?: number;
  batchSize: number;
  rate: number;
  share: number;
  dryRun?: boolean;
}

export function expireCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("expire")
      .description("delete ended sessions (they are refused anyway; this frees space)")
      .option(
        "--max-created-age <time>",
        'also sessions created longer ago than this, such as "30 days"',
        duration,
      )
      .option(
        "--max-updated-age <time>",
        'also sessions not saved or used for this long, such as "30 days"',
        duration,
      )
      .option("--rate <rows>", "most rows to delete per second", count, 5_000)
      .option("--share <part>", "share of the time to work, above 0 and up to 1", share, defaultShare)
      .option("--batch-size <rows>", "most rows to delete in one statement", count, 100)
      .option("-n, --dry-run", "show how many would be deleted, and delete nothing"),
  ).action((options: Options) =>
    withSessions(terminal, options, { keys: false, changes: !options.dryRun }, ({ sessions, records }) =>
      interruptible(terminal, async (signal) => {
        const { maxCreatedAge, maxUpdatedAge, batchSize, rate } = options;
        const ages = {
          ...(maxCreatedAge !== undefined && { maxCreatedAge }),
          ...(maxUpdatedAge !== undefined && { maxUpdatedAge }),
        };
        const progress = new Progress(terminal, options.dryRun ? "Counting" : "Deleting", "session");
        if (options.dryRun) {
          const due = await countDue(records, ages, {
            signal,
            onProgress: ({ scanned, fraction }) => progress.update(scanned, fraction),
          });
          progress.clear();
          if (signal.aborted)
            throw new Failure("Stopped before the end; nothing was changed.", exitCodes.interrupted);
          report(terminal, options, { wouldDelete: due }, () => [
            `${plural(due, "session")} would be deleted. Nothing was changed.`,
          ]);
          return;
        }
        const reportDone = (deleted: number, finished: boolean) => {
          progress.clear();
          report(terminal, options, { deleted, finished }, () => [`Deleted ${plural(deleted, "session")}.`]);
        };
        let sofar = 0;
        try {
          const deleted = await sessions.expire({
            ...ages,
            batchSize,
            maxPerSecond: rate,
            share: options.share,
            signal,
            onProgress: ({ deleted: done, fraction }) => progress.update((sofar = done), fraction),
          });
          reportDone(deleted, !signal.aborted);
        } catch (error) {
          const done = changedBefore(error) ?? sofar;
          if (done > 0) reportDone(done, false);
          throw error;
        }
        if (signal.aborted) {
          throw new Failure("Stopped before the end. Run it again to continue.", exitCodes.interrupted);
        }
      }),
    ),
  );
}
