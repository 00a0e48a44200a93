import {
  NotMigratedError,
  StoreError,
  StoreReadOnlyError,
  StoreTimeoutError,
  StoreUnavailableError,
  TableError,
} from "../../errors.ts";
import { explainDriver } from "../driver-errors.ts";
import type { Names } from "../dialect.ts";
import { reasonOf } from "../../shared/reason.ts";

/** An error that the server itself reported, with its SQLSTATE. */
export function codeOf(error: unknown): string | null {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  return typeof severity === "string" && typeof code === "string" ? code : null;
}

/** Whether the error closes the connection, in any language of the severity. */
const TIME_LIMITS = ["25P03", "25P04", "57P05"];

/** A failed transaction of the application is open: every statement fails until it ends. */
const ABORTED = "25P02";

/** Whether the connection is unusable. */
export function isBroken(error: unknown): boolean {
  const state = codeOf(error);
  if (state === null || state === ABORTED || TIME_LIMITS.includes(state)) return true;
  if (state.startsWith("08") || state.startsWith("57P") || state.startsWith("26")) return true;
  return /^(FATAL|PANIC)$/.test((error as { severity: string }).severity);
}

/** Whether this server is read-only; another might not be. */
export function isReadOnly(error: unknown): boolean {
  return codeOf(error) === "25006";
}

/** An error during a migration that means something else there than for rows; otherwise null. */
export function explainMigration(error: unknown, names: Names): StoreError | null {
  const state = codeOf(error);
  const options = { cause: error, outcome: "none" } as const;
  if (state === "42501") {
    return new StoreError(
      `The database role may not create or alter the tables of ${names.sessions} (${(error as Error).message}). Run the migration as the role that owns them, with CREATE on their schema, or have that role run the output of "stored-session migrate --print". Nothing was changed.`,
      options,
    );
  }
  if (state === "55P03") {
    return new StoreTimeoutError(
      `Another transaction holds a lock on a table of ${names.sessions} (${(error as Error).message}). The migration timed out, because every statement would have queued behind it. Find a long transaction or a CREATE INDEX CONCURRENTLY in pg_stat_activity, let it end, then run the migration again. Nothing was changed.`,
      options,
    );
  }
  return null;
}

/** Converts an error of node-postgres into one of ours. `lost` is the outcome of a write if the connection was lost. */
export function explain(error: unknown, names: Names, lost: "none" | "unknown"): StoreError {
  const state = codeOf(error);
  const said = reasonOf(error);
  const options = { cause: error, outcome: "none" } as const;
  if (state === null) return explainDriver(error, "PostgreSQL", "postgresStore", lost);
  switch (state) {
    case "42P01":
      return new NotMigratedError(
        `The table ${names.sessions} or one of its companion tables is missing (${said}). Run migrate(store) once; no restart is needed. "stored-session migrate" also recreates a table that was dropped later.`,
        options,
      );
    case "3F000":
      return new TableError(
        `The schema of the table ${names.sessions} does not exist (${said}). Create it (CREATE SCHEMA …), or set the option \`table\` to another schema.`,
        options,
      );
    case "42703":
    case "42804":
    case "42883":
    case "42809":
      return new TableError(
        `The table ${names.sessions} does not have the columns that this version needs (${said}). Run migrate(store), or set the option \`table\` to another name.`,
        options,
      );
    case "25006":
      return new StoreReadOnlyError(
        "This PostgreSQL server is read-only: it is a standby, or its transactions are read-only. Connect to the primary.",
        options,
      );
    case "53100":
      return new StoreReadOnlyError(
        "PostgreSQL's disk is full, so it rejects writes. Free some space.",
        options,
      );
    case "42501":
      return new StoreError(
        `The database role may not do this (${said}). Grant it SELECT, INSERT, UPDATE and DELETE on the three ${names.sessions} tables.`,
        options,
      );
    case "40003":
      return new StoreError(
        `PostgreSQL could not determine whether the statement was committed (${said}). Committing again is safe.`,
        { cause: error, outcome: lost },
      );
    case "40P01":
    case "40001":
      return new StoreError(
        "Deadlocks or lock waits with other transactions kept this one from finishing. Retry.",
        options,
      );
    case "57014":
    case "55P03":
      return new StoreTimeoutError(`A timeout of PostgreSQL ended the statement (${said}).`, {
        ...options,
        mayBeOneRow: true,
      });
    case ABORTED:
      return new StoreError(
        `The application released a client inside a failed transaction (${said}). The connection was dropped. Roll back before release().`,
        options,
      );
    case "25P03":
    case "25P04":
    case "57P05":
      return new StoreTimeoutError(`A timeout of PostgreSQL closed the connection (${said}).`, {
        cause: error,
        outcome: lost,
      });
    case "53300":
      return new StoreUnavailableError(
        "PostgreSQL has no free connection. Use smaller pools, or raise max_connections.",
        options,
      );
    case "26000":
    case "42P05":
      return new StoreError(
        "A prepared statement is missing or exists already, which happens behind a pooler in transaction mode. Set namedStatements: false.",
        options,
      );
  }
  if (state === "3D000") {
    return new StoreUnavailableError(
      `PostgreSQL has no database of this name (${said}). Correct the name in the URL, or create it with CREATE DATABASE.`,
      options,
    );
  }
  if (state.startsWith("28")) {
    return new StoreUnavailableError(
      `PostgreSQL refused the connection (${said}). Check user and password.`,
      options,
    );
  }
  if (isBroken(error)) {
    return new StoreUnavailableError(
      `PostgreSQL closed the connection (${said}), for example because it is restarting or shutting down. Retry.`,
      { cause: error, outcome: state === "57P03" ? "none" : lost },
    );
  }
  return new StoreError(`PostgreSQL refused the statement (${state}: ${said}).`, options);
}
