import { DatabaseSync } from "node:sqlite";
import { afterEach, describe, expect, test } from "vitest";
import { MigrationError, NotMigratedError, TableError } from "../../errors.ts";
import { sqliteDialect } from "../sqlite/dialect.ts";
import { PostgresDialect } from "../postgres/dialect.ts";
import { SqliteDatabase } from "../sqlite/driver.ts";
import { namesOf } from "../names.ts";
import { checksumOf, statementsOf } from "./migration.ts";
import { sessions } from "./0001-sessions.ts";
import {
  assertMigrated,
  migrateDatabase,
  MIGRATIONS,
  migrationStatus,
  pendingMigrations,
} from "./migrator.ts";

/** What stands in journals everywhere. A red test here means: restore the text and write a further migration. */
const FROZEN: Readonly<Record<string, string>> = {
  "1 sqlite": "84c81445808db9755de709351d3ffae5c69aa14a1b9d38e28d7c2f10a724afff",
  "1 postgres": "25307dde2478899f47be790c721b27b015d0ba9df0f5635ecf3f32ee86e17d4b",
  "1 mysql": "f48fcb5192a0e1c3728b148a54e956db904cb045f5725acd67202d217a86097a",
  "1 mariadb": "f48fcb5192a0e1c3728b148a54e956db904cb045f5725acd67202d217a86097a",
  "2 sqlite": "3efbef89c1f4571c3750bb22f0b6b4b6a7d1847c6e1a9597a93d0ffc386ae4fc",
  "2 postgres": "23673d07b0d9f9cfa6845202e362a0bec96bda8d6f537359bded4a03b32bc0b8",
  "2 mysql": "5ff7686a588019a8a6355c987df84708c51aff95e83cdde65a7ba74e965b4a82",
  "2 mariadb": "5ff7686a588019a8a6355c987df84708c51aff95e83cdde65a7ba74e965b4a82",
  "3 sqlite": "eb7b2efac27bcf3ba59a3ecad2aac8608d3fc1ce94ed2b224f24ed47bd73b7ae",
  "3 postgres": "2816a9a10a3d74fba65327b78ca34ae0f3c9aa689e7e2e771eee2bc58336fdc8",
  "3 mysql": "d8a22a3355d85abc32b509f1b093eacd5234d9ca27f7b6d3e31c41c88830eec6",
  "3 mariadb": "d8a22a3355d85abc32b509f1b093eacd5234d9ca27f7b6d3e31c41c88830eec6",
};

const names = namesOf(undefined, (identifier) => `"${identifier}"`, { schemas: false });
let handle = new DatabaseSync(":memory:");
const open = (): SqliteDatabase =>
  new SqliteDatabase({ names, open: () => handle, owned: false, label: "the database", busyTimeout: 100 });

const objects = (): string[] =>
  handle
    .prepare("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
    .all()
    .map(({ name }) => String(name));

/** Everything that the migrations make, with the journal. */
const whole = [
  "stored_sessions",
  "stored_sessions_audit",
  "stored_sessions_audit_checkpoints",
  "stored_sessions_audit_days",
  "stored_sessions_audit_event",
  "stored_sessions_audit_session",
  "stored_sessions_audit_subject",
  "stored_sessions_audit_subjects",
  "stored_sessions_audit_time",
  "stored_sessions_audit_user",
  "stored_sessions_expires_bucket",
  "stored_sessions_leases",
  "stored_sessions_link",
  "stored_sessions_links",
  "stored_sessions_migrations",
  "stored_sessions_user_ref",
];

afterEach(() => {
  handle = new DatabaseSync(":memory:");
});

describe("frozen texts", () => {
  test.each(Object.keys(FROZEN))("migration %s → its checksum is pinned", (key) => {
    const [version, dialect] = key.split(" ");
    const migration = MIGRATIONS.find((candidate) => candidate.version === Number(version));
    expect(migration && checksumOf(migration, dialect as "sqlite")).toBe(FROZEN[key]);
  });

  test("migration texts → unchanged", () => {
    for (const { version, texts } of MIGRATIONS) {
      for (const [dialect, statements] of Object.entries(texts)) {
        if (statements.length) expect(FROZEN).toHaveProperty([`${version} ${dialect}`]);
      }
    }
  });

  test("versions → 1, 2, 3 … without gaps", () => {
    expect(MIGRATIONS.map(({ version }) => version)).toEqual(MIGRATIONS.map((_, index) => index + 1));
  });

  test("words in braces → replaced by the table names", () => {
    const other = sqliteDialect(namesOf("web", (identifier) => `"${identifier}"`, { schemas: false }));
    const texts = statementsOf(sessions, other).join("\n");
    expect(texts).not.toMatch(/[{}]/);
    expect(texts).toContain('"web_leases"');
    expect(texts).toContain('"web_expires_bucket" ON "web"');
  });
});

describe("migrating", () => {
  test("an empty database → tables and journal; a second run → no change", async () => {
    const database = open();
    expect(await pendingMigrations(database)).toMatchObject([
      { version: 1, name: "sessions" },
      { version: 2, name: "audit" },
      { version: 3, name: "links" },
    ]);
    await expect(assertMigrated(database)).rejects.toThrow(NotMigratedError);
    expect(objects(), "looking changes nothing").toEqual([]);

    await migrateDatabase(database, { now: 1_234 });
    expect(objects()).toEqual(whole);
    const applied = MIGRATIONS.map((migration) => ({
      version: migration.version,
      name: migration.name,
      checksum: checksumOf(migration, "sqlite"),
      appliedAt: 1_234,
    }));
    expect(await migrationStatus(database)).toEqual({
      applied,
      pending: [],
      missing: [],
      repair: [],
      obstacles: [],
      lost: false,
    });
    await assertMigrated(database);
    await migrateDatabase(database, { now: 9_999 });
    expect((await migrationStatus(database)).applied).toEqual(applied);
  });

  test("concurrent migrations in one process → all succeed", async () => {
    const database = open();
    await Promise.all(Array.from({ length: 10 }, () => migrateDatabase(database)));
    expect((await migrationStatus(database)).applied).toHaveLength(MIGRATIONS.length);
  });

  test("the reported SQL → the SQL that runs", async () => {
    const database = open();
    for (const { statements } of await pendingMigrations(database)) {
      for (const text of statements) handle.exec(text);
    }
    await migrateDatabase(database);
    expect((await migrationStatus(database)).applied).toHaveLength(MIGRATIONS.length);
  });

  test("an applied migration with another text → refused, and nothing is changed", async () => {
    const database = open();
    await migrateDatabase(database);
    handle.exec("UPDATE stored_sessions_migrations SET checksum = 'edited'");
    await expect(migrateDatabase(database)).rejects.toThrow(MigrationError);
    await expect(migrateDatabase(database)).rejects.toThrow(/with different SQL/);
  });

  test("tables newer than the package → refused", async () => {
    const database = open();
    await migrateDatabase(database);
    handle.exec("INSERT INTO stored_sessions_migrations VALUES (99, 'later', 'x', 0)");
    await expect(migrateDatabase(database)).rejects.toThrow(/Update the package/);
    await expect(migrationStatus(database)).rejects.toThrow(MigrationError);
  });

  test("a table with other columns → unchanged", async () => {
    handle.exec(
      "CREATE TABLE stored_sessions (sid TEXT PRIMARY KEY, sess TEXT); INSERT INTO stored_sessions VALUES ('a', 'b')",
    );
    await expect(migrateDatabase(open())).rejects.toThrow(TableError);
    expect(objects()).toEqual(["stored_sessions"]);
    expect(handle.prepare("SELECT * FROM stored_sessions").all()).toHaveLength(1);
    // Fails within a transaction. Node 22.13 has no `isTransaction`.
    handle.exec("BEGIN; ROLLBACK");
  });

  test("a journal with other columns → not changed", async () => {
    handle.exec("CREATE TABLE stored_sessions_migrations (id INTEGER, batch INTEGER)");
    await expect(migrationStatus(open())).rejects.toThrow(
      /"stored_sessions_migrations" exists with other columns/,
    );
    await expect(migrateDatabase(open())).rejects.toThrow(TableError);
    expect(objects()).toEqual(["stored_sessions_migrations"]);
  });

  test("status of a table with other columns → says so, and announces no migration", async () => {
    handle.exec("CREATE TABLE stored_sessions (sid TEXT)");
    for (const look of [migrationStatus, pendingMigrations, assertMigrated]) {
      await expect(look(open())).rejects.toThrow(TableError);
    }
  });

  test("a migration that fails halfway → rolled back, and can run again", async () => {
    handle.exec("CREATE TABLE elsewhere (x); CREATE VIEW stored_sessions_leases AS SELECT 1");
    handle.exec("CREATE INDEX stored_sessions_leases_i ON elsewhere (x)");
    const database = open();
    handle.exec("DROP VIEW stored_sessions_leases; CREATE INDEX stored_sessions_leases ON elsewhere (x)");
    await expect(migrateDatabase(database)).rejects.toThrow();
    expect(objects()).not.toContain("stored_sessions");
    // Fails within a transaction. Node 22.13 has no `isTransaction`.
    handle.exec("BEGIN; ROLLBACK");
    handle.exec("DROP INDEX stored_sessions_leases");
    await migrateDatabase(database);
    await assertMigrated(database);
  });
});

describe("tables that are not what the journal says", () => {
  const migrated = async (): Promise<SqliteDatabase> => {
    const database = open();
    await migrateDatabase(database);
    return database;
  };

  test.each([
    ["DROP TABLE stored_sessions", ['the table "stored_sessions"'], 3],
    ["DROP TABLE stored_sessions_leases", ['the table "stored_sessions_leases"'], 1],
    ["DROP INDEX stored_sessions_user_ref", ["an index that starts with user_ref"], 1],
    ["DROP INDEX stored_sessions_expires_bucket", ["an index that starts with expires_bucket"], 1],
  ])(
    "after %s → the missing object is named, and recreated on request only",
    async (loss, missing, statements) => {
      const database = await migrated();
      handle.exec(loss);
      const status = await migrationStatus(database);
      expect(status).toMatchObject({
        pending: [],
        missing,
        applied: [{ version: 1 }, { version: 2 }, { version: 3 }],
        obstacles: [],
      });
      expect(status.repair, "nothing for what is there").toHaveLength(statements);
      const lostTable = loss.startsWith("DROP TABLE");
      await expect(assertMigrated(database).then(() => "fine", String)).resolves.toMatch(
        lostTable ? /is missing\. Restore it from a backup, or run "stored-session migrate"/ : /^fine$/,
      );
      const before = objects();
      await migrateDatabase(database);
      expect(objects(), "as an application starts").toEqual(before);
      await migrateDatabase(database, { repair: true, empty: true });
      expect(objects()).toEqual(whole);
      expect(await migrationStatus(database)).toMatchObject({
        missing: [],
        repair: [],
        applied: [{ version: 1 }, { version: 2 }, { version: 3 }],
      });
    },
  );

  test("a lost sessions table → recreated empty only if confirmed (promise 7)", async () => {
    const database = await migrated();
    handle.exec("DROP TABLE stored_sessions; DROP TABLE stored_sessions_leases");
    const status = await migrationStatus(database);
    expect(status).toMatchObject({ lost: true });
    expect(status.missing).toHaveLength(2);
    const before = objects();
    const refused = migrateDatabase(database, { repair: true });
    await expect(refused).rejects.toThrow(MigrationError);
    await expect(refused).rejects.toThrow(/it is missing\. Restore it.*migrate --yes/);
    expect(objects()).toEqual(before);
    await migrateDatabase(database, { repair: true, empty: true });
    expect(objects()).toEqual(whole);
  });

  test("the sessions table disappears while a repair waits for the lock → not recreated", async () => {
    const database = await migrated();
    handle.exec("DROP INDEX stored_sessions_user_ref");
    const losing = Object.create(database, {
      dialect: { value: database.dialect },
      run: { value: database.run },
      exclusively: {
        value: (work: Parameters<SqliteDatabase["exclusively"]>[0]) => {
          handle.exec("DROP TABLE stored_sessions");
          return database.exclusively(work);
        },
      },
    }) as SqliteDatabase;
    await expect(migrateDatabase(losing, { repair: true })).rejects.toThrow(/Restore it/);
    expect(objects()).not.toContain("stored_sessions");
  });

  test("PostgreSQL without an index → created without altering the table", () => {
    const texts = statementsOf(sessions, new PostgresDialect(), "userIndex");
    expect(texts).toEqual([expect.stringMatching(/^CREATE INDEX/)]);
  });

  test("the printed SQL → recreates it too", async () => {
    const database = await migrated();
    handle.exec("DROP TABLE stored_sessions");
    for (const text of (await migrationStatus(database)).repair) handle.exec(text);
    expect((await migrationStatus(database)).missing).toEqual([]);
  });

  test("a missing column → an error instead of a repair", async () => {
    const database = await migrated();
    handle.exec(
      "DROP INDEX stored_sessions_expires_bucket; ALTER TABLE stored_sessions DROP COLUMN expires_bucket",
    );
    for (const look of [migrationStatus, assertMigrated, migrateDatabase]) {
      await expect(look(database)).rejects.toThrow(/and lacks expires_bucket\. /);
    }
  });

  test("an index with another name → accepted", async () => {
    const database = await migrated();
    handle.exec("DROP INDEX stored_sessions_user_ref; CREATE INDEX mine ON stored_sessions (user_ref, id)");
    expect((await migrationStatus(database)).missing).toEqual([]);
  });

  test("a renamed table kept its index names → they are not mistaken for those of the new table", async () => {
    const database = await migrated();
    handle.exec(
      "ALTER TABLE stored_sessions RENAME TO old; ALTER TABLE stored_sessions_migrations RENAME TO olds",
    );
    await expect(migrateDatabase(database)).rejects.toThrow(
      /lacks an index that starts with user_ref and .*expires_bucket.* keeps the names of its indexes/,
    );
    expect(objects(), "nothing was changed").not.toContain("stored_sessions");
    handle.exec("DROP INDEX stored_sessions_user_ref; DROP INDEX stored_sessions_expires_bucket");
    await migrateDatabase(database);
    expect((await migrationStatus(database)).missing).toEqual([]);
  });

  test("an adopted table without a primary key → refused", async () => {
    const columns =
      "data, version, user_ref, created_at, updated_at, absolute_expires_at, expires_at, expires_bucket, client";
    handle.exec(`CREATE TABLE stored_sessions (id BLOB, ${columns})`);
    await expect(migrateDatabase(open())).rejects.toThrow(/lacks a primary key on id/);
  });
});
