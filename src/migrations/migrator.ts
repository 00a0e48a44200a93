import { MigrationError, NotMigratedError, TableError } from "../errors.ts";
import { sessions } from "./0001-sessions.ts";
import { checksumOf, statementsOf } from "./migration.ts";
import { gapsIn, isOurs } from "./shape.ts";
import type { Database, Dialect, JournalEntry, Run } from "../database/dialect.ts";
import type { Migration } from "./migration.ts";
import type { Gap } from "./shape.ts";

/**
 * Creates or upgrades the tables of a store. Run it once before the first start and after an update of the
 * package; running it again does nothing, unless a table or an index went missing, which it then makes again. Many
 * processes may run it at once.
 *
 * @param store what sqliteStore, postgresStore, mysqlStore or memoryStore answered
 */
export async function migrate(store: { migrate(): Promise<void> }): Promise<void> {
  await store.migrate();
}

/** Every migration there is, in order. */
export const MIGRATIONS: readonly Migration[] = [sessions];

/** A migration that has not run on a database, with the SQL it would run there. */
export interface PendingMigration {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly statements: readonly string[];
}

export interface MigrationStatus {
  readonly applied: readonly JournalEntry[];
  readonly pending: readonly PendingMigration[];
  /** Tables and indexes that the journal says are there and that are not: `migrate` makes them again. */
  readonly missing: readonly string[];
  /** The SQL that makes them again; it does nothing to what is there. */
  readonly repair: readonly string[];
}

/**
 * Brings the tables of `database` to the shape of this version, under the database's own lock, and writes what
 * was done into the journal. Does nothing when nothing is pending or missing.
 *
 * Rejects with a MigrationError when the journal and this version disagree, and with a TableError when a table
 * of another shape has the name; nothing is changed then. With a TableError as well when something is still missing
 * afterwards.
 */
export async function migrateDatabase(
  database: Database,
  options: { readonly now?: number } = {},
): Promise<void> {
  // Looked up without the lock first: a process that starts where nothing is to do waits for nobody.
  const { pending: toDo, missing } = await migrationStatus(database);
  if (toDo.length === 0 && missing.length === 0) return;
  await database.exclusively(async (run) => {
    const { dialect } = database;
    const { pending } = await statusOf(dialect, run);
    if (pending.length > 0) await run(dialect.journal.create());
    for (const { version, name, checksum, statements } of pending) {
      for (const text of statements) await run({ text, values: [], writes: true });
      await run(dialect.journal.add({ version, name, checksum, appliedAt: options.now ?? Date.now() }));
    }
    await makeWhole(dialect, run);
  });
}

/** What has run and what has not, without changing anything. Rejects as {@link migrateDatabase} does. */
export async function migrationStatus(database: Database): Promise<MigrationStatus> {
  return await statusOf(database.dialect, database.run);
}

/** What `migrate` would run, for those who apply SQL with their own tool. */
export async function pendingMigrations(database: Database): Promise<readonly PendingMigration[]> {
  return (await migrationStatus(database)).pending;
}

/**
 * Rejects with a NotMigratedError when something is pending or a table is missing. Without an index everything works,
 * slowly, so that is left to `check`.
 */
export async function assertMigrated(database: Database): Promise<void> {
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
      `The tables of ${table} are not whole: ${lost.what} is missing. Run migrate(store) once, or "stored-session migrate", which makes it again, empty.`,
    );
  }
}

async function statusOf(dialect: Dialect, run: Run): Promise<MigrationStatus> {
  const { applied, pending, gaps } = await lookAt(dialect, run);
  return { applied, pending, missing: gaps.map(({ what }) => what), repair: repairOf(dialect, gaps) };
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
  // Tables that are there without a journal are adopted when their columns are ours, and otherwise left alone.
  if (applied.length === 0)
    for (const table of ["sessions", "leases"] as const) await isOurs(dialect, run, table);
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
      `Migration ${entry.version} (${known.name}) was applied to ${table} with another text than this version holds: the journal says ${entry.checksum.slice(0, 12)}…, the package ${checksum.slice(0, 12)}…. One of them was edited; restore it. Nothing was changed.`,
    );
  }
}

/** Every statement does nothing where its object is there, so all of them run again. */
function repairOf(dialect: Dialect, gaps: readonly Gap[]): readonly string[] {
  if (gaps.length === 0) return [];
  const statements = MIGRATIONS.flatMap((migration) => statementsOf(migration, dialect));
  return [...statements, ...gaps.flatMap(({ add }) => (add ? [add.text] : []))];
}

/** Makes what is missing, also of tables that were adopted or whose indexes' names another table has. */
async function makeWhole(dialect: Dialect, run: Run): Promise<void> {
  const gaps = await gapsIn(dialect, run);
  if (gaps.length === 0) return;
  for (const text of repairOf(dialect, gaps)) await run({ text, values: [], writes: true });
  const left = await gapsIn(dialect, run);
  if (left.length === 0) return;
  const { sessions: table, userIndex, expiryIndex } = dialect.names;
  throw new TableError(
    `The table ${table} lacks ${left.map(({ what }) => what).join(" and ")}, and could not be given it. A table that was renamed keeps the names of its indexes: if another table has ${userIndex} or ${expiryIndex}, drop these or rename them (ALTER INDEX … RENAME TO …), then migrate again. A table made by another tool needs id as its primary key.`,
  );
}

async function readJournal(dialect: Dialect, run: Run): Promise<JournalEntry[]> {
  if (!(await isOurs(dialect, run, "migrations"))) return [];
  const { rows } = await run(dialect.journal.read());
  return rows.map((row) => ({
    version: Number(row["version"]),
    name: String(row["name"]),
    checksum: String(row["checksum"]),
    appliedAt: Number(row["applied_at"]),
  }));
}
