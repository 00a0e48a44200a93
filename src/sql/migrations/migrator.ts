import { MigrationError, NotMigratedError, TableError } from "../../errors.ts";
import { sessions } from "./0001-sessions.ts";
import { audit } from "./0002-audit.ts";
import { links } from "./0003-links.ts";
import { integerIn, textIn } from "../columns.ts";
import { checksumOf, statementsOf } from "./migration.ts";
import { gapsIn, isOurs } from "./schema-check.ts";
import { MADE } from "../table-shape.ts";
import type { Database, Dialect, JournalEntry, Run } from "../dialect.ts";
import type { Migration } from "./migration.ts";
import type { Gap } from "./schema-check.ts";

/** All migrations, in order. */
export const MIGRATIONS: readonly Migration[] = [sessions, audit, links];

/** A migration that is pending on a database, with the SQL it would run. */
export interface PendingMigration {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly statements: readonly string[];
}

export interface MigrationStatus {
  readonly applied: readonly JournalEntry[];
  readonly pending: readonly PendingMigration[];
  /** Tables and indexes that are missing although the journal says that they exist. */
  readonly missing: readonly string[];
  /** The SQL that recreates them, except those with an obstacle. It does not change existing objects. */
  readonly repair: readonly string[];
  /** Why missing objects cannot be created, and what to do about it. */
  readonly obstacles: readonly string[];
  /** Whether the sessions table is missing. A recreated one is empty, which logs out every user. */
  readonly lost: boolean;
}

export interface MigrateOptions {
  readonly now?: number;
  /**
   * Whether to recreate missing objects that the journal says exist. Do not use this at the start of an application: a
   * backup may be about to restore the object, and creating an index blocks writers. Default false.
   */
  readonly repair?: boolean;
  /** Whether the sessions table may be recreated too, empty. Default false. */
  readonly empty?: boolean;
}

/** What this call did, excluding the work of other processes that migrated at the same time. */
export interface MigrateResult {
  readonly applied: readonly PendingMigration[];
  /** Missing tables and indexes that were created. */
  readonly recreated: readonly string[];
}

/**
 * Migrates the tables of `database` to this version, holding the migration lock, and records each migration in the
 * journal. Does nothing if nothing is pending and, with `repair`, nothing is missing.
 *
 * Rejects with a MigrationError if the journal and this version disagree, or if the sessions table would have to be
 * recreated without `empty`; with a TableError if a table of that name has other columns, or a missing object cannot be
 * created. Nothing is changed in these cases.
 */
export async function migrateDatabase(
  database: Database,
  options: MigrateOptions = {},
): Promise<MigrateResult> {
  const { dialect } = database;
  await database.locate?.();
  // Check without the lock first, so that a process without pending migrations does not wait.
  const found = await lookAt(dialect, database.run);
  if (found.pending.length === 0 && !(options.repair && found.gaps.length > 0)) {
    return { applied: [], recreated: [] };
  }
  assertRepairable(dialect, found.gaps, options);
  return await database.exclusively(async (run) => {
    const { applied, pending } = await lookAt(dialect, run);
    if (pending.length > 0) await run(dialect.journal.create());
    for (const { statements } of pending) {
      for (const text of statements) await run({ text, values: [], writes: true });
    }
    // Applies to tables created by other tools too. Do this before writing the journal, so that a failure repeats at
    // the next start even if the database cannot roll back.
    const mends = applied.length === 0 || options.repair;
    const gaps = mends ? await makeWhole(dialect, run, options) : [];
    for (const { version, name, checksum } of pending) {
      await run(dialect.journal.add({ version, name, checksum, appliedAt: options.now ?? Date.now() }));
    }
    return { applied: pending, recreated: gaps.map(({ what }) => what) };
  });
}

/**
 * Returns which migrations have run and which are pending, without changing anything. Rejects like {@link
 * migrateDatabase}.
 */
export async function migrationStatus(database: Database): Promise<MigrationStatus> {
  await database.locate?.();
  const { applied, pending, gaps } = await lookAt(database.dialect, database.run);
  return {
    applied,
    pending,
    missing: gaps.map(({ what }) => what),
    repair: repairOf(database.dialect, gaps),
    obstacles: obstaclesOf(gaps),
    lost: isLost(gaps),
  };
}

/** Returns the SQL that `migrate` would run, for users who apply SQL with their own tool. */
export async function pendingMigrations(database: Database): Promise<readonly PendingMigration[]> {
  return (await migrationStatus(database)).pending;
}

/**
 * Rejects with a NotMigratedError if a migration is pending or a table is missing. A missing index only makes
 * statements slower, so `check` reports it instead.
 */
export async function assertMigrated(database: Database): Promise<void> {
  await database.locate?.();
  const { dialect, run } = database;
  const { sessions: table } = dialect.names;
  const { pending, gaps } = await lookAt(dialect, run);
  const [first] = pending;
  if (first) {
    throw new NotMigratedError(
      `The tables of ${table} are not at the version of this package: migration ${first.version} (${first.name}) is pending. Run migrate(store) once, or "stored-session migrate".`,
    );
  }
  const lost = gaps.find(({ kind }) => kind === "table");
  if (lost) {
    throw new NotMigratedError(
      `The tables of ${table} are incomplete: ${lost.what} is missing. Restore it from a backup, or run "stored-session migrate" to recreate it (a missing table comes back empty).`,
    );
  }
}

interface Found extends Pick<MigrationStatus, "applied" | "pending"> {
  readonly gaps: readonly Gap[];
}

async function lookAt(dialect: Dialect, run: Run): Promise<Found> {
  const applied = await readJournal(dialect, run);
  for (const entry of applied) assertKnown(entry, dialect);
  const versions = new Set(applied.map(({ version }) => version));
  const pending = MIGRATIONS.filter(({ version }) => !versions.has(version)).map((migration) => ({
    version: migration.version,
    name: migration.name,
    checksum: checksumOf(migration, dialect.name),
    statements: statementsOf(migration, dialect),
  }));
  // Tables without a journal are adopted if they have our columns, and otherwise left alone.
  for (const { version } of pending)
    for (const table of MADE[version] ?? []) await isOurs(dialect, run, table);
  return { applied, pending, gaps: pending.length === 0 ? await gapsIn(dialect, run) : [] };
}

function assertKnown(entry: JournalEntry, dialect: Dialect): void {
  const { sessions: table } = dialect.names;
  const known = MIGRATIONS.find(({ version }) => version === entry.version);
  if (!known) {
    throw new MigrationError(
      `The tables of ${table} are newer than this version of stored-session: migration ${entry.version} (${entry.name}) is not known to it. Update the package.`,
    );
  }
  const checksum = checksumOf(known, dialect.name);
  if (checksum !== entry.checksum || known.name !== entry.name) {
    throw new MigrationError(
      `Migration ${entry.version} (${known.name}) was applied to ${table} with different SQL than in this version: the journal says ${entry.checksum.slice(0, 12)}…, the package ${checksum.slice(0, 12)}…. One of them was edited: restore it. Nothing was changed.`,
    );
  }
}

/** Only the statements that create missing objects. Existing tables are not altered. */
function repairOf(dialect: Dialect, gaps: readonly Gap[]): readonly string[] {
  return gaps
    .filter(({ obstacle }) => obstacle === undefined)
    .flatMap(({ object, add }) =>
      add ? [add.text] : MIGRATIONS.flatMap((migration) => statementsOf(migration, dialect, object)),
    );
}

function obstaclesOf(gaps: readonly Gap[]): readonly string[] {
  return gaps.flatMap(({ obstacle }) => obstacle ?? []);
}

function isLost(gaps: readonly Gap[]): boolean {
  return gaps.some(({ kind, object }) => kind === "table" && object === "sessions");
}

function assertRepairable(dialect: Dialect, gaps: readonly Gap[], { empty }: MigrateOptions): void {
  const { sessions: table } = dialect.names;
  if (isLost(gaps) && !empty) {
    throw new MigrationError(
      `According to the migration journal, the table ${table} exists, but it is missing. Restore it or undo its renaming, or run "stored-session migrate --yes" to create an empty one, which logs out every user. Nothing was changed.`,
    );
  }
  const obstacles = obstaclesOf(gaps);
  if (obstacles.length > 0) {
    throw new TableError(
      `The table ${table} lacks ${whatOf(gaps)}. ${obstacles.join(" ")} Then run the migration again.`,
    );
  }
}

/**
 * Creates missing objects, including those of adopted tables and those whose index names are taken by another table.
 */
async function makeWhole(dialect: Dialect, run: Run, options: MigrateOptions): Promise<readonly Gap[]> {
  const gaps = await gapsIn(dialect, run);
  if (gaps.length === 0) return [];
  assertRepairable(dialect, gaps, options);
  const impatience = dialect.impatience?.();
  if (impatience) await run(impatience);
  for (const text of repairOf(dialect, gaps)) await run({ text, values: [], writes: true });
  const left = await gapsIn(dialect, run);
  if (left.length === 0) return gaps;
  const { sessions: table, userIndex, expiryIndex } = dialect.names;
  throw new TableError(
    `The table ${table} lacks ${whatOf(left)}, and it could not be added. A renamed table keeps the names of its indexes: if another index is named ${userIndex} or ${expiryIndex}, drop or rename it (ALTER INDEX … RENAME TO …), then run the migration again.`,
  );
}

function whatOf(gaps: readonly Gap[]): string {
  return gaps.map(({ what }) => what).join(" and ");
}

async function readJournal(dialect: Dialect, run: Run): Promise<JournalEntry[]> {
  if (!(await isOurs(dialect, run, "migrations"))) return [];
  const { rows } = await run(dialect.journal.read());
  return rows.map((row) => ({
    version: integerIn(row, "version"),
    name: textIn(row, "name"),
    checksum: textIn(row, "checksum"),
    appliedAt: integerIn(row, "applied_at"),
  }));
}
