import { setImmediate as turn } from "node:timers/promises";
import { Argument, type Command } from "commander";
import { exitCodes, Failure } from "../failure.ts";
import { LeftOutFile } from "../import/left-out.ts";
import { assertTaken, flagOf, libraries, libraryNamed } from "../import/libraries.ts";
import { importRails, railsFlags, railsSource } from "../import/rails.ts";
import type { SourceReader } from "../import/reader.ts";
import { urlVariable } from "../import/sources.ts";
import { lines, newTally, type Tally } from "../import/tally.ts";
import type { ImportCommandOptions, ImportWork } from "../import/work.ts";
import { assertPathFinds } from "../import/user-check.ts";
import { writeRows } from "../import/write.ts";
import { interruptible } from "../interrupt.ts";
import { note } from "../operator.ts";
import { count, duration, fieldNames, pathToUser } from "../options.ts";
import { Progress } from "../progress.ts";
import { MemoryStore } from "../../store/memory.ts";
import type { SessionStore } from "../../store/contract.ts";
import { wrapped, type Terminal } from "../terminal.ts";
import { report, reporting, withSessions, type Workplace } from "../work.ts";

export function importCommand(program: Command, terminal: Terminal): void {
  const names = [...libraries.map(({ name }) => name), railsSource.name];
  const command = program
    .command("import")
    .addArgument(new Argument("<library>", names.join(", ")))
    .description("import the sessions of another library; can be run again")
    .option(
      "--from <url>",
      `address of its database, its directory or file, which is only read (or ${urlVariable})`,
    )
    .option("--from-table <name>", "its table, if it does not have the usual name")
    .option("--user-table <name>", "for better-auth: its table of users, if it does not have the usual name")
    .option(
      "--fields <names>",
      'for better-auth and authjs: further columns to import, such as "session.theme,user.locale"',
      fieldNames,
    )
    .option("--prefix <text>", 'for connect-redis: what its keys begin with (default "sess:")')
    .option("--file-extension <text>", 'for session-file-store: the end of its file names (default ".json")')
    .option("--user-path <path>", 'where a session holds its user id, such as "passport.user"', pathToUser)
    .option("--lifetime <time>", "lifetime of a session after its last use, where no end is stored", duration)
    .option("--batch-size <rows>", "most rows to read and keep in memory at once", count, 500)
    .option("-y, --yes", "import even if --user-path or --user-key finds no user")
    .option(
      "--refresh",
      "also update sessions that an earlier run imported and that changed since, or now have a user",
    )
    .option(
      "--left-out <file>",
      "list the sessions that cannot be imported in a new file, with what finds each",
    )
    .option("-n, --dry-run", "show what would be imported, and write nothing");
  railsFlags(command);
  reporting(command).action((library: string, options: ImportCommandOptions) => {
    const isRails = library === railsSource.name;
    const work = isRails ? importRails : importJson(library, options);
    // Another "app" or "sealTo" than the application's would import what it cannot open, once and for all.
    return withSessions(terminal, options, { keys: true, fit: "open" }, (place) =>
      interruptible(terminal, async (signal) => {
        assertKept(place.store);
        const progress = new Progress(terminal, "Importing", "session");
        const tally = newTally(options.dryRun ?? false);
        const file = options.leftOut === undefined ? null : new LeftOutFile(options.leftOut, terminal.cwd);
        let failed = true;
        try {
          await noteRun(place, library, tally, "started");
          await work({ terminal, options, place, tally, file, progress, signal });
          failed = false;
        } finally {
          progress.clear();
          if (tally.read === 0 && (failed || signal.aborted)) file?.discard();
          else file?.close();
          tally.finished = !failed && !signal.aborted;
          await noteRun(place, library, tally, failed ? "failed" : signal.aborted ? "stopped" : "finished");
          // What was done before a failure is told with it.
          if (!failed || tally.read > 0)
            report(terminal, options, tally, () => lines(tally, file?.path ?? null));
        }
        if (signal.aborted)
          throw new Failure("Stopped before the end. Run it again to continue.", exitCodes.interrupted);
      }),
    );
  });
}

/**
 * Records a run in the audit trail, when it begins and when it ends: one that was killed is recorded as well. Not each session:
 * an import of a million would drown what the trail is for.
 */
async function noteRun(
  { records }: Workplace,
  library: string,
  { dryRun, imported, refreshed }: Tally,
  reason: "started" | "finished" | "stopped" | "failed",
): Promise<void> {
  if (dryRun) return;
  const isOver = reason !== "started";
  await note(records, "sessions.imported", {
    reason,
    outcome: reason === "finished" ? "success" : isOver ? "failure" : "unknown",
    count: imported,
    details: {
      from: library,
      ...(isOver && { imported: String(imported), refreshed: String(refreshed) }),
    },
  });
}

function assertKept(store: SessionStore): void {
  if (!(store instanceof MemoryStore)) return;
  throw new Failure(
    "The configuration has a memoryStore, whose sessions would end with this command. Import into the application's sqliteStore, postgresStore or mysqlStore.",
    exitCodes.usage,
  );
}

/** Sessions for a drop-in store, or for the storage of an authentication library. */
function importJson(name: string, options: ImportCommandOptions): (work: ImportWork) => Promise<void> {
  const library = libraryNamed(name, [railsSource.name]);
  const wrong = Object.keys(options).find((option) => option === "userKey" || option.startsWith("rails"));
  if (wrong !== undefined) {
    throw new Failure(
      `${flagOf(wrong)} is an option for ${railsSource.name}, not for ${name}.`,
      exitCodes.usage,
    );
  }
  assertTaken(library, options);
  return async ({ terminal, place: { records, store }, tally, file, progress, signal }) => {
    const from = options.from ?? (terminal.env[urlVariable] || undefined);
    if (from === undefined) {
      throw new Failure(
        `The ${library.from} of ${name} is not set. Pass --from or set ${urlVariable}.`,
        exitCodes.usage,
      );
    }
    const { format, idleTimeout } = records.settings;
    if (library.listed === true && (!format.opensWithoutToken || format.needsToken !== undefined)) {
      throw new Failure(
        `The configuration has sealTo: "cookie", with which the storage of ${name} does not work. Import with a configuration that has sealTo: "keys", the default.`,
        exitCodes.usage,
      );
    }
    const open = () =>
      library.open({ from, options, idleTimeout, now: () => records.now(), cwd: terminal.cwd });
    const { userPath, dryRun = false, yes = false, refresh = false } = options;
    if (userPath !== undefined && !dryRun && !yes) {
      await using(open(), (looked) =>
        assertPathFinds(userPath, looked, options.batchSize, records.now(), signal),
      );
    }
    await using(open(), async (reader) => {
      for (const text of reader.notes ?? []) terminal.err.write(`${wrapped(terminal.err, text)}\n`);
      const into = { records, store, userPath: userPath ?? null, dryRun, refresh, file, reader };
      for await (const page of reader.pages(options.batchSize)) {
        if (signal.aborted) return;
        if (page.length > 0) await writeRows(into, page, tally);
        progress.update(tally.read, reader.fraction(tally.read));
        // node:sqlite answers without one, and no signal would be heard until the end.
        await turn();
      }
      await reader.end();
    });
  };
}

async function using(reader: SourceReader, work: (reader: SourceReader) => Promise<void>): Promise<void> {
  try {
    await reader.begin();
    await work(reader);
  } finally {
    await reader.close();
  }
}
