import { Argument, type Command } from "commander";
import type { CommonOptions } from "../configuration.ts";
import { exitCodes, Failure } from "../failure.ts";
import { number, plural } from "../format.ts";
import { ForeignTable } from "../import/read.ts";
import { sourceNamed, sources } from "../import/sources.ts";
import { rowFor, type Skipped, type SkipReason } from "../import/write.ts";
import { interruptible } from "../interrupt.ts";
import { count, duration } from "../options.ts";
import { Progress } from "../progress.ts";
import { printable, type Terminal } from "../terminal.ts";
import { report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  from: string;
  fromTable?: string;
  userPath?: string;
  lifetime?: number;
  batchSize: number;
  dryRun?: boolean;
}

interface Tally {
  read: number;
  imported: number;
  skipped: Record<SkipReason, number>;
  /** The first of those that could not be read or stored. */
  examples: Skipped[];
  finished: boolean;
}

const mostExamples = 10;

export function importCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("import")
      .addArgument(new Argument("<library>", sources.map(({ name }) => name).join(", ")))
      .description(
        "take over the sessions of another library, for the express-session drop-in; may be run again",
      )
      .requiredOption("--from <url>", "its database, which is only read")
      .option("--from-table <name>", "its table, when it has another name than usual")
      .option("--user-path <path>", 'where a session holds its user\'s id, such as "passport.user"')
      .option("--lifetime <time>", "of a session since its last use, where its table does not say", duration)
      .option("--batch-size <rows>", "rows read at once, and kept in memory, at most", count, 500)
      .option("-n, --dry-run", "say what would be taken over, and write nothing"),
  ).action((library: string, options: Options) => {
    const source = sourceNamed(library);
    return withSessions(terminal, options, { keys: true }, ({ records }) =>
      interruptible(terminal, async (signal) => {
        const table = ForeignTable.open({
          url: options.from,
          source,
          ...(options.fromTable !== undefined && { table: options.fromTable }),
          lifetime: options.lifetime ?? records.settings.idleTimeout,
          cwd: terminal.cwd,
        });
        try {
          const total = await table.count();
          const progress = new Progress(terminal, "Importing", "session");
          const tally = newTally();
          const userPath = options.userPath?.split(".") ?? null;
          for await (const page of table.pages(options.batchSize)) {
            if (signal.aborted) break;
            const rows = page.map((foreign) => rowFor(records, foreign, { userPath }));
            await Promise.all(
              rows.map(async (row) => {
                tally.read++;
                if ("reason" in row) return note(tally, row);
                if (options.dryRun || (await records.insert(row, "save"))) tally.imported++;
                else tally.skipped["there already"]++;
              }),
            );
            progress.update(tally.read, Math.min(1, tally.read / total));
          }
          progress.clear();
          tally.finished = !signal.aborted;
          report(terminal, options, tally, () => lines(tally, options.dryRun));
          if (signal.aborted)
            throw new Failure("Stopped before the end. Run it again to go on.", exitCodes.interrupted);
        } finally {
          await table.close();
        }
      }),
    );
  });
}

function newTally(): Tally {
  const skipped = { ended: 0, unreadable: 0, unfit: 0, "there already": 0 };
  return { read: 0, imported: 0, skipped, examples: [], finished: false };
}

function note(tally: Tally, skipped: Skipped): void {
  tally.skipped[skipped.reason]++;
  if (skipped.reason !== "ended" && tally.examples.length < mostExamples) tally.examples.push(skipped);
}

function lines({ read, imported, skipped, examples }: Tally, dryRun: boolean | undefined): string[] {
  const why = Object.entries(skipped)
    .filter(([, times]) => times > 0)
    .map(([reason, times]) => `${number(times)} ${reason}`);
  const left = read - imported;
  return [
    `${dryRun ? "Would import" : "Imported"} ${number(imported)} of ${plural(read, "session")}${left > 0 ? `; left out ${number(left)}: ${why.join(", ")}` : ""}.`,
    ...examples.map(
      ({ handle, reason, detail }) =>
        `  ${handle} ${reason}${detail === null ? "" : `: ${printable(detail)}`}`,
    ),
  ];
}
