import { randomBytes, randomUUID } from "node:crypto";
import type { Command } from "commander";
import type { Database } from "../../sql/dialect.ts";
import { durabilityWarningsIn } from "../../sql/durability.ts";
import { inspectDatabase, type Inspection } from "../../sql/inspect.ts";
import { OptionsError, StoredSessionError } from "../../errors.ts";
import { migrationStatus } from "../../sql/migrations/migrator.ts";
import { recordsOf, settingsOf } from "../../manager.ts";
import { SqlStore } from "../../sql/sql-store.ts";
import type { SessionStore } from "../../store/contract.ts";
import { checkRows, checkTimesOf, type Add, type Finding } from "../check-rows.ts";
import { configure, databaseOf, type CommonOptions, type Configuration } from "../configuration.ts";
import { explain, Failure } from "../failure.ts";
import { table } from "../format.ts";
import { plural, span } from "../../shared/wording.ts";
import { judgePackets } from "../packets.ts";
import { wrapped, type Terminal } from "../terminal.ts";
import { assertFile, paint, report, reporting } from "../work.ts";

/** Clocks of servers that differ by more make sessions end at different times on each. */
const clockTolerance = 5_000;

export function checkCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("check")
      .description("check options, keys, database, tables and durability before there is traffic")
      .option("--quick", "read no sessions: for readiness probes")
      .option("--strict", "fail on warnings as well"),
  ).action(async (options: CheckOptions) => {
    const findings = await check(terminal, options);
    const worst = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length;
    const problems = worst("problem");
    const warnings = worst("warning");
    const ok = problems === 0 && !(options.strict && warnings > 0);
    report(terminal, options, { ok, findings }, () => lines(findings, terminal));
    if (!ok) throw new Failure(`${plural(problems, "problem")}, ${plural(warnings, "warning")}.`);
  });
}

interface CheckOptions extends CommonOptions {
  strict?: boolean;
  quick?: boolean;
}

async function check(terminal: Terminal, options: CheckOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  const add: Add = (about, level, message) => findings.push({ about, level, message });
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
    const database = databaseOf(store);
    if (database !== null) await checkDatabase(configuration, database, options, add);
    else await checkUnknown(store, add);
  } catch (error) {
    if (!(error instanceof StoredSessionError || error instanceof Failure)) throw error;
    add("Database", "problem", explain(error).message!);
  } finally {
    await configuration.close().catch(() => {});
  }
  return findings;
}

/** A store that is not of this package: that it answers is all that can be tried. */
async function checkUnknown(store: SessionStore, add: Add): Promise<void> {
  try {
    await store.scan(null, 1);
    add("Database", "warning", "the store answers, but it is no SQL store: what it keeps is not known here");
  } catch (error) {
    add("Database", "problem", explain(error).message ?? String(error));
  }
}

async function checkDatabase(
  configuration: Configuration,
  database: Database,
  options: CheckOptions,
  add: Add,
): Promise<void> {
  const { store } = configuration;
  assertFile(database);
  const began = performance.now();
  const before = Date.now();
  const inspection = await inspectDatabase(database);
  const took = performance.now() - began;
  add("Database", "good", `${inspection.server}, answers in ${Math.max(1, Math.round(took))} ms`);
  const { ownersSettings } = inspection;
  if (ownersSettings.length > 0) {
    add(
      "Settings",
      "good",
      `the application's pool or handle has ${ownersSettings.join(", ")}; the store's statements are immune to it`,
    );
  }
  try {
    if (store instanceof SqlStore) await checkTables(configuration, store, inspection, options, add);
    else {
      // Rails' table, whose shape and rows its store knows.
      await store.scan(null, 1);
      add("Tables", "good", `the table ${database.dialect.names.sessions} is that of the gem`);
      if (inspection.readOnly) add("Writing", "problem", TAKES_NO_WRITES);
    }
  } catch (error) {
    if (!(error instanceof StoredSessionError)) throw error;
    add("Tables", "problem", error.message);
  }
  checkDurability(inspection, add);
  checkLayout(inspection, add);
  checkPackets(configuration, inspection, add);
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

async function checkTables(
  configuration: Configuration,
  store: SqlStore,
  inspection: Inspection,
  { quick = false }: CheckOptions,
  add: Add,
): Promise<void> {
  const { applied, pending, missing, obstacles } = await migrationStatus(store.database);
  if (pending.length > 0) {
    add("Tables", "problem", `${plural(pending.length, "migration")} pending. Run "stored-session migrate".`);
    return;
  }
  if (missing.length > 0) {
    const what = missing.join(", ");
    const remedy =
      obstacles.length > 0
        ? obstacles.join(" ")
        : 'Run "stored-session migrate" to recreate it (a missing table comes back empty).';
    add("Tables", "problem", `missing: ${what}. ${remedy}`);
    return;
  }
  add("Tables", "good", `at version ${applied.at(-1)?.version ?? 0}, as this package needs them`);
  await checkWriting(store, inspection, add);
  if (quick) return;
  await checkRows(configuration, store, add);
  await checkTimesOf(store, recordsOf(configuration.sessions as never).now(), add);
}

const TAKES_NO_WRITES = "the database takes no writes: it is a standby, or read-only.";

async function checkWriting(store: SqlStore, { readOnly }: Inspection, add: Add): Promise<void> {
  if (readOnly) return add("Writing", "problem", TAKES_NO_WRITES);
  try {
    // A lease is taken and given back.
    const holder = randomUUID();
    const now = Date.now();
    await store.lease("check", holder, now + 1_000, now);
    await store.lease("check", holder, 0, now);
    await writeNothing(store.database);
    add("Writing", "good", "this role may write");
  } catch (error) {
    if (!(error instanceof StoredSessionError)) throw error;
    add("Writing", "problem", error.message);
  }
}

/** A row is added, changed and deleted, in a transaction that is rolled back. */
async function writeNothing(database: Database): Promise<void> {
  const { dialect } = database;
  const id = randomBytes(dialect.idBytes);
  const times = { createdAt: 0, updatedAt: 0, absoluteExpiresAt: 0, expiresAt: 0 };
  const row = { id, data: new Uint8Array(1), version: 1, userRef: null, client: null, ...times };
  const statements = [
    ...dialect.insert([row]),
    ...dialect.update([{ loaded: row, next: { ...row, version: 2 } }]),
    ...dialect.delete([id]),
  ];
  const last = statements.pop()!;
  // More than any statement changes, so that the transaction is rolled back.
  await database.transaction([...statements, { ...last, atLeast: Infinity }]);
}

function checkDurability({ durability }: Inspection, add: Add): void {
  const durabilityWarnings = durabilityWarningsIn(durability);
  for (const durabilityWarning of durabilityWarnings) add("Durability", "warning", durabilityWarning);
  if (durability.length > 0 && durabilityWarnings.length === 0) {
    add("Durability", "good", durability.map(({ name, value }) => `${name}=${value}`).join(", "));
  }
}

/** A batch goes to one shard, so it shrinks with their number. */
const SHARDS_PER_WORKER = 8;

function checkLayout({ layout }: Inspection, add: Add): void {
  if (!layout) return;
  const { shards, workers } = layout;
  if (shards === 0) {
    add(
      "Shards",
      "warning",
      "Citus is installed, but the sessions table is not distributed: it is on the coordinator alone. Run create_distributed_table on it (docs/scaling.md).",
    );
    return;
  }
  const message = `${plural(shards, "shard")} on ${plural(workers, "worker")}`;
  if (shards <= SHARDS_PER_WORKER * Math.max(1, workers)) add("Shards", "good", message);
  else
    add(
      "Shards",
      "warning",
      `${message}. A batch goes to one shard, so many shards make small batches and many statements. ${SHARDS_PER_WORKER} shards per worker or fewer are faster (docs/scaling.md).`,
    );
}

function checkPackets(configuration: Configuration, { largestStatement }: Inspection, add: Add): void {
  if (largestStatement === null) return;
  const { maxSealedBytes = 0 } = settingsOf(configuration.sessions as never).format;
  const { level, message } = judgePackets(largestStatement, maxSealedBytes);
  add("Packets", level, message);
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
  const indent = 4 + Math.max(...findings.map(({ about }) => about.length));
  return rows.map((row, index) => wrapped(terminal.out, `${marks[findings[index]!.level]} ${row}`, indent));
}
