import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { migrateDatabase, migrationStatus, type MigrationStatus } from "../../sql/migrations/migrator.ts";
import { emptyDatabase } from "../../sql/sqlite/look.ts";
import type { SqlStore } from "../../sql/sql-store.ts";
import { sqlStoreOf, type CommonOptions } from "../configuration.ts";
import { exitCodes, Failure } from "../failure.ts";
import { table } from "../format.ts";
import { moment, plural } from "../../shared/wording.ts";
import type { Terminal } from "../terminal.ts";
import { confirm, paint, report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  print?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

const needs = { keys: false, tables: false };

export function migrateCommand(program: Command, terminal: Terminal): void {
  const migrate = reporting(
    program
      .command("migrate")
      .description(
        "create or upgrade the tables, and recreate missing ones; does nothing when they are up to date",
      )
      .option("-p, --print", "print the SQL that is pending, for your own tool; runs nothing")
      .option("-n, --dry-run", "show what would run; runs nothing")
      .option("-y, --yes", "do not ask before recreating a lost sessions table, which comes back empty"),
  ).action((options: Options) =>
    withSessions(terminal, options, needs, async (place) => {
      const store = sqlStoreOf(place);
      const { pending, missing, repair, obstacles, lost } = await statusOf(store);
      const names = pending.map(({ version, name }) => `${version} ${name}`);
      const again = missing.join(", ");
      if (options.print) {
        const sql = [...pending.flatMap(({ statements }) => statements), ...repair];
        const text = () => [
          ...pending.flatMap(({ version, name, statements }) => [
            `-- ${version} ${name}`,
            ...ended(statements),
          ]),
          ...(missing.length > 0 ? [`-- missing: ${again}`] : []),
          ...obstacles.map((obstacle) => `-- ${obstacle}`),
          ...ended(repair),
        ];
        report(terminal, options, { statements: sql }, () => [], text);
        return;
      }
      if (pending.length === 0 && missing.length === 0) {
        report(terminal, options, { applied: [], recreated: [] }, () => ["The tables are up to date."]);
        return;
      }
      if (options.dryRun) {
        const wouldRecreate = obstacles.length > 0 ? [] : missing;
        report(terminal, options, { wouldApply: names, wouldRecreate, missing, obstacles }, () => [
          wouldRun(names, again, obstacles, lost),
        ]);
        return;
      }
      if (lost) {
        await confirm(
          terminal,
          options.yes,
          `The table ${store.database.dialect.names.sessions} existed and is missing now. Restore it, or rename it back, if you can. This recreates it empty, which logs everybody out.`,
        );
      }
      const created = missingFile(store);
      const { applied, recreated } = await migrateDatabase(store.database, { repair: true, empty: lost });
      const ran = applied.map(({ version, name }) => `${version} ${name}`);
      const mark = paint(terminal)("green", "✓");
      report(terminal, options, { applied: ran, recreated }, () => {
        const done = [
          ...(ran.length > 0 ? [`Ran ${plural(ran.length, "migration")}: ${ran.join(", ")}.`] : []),
          ...(recreated.length > 0 ? [`Recreated what was missing: ${recreated.join(", ")}.`] : []),
        ];
        // Another process may have been first.
        if (done.length === 0) return ["The tables are up to date."];
        if (created !== null) done.unshift(`Created ${created}`);
        return done.map((line) => `${mark} ${line}`);
      });
    }),
  );

  // `--json` and the others belong to `migrate` as well, so they are read from both.
  reporting(
    migrate
      .command("status")
      .description("show which migrations have run, which are pending, and what is missing"),
  ).action((_: CommonOptions, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    return withSessions(terminal, options, needs, async (place) => {
      const status = await statusOf(sqlStoreOf(place));
      report(terminal, options, summaryOf(status), () => lines(status));
      if (status.pending.length > 0) {
        throw new Failure(`${plural(status.pending.length, "migration")} pending.`, exitCodes.pending);
      }
      if (status.missing.length > 0) {
        throw new Failure(
          status.obstacles.length > 0
            ? `Something is missing. ${status.obstacles.join(" ")}`
            : 'Something is missing. Run "stored-session migrate" to recreate it (a missing table comes back empty).',
          exitCodes.pending,
        );
      }
    });
  });
}

function wouldRun(
  names: readonly string[],
  again: string,
  obstacles: readonly string[],
  lost: boolean,
): string {
  if (again === "") {
    return `${plural(names.length, "migration")} would run: ${names.join(", ")}. Nothing was changed.`;
  }
  if (obstacles.length > 0) {
    return `Missing, and it cannot be recreated yet: ${again}. ${obstacles.join(" ")} Nothing was changed.`;
  }
  const asked = lost ? "It would ask first, because that logs everybody out. " : "";
  return `Missing, and would be recreated: ${again}. ${asked}Nothing was changed.`;
}

function ended(statements: readonly string[]): string[] {
  return statements.map((statement) => `${statement};\n`);
}

/** Looking creates no file: of one that is not there, everything is pending. */
async function statusOf(store: SqlStore): Promise<MigrationStatus> {
  const { database } = store;
  if (missingFile(store) !== null) {
    return migrationStatus(emptyDatabase(database.dialect.names));
  }
  return migrationStatus(database);
}

/** The file of SQLite that the first write would create, in full: it may be in another folder than was meant. */
function missingFile({ database }: SqlStore): string | null {
  const { file } = database;
  return file === undefined || existsSync(file) ? null : resolve(file);
}

function summaryOf({ applied, pending, missing }: MigrationStatus) {
  return {
    applied: applied.map(({ version, name, appliedAt }) => ({
      version,
      name,
      appliedAt: new Date(appliedAt),
    })),
    pending: pending.map(({ version, name }) => ({ version, name })),
    missing,
  };
}

function lines({ applied, pending, missing }: MigrationStatus): string[] {
  return [
    ...table(
      ["migration", "name", "state"],
      [
        ...applied.map(({ version, name, appliedAt }) => [
          String(version),
          name,
          `ran ${moment(new Date(appliedAt))}`,
        ]),
        ...pending.map(({ version, name }) => [String(version), name, "pending"]),
      ],
    ),
    ...missing.map((what) => `missing: ${what}`),
  ];
}
