import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { inspectDatabase, type Inspection } from "../../database/inspect.ts";
import { OptionsError, StoredSessionError } from "../../errors.ts";
import { migrationStatus } from "../../migrations/migrator.ts";
import type { SessionRow } from "../../row.ts";
import { refusalOf } from "../../session/admin.ts";
import { recordsOf, settingsOf } from "../../session/manager.ts";
import type { Records } from "../../session/records.ts";
import { SqlStore } from "../../store/sql.ts";
import { configure, type CommonOptions, type Configuration } from "../configuration.ts";
import { explain, Failure } from "../failure.ts";
import { bytes, plural, span, table } from "../format.ts";
import type { Terminal } from "../terminal.ts";
import { assertFile, otherSettings, paint, report, reporting } from "../work.ts";

interface Finding {
  readonly about: string;
  readonly level: "good" | "warning" | "problem";
  readonly message: string;
}

/** Clocks of servers that differ by more make sessions end at different times on each. */
const clockTolerance = 5_000;

export function checkCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("check")
      .description(
        "check everything that can be known before traffic: options, keys, database, tables, durability",
      )
      .option("--strict", "fail on warnings as well"),
  ).action(async (options: CommonOptions & { strict?: boolean }) => {
    const findings = await check(terminal, options);
    const worst = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length;
    report(terminal, options, { ok: worst("problem") === 0, findings }, () => lines(findings, terminal));
    const problems = worst("problem");
    const warnings = worst("warning");
    if (problems > 0 || (options.strict && warnings > 0)) {
      throw new Failure(`${plural(problems, "problem")}, ${plural(warnings, "warning")}.`);
    }
  });
}

async function check(terminal: Terminal, options: CommonOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  const add = (about: string, level: Finding["level"], message: string) =>
    findings.push({ about, level, message });
  let configuration: Configuration;
  try {
    configuration = await configure(terminal, options, { keys: true });
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    for (const problem of error.problems) add("Options", "problem", problem);
    return findings;
  }
  try {
    const settings = settingsOf(configuration.sessions as never);
    add(
      "Options",
      "good",
      `idle ${span(settings.idleTimeout)}, absolute ${span(settings.absoluteTimeout)} (${configuration.source})`,
    );
    const { keyNames } = settings.format;
    if (keyNames !== undefined)
      add("Keys", "good", `${plural(keyNames.length, "key")}, newest ${keyNames[0]!}`);
    const { store } = configuration;
    if (store instanceof SqlStore) await checkDatabase(configuration, store, add);
    else add("Database", "warning", "the store is no SQL store: what it keeps is not known here");
  } catch (error) {
    if (!(error instanceof StoredSessionError || error instanceof Failure)) throw error;
    add("Database", "problem", explain(error).message!);
  } finally {
    await configuration.close().catch(() => {});
  }
  return findings;
}

async function checkDatabase(
  configuration: Configuration,
  store: SqlStore,
  add: (about: string, level: Finding["level"], message: string) => void,
): Promise<void> {
  assertFile(store);
  const began = performance.now();
  const before = Date.now();
  const inspection = await inspectDatabase(store.database);
  const took = performance.now() - began;
  add("Database", "good", `${inspection.server}, answers in ${Math.max(1, Math.round(took))} ms`);
  try {
    const { applied, pending } = await migrationStatus(store.database);
    if (pending.length > 0) {
      add(
        "Tables",
        "problem",
        `${plural(pending.length, "migration")} pending. Run "stored-session migrate".`,
      );
    } else add("Tables", "good", `at version ${applied.at(-1)?.version ?? 0}, as this package needs them`);
    if (pending.length === 0) await checkRows(configuration, store, inspection, add);
  } catch (error) {
    if (!(error instanceof StoredSessionError)) throw error;
    add("Tables", "problem", error.message);
  }
  checkDurability(inspection, add);
  if (inspection.clock !== null) {
    const difference = inspection.clock - (before + took / 2);
    const apart = Math.abs(difference);
    if (apart > clockTolerance) {
      add(
        "Clock",
        "warning",
        `the database's clock is ${span(apart)} ${difference > 0 ? "ahead" : "behind"}. Times come from the application alone, so this does no harm by itself, but look whether this machine's clock is right: servers that differ end sessions at different times.`,
      );
    } else
      add(
        "Clock",
        "good",
        "this machine and the database agree; time zones play no part, times are UTC milliseconds",
      );
  }
}

async function checkRows(
  configuration: Configuration,
  store: SqlStore,
  { readOnly }: Inspection,
  add: (about: string, level: Finding["level"], message: string) => void,
): Promise<void> {
  if (readOnly) add("Writing", "problem", "the database takes no writes: it is a standby, or read-only.");
  else {
    try {
      // A lease is taken and given back: the only write that touches no session.
      const holder = randomUUID();
      const now = Date.now();
      await store.lease("check", holder, now + 1_000, now);
      await store.lease("check", holder, 0, now);
      add("Writing", "good", "this role may write");
    } catch (error) {
      if (!(error instanceof StoredSessionError)) throw error;
      add("Writing", "problem", error.message);
    }
  }
  const records = recordsOf(configuration.sessions as never);
  const { format } = records.settings;
  if (format.keyNames === undefined || format.sealedUnder === undefined) return;
  const rows = await store.scan(null, 1_000);
  const strange = rows
    .map((row) => format.sealedUnder!(row).data)
    .filter((key) => key === null || !format.keyNames!.includes(key));
  if (strange.length > 0) {
    const keys = [...new Set(strange)].map((key) => key ?? "no envelope").join(", ");
    add(
      "Rows",
      "problem",
      `of ${plural(rows.length, "row")} looked at, ${strange.length} are under keys that are not in the ring (${keys}): these users are logged out. Add the key at the end of the ring.`,
    );
  } else if (rows.length > 0) add("Rows", "good", `the keys fit the ${plural(rows.length, "row")} looked at`);
  checkOpening(records, rows, add);
}

/** Keys can be right and rows closed all the same. */
function checkOpening(
  records: Records,
  rows: readonly SessionRow[],
  add: (about: string, level: Finding["level"], message: string) => void,
): void {
  const refusals = rows.map((row) => refusalOf(records, row)).filter((refusal) => refusal?.reason !== "key");
  const refused = refusals.filter((refusal) => refusal !== null);
  if (refused.length === 0) return;
  add(
    "Rows",
    refused.length === refusals.length ? "problem" : "warning",
    `of ${plural(refusals.length, "row")} under these keys, ${refused.length} do not open. ${refused[0]!.message} ${otherSettings}`,
  );
}

function checkDurability(
  { durability, largestStatement }: Inspection,
  add: (about: string, level: Finding["level"], message: string) => void,
): void {
  for (const { name, value, weakness } of durability) {
    if (weakness !== null) add("Durability", "warning", `${name}=${value}: ${weakness}.`);
  }
  if (durability.length > 0 && durability.every(({ weakness }) => weakness === null)) {
    add("Durability", "good", durability.map(({ name, value }) => `${name}=${value}`).join(", "));
  }
  if (largestStatement !== null) {
    // A session of maxBytes goes into one statement with room to spare for the rest of its row.
    const needed = 1_048_576 + 65_536;
    if (largestStatement < needed) {
      add(
        "Packets",
        "warning",
        `max_allowed_packet=${bytes(largestStatement)} is too small for a session of 1 MiB, the default of maxBytes: raise it, or lower maxBytes.`,
      );
    } else add("Packets", "good", `max_allowed_packet=${bytes(largestStatement)}`);
  }
}

function lines(findings: readonly Finding[], terminal: Terminal): string[] {
  const style = paint(terminal);
  const marks = {
    good: style("green", "✓"),
    warning: style("yellow", "!"),
    problem: style("red", "✗"),
  };
  const rows = table(
    ["", ""],
    findings.map(({ about, message }) => [about, message]),
  ).slice(1);
  return rows.map((row, index) => `${marks[findings[index]!.level]} ${row}`);
}
