import { existsSync } from "node:fs";
import { Option, type Command } from "commander";
import type { RefusedError } from "../errors.ts";
import { assertMigrated } from "../sql/migrations/migrator.ts";
import { refusalOf } from "../operator/admin.ts";
import { walk } from "../session/walk.ts";
import type { Records } from "../session/records.ts";
import { recordsOf } from "../manager.ts";
import type { Database } from "../sql/dialect.ts";
import { SqlStore } from "../sql/sql-store.ts";
import { asking, canAsk } from "./ask.ts";
import { configure, type CommonOptions, type Configuration } from "./configuration.ts";
import { Declined, exitCodes, Failure } from "./failure.ts";
import { json } from "./format.ts";
import { missingKeyAdvice } from "./missing-key.ts";
import { styled, wrapped, type Style, type Terminal } from "./terminal.ts";

/** What a command is given to work with. */
export interface Workplace extends Configuration {
  readonly records: Records;
}

/** Adds the options that say where the sessions are. */
export function located(command: Command): Command {
  return command
    .addOption(
      new Option(
        "-c, --config <file>",
        "configuration file (default: stored-session.config.{ts,mts,js,mjs})",
      ).helpGroup("Where the sessions are:"),
    )
    .addOption(
      new Option(
        "-d, --database-url <url>",
        "postgres://…, mysql://… or sqlite:file, instead of a configuration. Other users see its password in ps; STORED_SESSION_DATABASE_URL hides it",
      ).helpGroup("Where the sessions are:"),
    )
    .addOption(
      new Option("--table <name>", "table name, with --database-url (default: stored_sessions)").helpGroup(
        "Where the sessions are:",
      ),
    )
    .addOption(
      new Option("--app <name>", "the application's `app`, with --database-url (default: none)").helpGroup(
        "Where the sessions are:",
      ),
    );
}

/** The same, with `--json`. */
export function reporting(command: Command): Command {
  return located(command).option("--json", "print JSON");
}

export interface Needs {
  /** Whether the command opens rows or names users. */
  readonly keys: boolean;
  /**
   * What a stored row must be to these keys, one of them at least. Default "known": under one of them. "ours": and not
   * another application's, whose users are not found here.
   */
  readonly fit?: "any" | "known" | "ours" | "open";
  /** False for a command that works on a database without our tables. */
  readonly tables?: boolean;
  /** Whether it ends sessions, which a database with an audit trail has to record. */
  readonly changes?: boolean;
  /** Whether it is about the audit trail. */
  readonly audit?: boolean;
}

/** Opens what the options name, does the work, and closes it again. */
export async function withSessions(
  terminal: Terminal,
  options: CommonOptions,
  needs: Needs,
  work: (place: Workplace) => Promise<void>,
): Promise<void> {
  const configuration = await configure(terminal, options, needs);
  try {
    const records = recordsOf(configuration.sessions as never);
    if (needs.tables !== false) await assertTables(configuration);
    if (needs.keys && needs.fit !== "any") await assertKeysFit(configuration, records, needs.fit ?? "known");
    await work({ ...configuration, records });
  } finally {
    await configuration.close().catch(() => {});
  }
}

async function assertTables(configuration: Configuration): Promise<void> {
  const { store } = configuration;
  if (!(store instanceof SqlStore)) return;
  assertFile(store.database);
  await assertMigrated(store.database);
}

/** Looking never creates a file. */
export function assertFile(database: Database): void {
  if (database.file !== undefined && !existsSync(database.file)) {
    throw new Failure(
      `There is no file ${database.file}. "stored-session migrate" creates it with its tables.`,
    );
  }
}

/**
 * Other keys than the rows' would find no user and open nothing, and look like an empty database. One row that fits is
 * enough, because most may be under a key that was taken away; so where none does, it looks at the whole table.
 */
async function assertKeysFit(
  configuration: Configuration,
  records: Records,
  fit: "known" | "ours" | "open",
): Promise<void> {
  const { format } = records.settings;
  if (format.sealedUnder === undefined || format.keyNames === undefined) return;
  const others = new Set<string>();
  let refusal: RefusedError | null = null;
  for await (const row of walk(records, { batchSize: 100 })) {
    const key = format.sealedUnder({ data: row.head, client: row.client }).data ?? "no envelope";
    if (!format.keyNames.includes(key)) others.add(key);
    else if (fit === "known") return;
    else {
      const whole = await records.store.read(row.id);
      if (whole === null) continue;
      refusal = refusalOf(records, whole);
      if (refusal === null || (fit === "ours" && refusal.reason !== "commitment")) return;
    }
  }
  if (refusal !== null) {
    throw new Failure(
      `None of the stored sessions can be opened. ${refusal.message}${otherSettings(configuration, refusal.reason)}`,
      exitCodes.usage,
    );
  }
  if (others.size === 0) return;
  throw new Failure(
    `The stored sessions were sealed with other keys (${[...others].join(", ")}) than those given (${format.keyNames.join(", ")}). If the application has other keys than this command, set STORED_SESSION_KEYS to the application's. ${missingKeyAdvice} Nothing was changed.`,
    exitCodes.usage,
  );
}

/** To be added where rows do not open: what else than the keys may be missing, if anything may. */
export function otherSettings({ isAddress = false }: Configuration, ...reasons: readonly string[]): string {
  if (!isAddress || reasons.every((reason) => reason === "key")) return "";
  return " An address alone says nothing of `app`, `sealTo` and `maxBytes`: if the application sets one of them, give its configuration file, or --app where it sets `app` alone.";
}

/**
 * Prints lines, wrapped for a terminal, or the value when `--json` was given.
 * @param verbatim lines that follow and are not wrapped, because they are to be copied
 */
export function report(
  terminal: Terminal,
  options: CommonOptions,
  value: unknown,
  lines: () => readonly string[],
  verbatim: () => readonly string[] = () => [],
): void {
  const text = options.json
    ? json(value)
    : [...lines().map((line) => wrapped(terminal.out, line)), ...verbatim()].join("\n");
  if (text !== "") terminal.out.write(`${text}\n`);
}

export function paint(terminal: Terminal): (style: Style, text: string) => string {
  return (style, text) => styled(terminal.out, terminal.env, style, text);
}

/** A yes or no on a terminal; elsewhere it must have been given with `--yes`. */
export async function confirm(terminal: Terminal, yes: boolean | undefined, question: string): Promise<void> {
  if (yes) return;
  if (!canAsk(terminal)) {
    throw new Failure(`${question} Add --yes to confirm. Nothing was changed.`, exitCodes.usage);
  }
  const answer = await asking(terminal, (ask) => ask(`${wrapped(terminal.err, `${question} [y/N]`)} `));
  if (!/^y(es)?$/i.test(answer)) throw new Declined();
}
