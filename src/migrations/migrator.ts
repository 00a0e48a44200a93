import { MigrationError, NotMigratedError, TableError } from "../errors.ts";
import { sessions } from "./0001-sessions.ts";
import { checksumOf, statementsOf } from "./migration.ts";
import type { Database, Dialect, JournalEntry, Run } from "../database/dialect.ts";
import type { Migration } from "./migration.ts";

/**
 * Creates or upgrades the tables of a store. Run it once before the first start and after an update of the
 * package; running it again does nothing, and many processes may run it at once.
 *
 * @param store what sqliteStore, postgresStore, mysqlStore or memoryStore answered
 */
export async function migrate(store: { migrate(): Promise<void> }): Promise<void> {
  await store.migrate();
}

/** Every migration there is, in order. */
export const MIGRATIONS: readonly Migration[] = [sessions];

/** The columns of the sessions table that the first migration makes. */
export const COLUMNS: readonly string[] = [
  "id",
  "data",
  "version",
  "user_ref",
  "created_at",
  "updated_at",
  "absolute_expires_at",
  "expires_at",
  "expires_bucket",
  "client",
];

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
}

/**
 * Brings the tables of `database` to the shape of this version, under the database's own lock, and writes what
 * was done into the journal. Does nothing when nothing is pending.
 *
 * Rejects with a MigrationError when the journal and this version disagree, and with a TableError when a table
 * of another shape has the name; nothing is changed then.
 */
export async function migrateDatabase(
  database: Database,
  options: { readonly now?: number } = {},
): Promise<void> {
  // Looked up without the lock first: a process that starts where nothing is pending waits for nobody.
  if ((await migrationStatus(database)).pending.length === 0) return;
  await database.exclusively(async (run) => {
    const { dialect } = database;
    const { applied, pending } = await statusOf(dialect, run);
    if (pending.length === 0) return;
    if (applied.length === 0) await assertShape(dialect, run);
    await run(dialect.journal.create());
    for (const { version, name, checksum, statements } of pending) {
      for (const text of statements) await run({ text, values: [], writes: true });
      await run(dialect.journal.add({ version, name, checksum, appliedAt: options.now ?? Date.now() }));
    }
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

/** Rejects with a NotMigratedError when something is pending. */
export async function assertMigrated(database: Database): Promise<void> {
  const [first] = await pendingMigrations(database);
  if (!first) return;
  throw new NotMigratedError(
    `The tables of ${database.dialect.names.sessions} are not at the version of this package: migration ${first.version} (${first.name}) is pending. Run migrate(store) once, or "stored-session migrate".`,
  );
}

async function statusOf(dialect: Dialect, run: Run): Promise<MigrationStatus> {
  const applied = await readJournal(dialect, run);
  for (const entry of applied) {
    const known = MIGRATIONS.find(({ version }) => version === entry.version);
    if (!known) {
      throw new MigrationError(
        `The tables of ${dialect.names.sessions} are newer than this version of stored-session: migration ${entry.version} (${entry.name}) is not known to it. Update the package.`,
      );
    }
    const checksum = checksumOf(known, dialect.name);
    if (checksum !== entry.checksum || known.name !== entry.name) {
      throw new MigrationError(
        `Migration ${entry.version} (${known.name}) was applied to ${dialect.names.sessions} with another text than this version holds: the journal says ${entry.checksum.slice(0, 12)}…, the package ${checksum.slice(0, 12)}…. One of them was edited; restore it. Nothing was changed.`,
      );
    }
  }
  const versions = new Set(applied.map(({ version }) => version));
  const pending = MIGRATIONS.filter(({ version }) => !versions.has(version)).map((migration) => ({
    version: migration.version,
    name: migration.name,
    checksum: checksumOf(migration, dialect.name),
    statements: statementsOf(migration, dialect),
  }));
  return { applied, pending };
}

async function readJournal(dialect: Dialect, run: Run): Promise<JournalEntry[]> {
  if ((await run(dialect.columns("migrations"))).rows.length === 0) return [];
  const { rows } = await run(dialect.journal.read());
  return rows.map((row) => ({
    version: Number(row["version"]),
    name: String(row["name"]),
    checksum: String(row["checksum"]),
    appliedAt: Number(row["applied_at"]),
  }));
}

/** A table that is there without a journal is adopted when its columns are ours, and otherwise left alone. */
async function assertShape(dialect: Dialect, run: Run): Promise<void> {
  const { rows } = await run(dialect.columns("sessions"));
  if (rows.length === 0) return;
  const found = new Set(rows.map(({ name }) => String(name)));
  if (COLUMNS.every((column) => found.has(column))) return;
  throw new TableError(
    `A table ${dialect.names.sessions} exists with another shape: it has ${[...found].join(", ")}. Give the store another name with the option "table", or rename that table. Nothing was changed.`,
  );
}
