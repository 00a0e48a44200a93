import type { Command } from "commander";
import { defaultShare } from "../../jobs/pace.ts";
import type { ResealResult } from "../../jobs/reseal.ts";
import type { CommonOptions } from "../configuration.ts";
import { exitCodes, explain, Failure } from "../failure.ts";
import { number, plural } from "../format.ts";
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
      .description("carry rows under older keys to the newest, while the application runs")
      .option("--rate <rows>", "rows written in a second at most", count, 1_000)
      .option("--share <part>", "part of its time that it works at most, up to 1", share, defaultShare)
      .option("--batch-size <rows>", "rows read at once, and kept in memory, at most", count, 10)
      .option("--after <handle>", "go on where an earlier run stopped"),
  ).action((options: Options) =>
    withSessions(terminal, options, { keys: true, fit: "open" }, ({ sessions, records }) =>
      interruptible(terminal, async (signal) => {
        const progress = new Progress(terminal, "Resealing", "session");
        const { opensWithoutToken, needsToken } = records.settings.format;
        const allOpen = opensWithoutToken && needsToken === undefined;
        const tell = (result: ResealResult) => {
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
          tell(sofar);
          const { message, exitCode } = explain(error);
          throw new Failure(`${message}${goOn(sofar)}`, exitCode, { cause: error });
        }
        tell(result);
        if (signal.aborted) {
          throw new Failure(`Stopped before the end.${goOn(result)}`, exitCodes.interrupted);
        }
        if (!result.finished)
          throw new Failure(
            result.scanned === 0
              ? "Another process is resealing these sessions; nothing was done here. If that process was killed, its lease runs out within a minute: run this again then."
              : "Another process has taken over resealing these sessions, because this one was silent too long; it goes on from the start.",
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
      `${plural(result.waiting, "session")} sealed to their cookies: address and user agent were resealed, the data follows when its user comes back.`,
    );
  }
  return out;
}

function goOn({ cursor }: ResealResult): string {
  return cursor === null ? "" : ` Go on with: stored-session reseal --after ${cursor}`;
}

/** What a finished run left under an older key, although nobody's cookie was needed: the key cannot go yet. */
function leftBehind({ refused, contended }: ResealResult): string[] {
  const left: string[] = [];
  if (refused > 0)
    left.push(
      `${plural(refused, "session")} did not open and stayed as they are: they were edited, their key is not in the ring, or the application has other settings (\`app\`, \`sealTo\`, \`maxBytes\`) than this command.`,
    );
  if (contended > 0)
    left.push(`${plural(contended, "session")} changed at every try, and kept an older key: run it again.`);
  return left;
}
