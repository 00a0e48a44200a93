import type { Command } from "commander";
import { defaultShare } from "../../jobs/pace.ts";
import type { ResealResult } from "../../jobs/reseal.ts";
import type { CommonOptions } from "../configuration.ts";
import { exitCodes, explain, Failure } from "../failure.ts";
import { number, plural } from "../../shared/wording.ts";
import { interruptible } from "../interrupt.ts";
import { count, share } from "../options.ts";
import { Progress } from "../progress.ts";
import type { Terminal } from "../terminal.ts";
import { report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  rate: number;
  share: number;
  batchSize: number;
  after?: string;
}

export function resealCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("reseal")
      .description("re-encrypt rows under the newest key while the application runs")
      .option("--rate <rows>", "most rows to write per second", count, 1_000)
      .option("--share <part>", "share of the time to work, above 0 and up to 1", share, defaultShare)
      .option("--batch-size <rows>", "most rows to read at once; with --share 1, to write at once", count, 10)
      .option("--after <handle>", "continue where an earlier run stopped"),
  ).action((options: Options) =>
    withSessions(terminal, options, { keys: true, fit: "open" }, ({ sessions, records }) =>
      interruptible(terminal, async (signal) => {
        const progress = new Progress(terminal, "Resealing", "session");
        const { opensWithoutToken, needsToken } = records.settings.format;
        const allOpen = opensWithoutToken && needsToken === undefined;
        const reportDone = (result: ResealResult) => {
          progress.clear();
          report(terminal, options, result, () => lines(result, allOpen));
        };
        let sofar: ResealResult | null = null;
        let result: ResealResult;
        try {
          result = await sessions.reseal({
            exclusive: true,
            batchSize: options.batchSize,
            maxPerSecond: options.rate,
            share: options.share,
            ...(options.after !== undefined && { after: options.after }),
            signal,
            onProgress: (step) => {
              sofar = step;
              progress.update(step.scanned, step.fraction);
            },
          });
        } catch (error) {
          if (sofar === null) throw error;
          reportDone(sofar);
          const { message, exitCode } = explain(error);
          throw new Failure(`${message}${goOn(sofar)}`, exitCode, { cause: error });
        }
        reportDone(result);
        if (signal.aborted) {
          throw new Failure(`Stopped before the end.${goOn(result)}`, exitCodes.interrupted);
        }
        if (!result.finished)
          throw new Failure(
            result.scanned === 0
              ? "Another process is resealing these sessions; nothing was done here. If that process was killed, its lease runs out within a minute; then run this again."
              : "Another process has taken over resealing these sessions, because this one did not renew its lease in time; it starts from the beginning.",
          );
        const left = leftBehind(result);
        if (left.length > 0) throw new Failure(left.join("\n"));
      }),
    ),
  );
}

function lines(result: ResealResult, opensWithoutToken: boolean): string[] {
  const out = [
    `Resealed ${plural(result.resealed, "session")}; ${number(result.current)} had the newest key already${result.ended > 0 ? `, ${number(result.ended)} had ended` : ""}.`,
  ];
  if (result.waiting > 0 && !opensWithoutToken) {
    out.push(
      `${plural(result.waiting, "session")} sealed to their cookies: address and user agent were resealed; the data follows at the next request of their users.`,
    );
  }
  return out;
}

function goOn({ cursor }: ResealResult): string {
  return cursor === null ? "" : ` Continue with: stored-session reseal --after ${cursor}`;
}

/** What a finished run left under an older key, although nobody's cookie was needed: the key cannot go yet. */
function leftBehind({ refused, contended }: ResealResult): string[] {
  const left: string[] = [];
  if (refused > 0)
    left.push(
      `${plural(refused, "session")} did not open and were left unchanged: they were edited, their key is not in the ring, or the application has other settings (\`app\`, \`sealTo\`, \`maxBytes\`) than this command.`,
    );
  if (contended > 0)
    left.push(
      `${plural(contended, "session")} changed at every attempt and kept an older key. Run it again.`,
    );
  return left;
}
