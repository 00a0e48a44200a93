import { Option, type Command } from "commander";
import { cell, CSV_COLUMNS, type EventFormat } from "../../audit/formats.ts";
import { eventCodes, type AuditEventType } from "../../audit/events.ts";
import type { AuditTrail } from "../../operator/audit-trail.ts";
import type { AuditListOptions } from "../../operator/audit-types.ts";
import { anchorsIn, newFile } from "../audit-files.ts";
import { lineOf } from "../audit-lines.ts";
import { printReport } from "../audit-report.ts";
import { follow } from "../audit-tail.ts";
import type { CommonOptions } from "../configuration.ts";
import { exitCodes, Failure } from "../failure.ts";
import { plural } from "../../shared/wording.ts";
import { interruptible } from "../interrupt.ts";
import { verifyFile } from "../offline-audit.ts";
import { note } from "../operator.ts";
import { count, duration, instant, instantFrom, userId } from "../options.ts";
import { Progress } from "../progress.ts";
import { wrapped, type Terminal } from "../terminal.ts";
import { printable } from "../../shared/printable.ts";
import { confirm, located, report, withSessions, type Workplace } from "../work.ts";

interface Options extends CommonOptions {
  user?: string;
  session?: string;
  since?: Date;
  until?: Date;
  type?: AuditEventType[];
  limit?: number;
  format: EventFormat | "text" | "raw";
  output?: string;
}

interface VerifyOptions extends CommonOptions {
  from?: string;
  publicKey?: string[];
  anchors?: string;
}

interface PruneOptions extends CommonOptions {
  olderThan?: number;
  archive?: string;
  yes?: boolean;
}

const needs = { keys: true, fit: "any", audit: true } as const;

export function auditCommand(program: Command, terminal: Terminal): void {
  const audit = program.command("audit").description("read, verify, export and prune the audit trail");

  located(
    filtered(audit.command("list").description("print events, oldest first"))
      .option("--limit <events>", "at most this many", count)
      .addOption(format(["text", "json", "ocsf", "ecs", "cloudevents", "csv"], "text")),
  ).action((options: Options) =>
    withSessions(terminal, options, needs, async (place) => {
      await read(place, "list", options);
      const events = await print(place.sessions.audit, listOf(options), options.format, (line) =>
        writeLine(terminal, options.format, line),
      );
      if (events === 0 && options.format === "text") terminal.err.write("There are no such events.\n");
    }),
  );

  located(
    filtered(audit.command("tail").description("print events as they are written, until Ctrl-C")).addOption(
      format(["text", "json", "ocsf", "ecs", "cloudevents", "csv"], "text"),
    ),
  ).action((options: Options) =>
    withSessions(terminal, options, needs, (place) =>
      interruptible(
        terminal,
        async (signal) => {
          await read(place, "tail", options);
          await tail(place, options, terminal, signal);
        },
        null,
      ),
    ),
  );

  located(
    filtered(
      audit
        .command("export")
        .description("write events to a file or standard output, in the form of another system"),
    )
      .addOption(format(["raw", "json", "ocsf", "ecs", "cloudevents", "csv"], "json"))
      .option("-o, --output <file>", "a new file (default: standard output)"),
  ).action((options: Options) =>
    withSessions(terminal, options, needs, async (place) => {
      if (options.format === "raw" && hasFilter(options)) {
        throw new Failure("--format raw exports everything. Remove the filters.", exitCodes.usage);
      }
      await read(place, "export", options);
      await exportTo(place, options, terminal);
    }),
  );

  located(
    audit
      .command("verify")
      .description("verify every event and checkpoint; exits with 1 if anything was changed")
      .option("--from <file>", "an export with --format raw, in place of the database")
      .option(
        "--public-key <key...>",
        "with --from: the public keys; without it, those of STORED_SESSION_KEYS",
      )
      .option("--anchors <file>", "checkpoints that an anchor has kept, one JSON object a line")
      .option("--json", "print JSON"),
  ).action((options: VerifyOptions) =>
    interruptible(terminal, async (signal) => {
      const anchors = options.anchors === undefined ? undefined : await anchorsIn(options.anchors);
      const progress = new Progress(terminal, "Verifying", "event");
      const onProgress = (events: number): void => progress.update(events, undefined);
      const settings = { ...(anchors && { anchors }), signal, onProgress };
      if (options.from !== undefined) {
        const answer = await verifyFile(options.from, options.publicKey, terminal.env, settings);
        progress.clear();
        return printReport(answer, [], options, terminal);
      }
      if (options.publicKey !== undefined) {
        throw new Failure(
          "--public-key requires --from. A database is verified with its keys.",
          exitCodes.usage,
        );
      }
      await withSessions(terminal, options, needs, async (place) => {
        const { audit: trail } = place.sessions;
        const answer = await trail.verify(settings);
        progress.clear();
        await read(place, "verify", {});
        printReport(answer, trail.publicKeys, options, terminal);
      });
    }),
  );

  located(
    audit
      .command("prune")
      .description("delete whole segments of the trail, and leave a signed record")
      .option(
        "--older-than <time>",
        'segments that ended longer ago, such as "400 days" (default: audit.retention)',
        duration,
      )
      .option(
        "--archive <file>",
        "write what is deleted to this new file first, for `audit verify --from` (default: audit.archive)",
      )
      .option("-y, --yes", "do not ask, also without --archive")
      .option("--json", "print JSON"),
  ).action((options: PruneOptions) =>
    withSessions(terminal, options, needs, (place) =>
      interruptible(terminal, async (signal) => {
        const isArchived =
          options.archive !== undefined || place.records.settings.audit?.options.archive !== undefined;
        if (!isArchived) {
          await confirm(terminal, options.yes, "This deletes events without an archive of them.");
        }
        const out = options.archive === undefined ? null : newFile(options.archive);
        const result = await place.sessions.audit.prune({
          ...(options.olderThan !== undefined && { olderThan: options.olderThan }),
          signal,
          ...(out && {
            archive: async (_: string, lines: AsyncIterable<string>) => {
              for await (const line of lines) await out.write(line);
              await out.sync(); // what follows deletes the events
            },
          }),
        });
        await out?.end();
        report(terminal, options, result, () => [
          result.segments === 0
            ? "Nothing is old enough."
            : `Deleted ${plural(result.events, "event")} of ${plural(result.segments, "segment")}.`,
        ]);
      }),
    ),
  );
}

function filtered(command: Command): Command {
  return command
    .option("-u, --user <id>", "events of one user", userId)
    .option("--session <handle>", "events of one session")
    .option("--since <time>", 'from this time on, such as "2026-11-23T18:00Z", or a day in UTC', instantFrom)
    .option("--until <time>", "before this time; a day alone counts as its end in UTC", instant)
    .addOption(new Option("-t, --type <types...>", "only these types").choices(Object.keys(eventCodes)));
}

function format(choices: readonly string[], standard: string): Option {
  return new Option("-f, --format <format>", "how events are written").choices(choices).default(standard);
}

function listOf({ user, session, since, until, type, limit }: Options): AuditListOptions {
  return {
    ...(user !== undefined && { user }),
    ...(session !== undefined && { session }),
    ...(since && { since }),
    ...(until && { until }),
    ...(type && { types: type }),
    ...(limit !== undefined && { limit }),
  };
}

function hasFilter(options: Options): boolean {
  return Object.keys(listOf(options)).length > 0;
}

/** Records that the trail was read (PCI DSS 10.2.1.3). */
async function read({ records }: Workplace, how: string, options: { user?: string }): Promise<void> {
  const { user } = options;
  await note(records, "trail.read", { reason: how, ...(user !== undefined && { user }) });
}

/** Text is wrapped for a terminal; what programs read is not. */
function writeLine({ out }: Terminal, how: Options["format"], line: string): void {
  out.write(`${how === "text" ? wrapped(out, line) : line}\n`);
}

async function print(
  trail: AuditTrail,
  query: AuditListOptions,
  how: Options["format"],
  write: (line: string) => void | Promise<void>,
): Promise<number> {
  let events = 0;
  if (how === "csv") await write(CSV_COLUMNS.map(cell).join(","));
  for await (const event of trail.list(query)) {
    await write(lineOf(event, how));
    events++;
  }
  return events;
}

async function tail(
  { sessions, records }: Workplace,
  options: Options,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  if (options.format === "csv") terminal.out.write(`${CSV_COLUMNS.map(cell).join(",")}\n`);
  await follow({
    list: (since) => sessions.audit.list({ ...listOf(options), since }),
    print: (event) => writeLine(terminal, options.format, lineOf(event, options.format)),
    onOutage: (error) =>
      void terminal.err.write(
        error === null
          ? "The database answers again.\n"
          : `The database does not answer; trying again each second. Cause: ${printable(error.message)}\n`,
      ),
    now: records.now(),
    since: options.since,
    signal,
  });
}

async function exportTo(place: Workplace, options: Options, terminal: Terminal): Promise<void> {
  const { audit: trail } = place.sessions;
  const out = options.output === undefined ? null : newFile(options.output);
  const write = async (line: string): Promise<void> => {
    if (out === null) terminal.out.write(`${line}\n`);
    else await out.write(line);
  };
  let lines = 0;
  if (options.format === "raw") {
    for await (const line of trail.raw()) {
      await write(line);
      lines++;
    }
  } else lines = await print(trail, listOf(options), options.format, write);
  await out?.end();
  if (out !== null) {
    const wrote = `Wrote ${plural(lines, "line")} to ${printable(options.output!)}.`;
    terminal.err.write(`${wrapped(terminal.err, wrote)}\n`);
  }
}
