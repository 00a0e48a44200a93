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

/** The number of an error that the server itself reported (it has an SQLSTATE). */
export function codeOf(error: unknown): number | null {
  const { errno, sqlState } = (error ?? {}) as { errno?: unknown; sqlState?: unknown };
  // An operating system's errno is negative.
  return typeof sqlState === "string" && typeof errno === "number" && errno > 0 ? errno : null;
}

/**
 * Whether the connection is unusable. 1047: the node left its cluster. 1053: the server is shutting down. 1153: a
 * packet was too large, after which the server closes the connection. 1927: the connection was killed.
 */
export function isBroken(error: unknown): boolean {
  const number = codeOf(error);
  return number === null || isLost(number) || [1047, 1053, 1153, 1927].includes(number);
}

/**
 * The connection to the server was lost, as reported by a proxy. 2000 to 2999 are client errors, such as 2013: lost
 * during the statement. 1158 to 1161: reading or writing packets failed. 4031: it was idle for too long.
 */
function isLost(number: number): boolean {
  return (number >= 2_000 && number < 3_000) || (number >= 1_158 && number <= 1_161) || number === 4_031;
}

/** `read_only` and `super_read_only`, a read-only transaction, read-only mode, offline mode. */
const READ_ONLY = [1290, 1792, 1836, 3032];

/** Whether this server is read-only; another might not be. */
export function isReadOnly(error: unknown): boolean {
  return READ_ONLY.includes(codeOf(error) ?? 0);
}

/**
 * Transient failures that left nothing behind. 1213: deadlock, or a cluster conflict. 1020: a snapshot that another
 * transaction overtook (MariaDB). 1615: a statement must be prepared again. Not 1205: that one already waited as long
 * as it may.
 *
 * Of TiDB, which has rolled the transaction back: 8002, 8005 and 9007 are write conflicts, 8022 is a failed commit, and
 * 8027 and 8028 say that the schema changed.
 */
export function isTransientError(error: unknown): boolean {
  return TRANSIENT.has(codeOf(error) ?? 0);
}

const TRANSIENT = new Set([1213, 1020, 1615, 8002, 8005, 8022, 8027, 8028, 9007]);

/** The server takes no such statement: a syntax error, not supported yet, or Vitess' word for it. */
export function isUnsupported(error: unknown): boolean {
  const number = codeOf(error);
  return (
    number === 1064 ||
    number === 1235 ||
    (number === 1105 && /\bunsupported\b|VT12001/i.test((error as Error).message))
  );
}

/** The error that rolls back a batch of updates if a row has another version (decisions/0020). */
export function isOtherVersion(error: unknown): boolean {
  return codeOf(error) === 1242;
}

/** A row was locked for the whole lock timeout. */
export function isLockWait(error: unknown): boolean {
  return codeOf(error) === 1205;
}

/** 1049: there is no such database. 1044: there is none, or this user may not use it; the server does not say which. */
function noDatabase(error: unknown): StoreUnavailableError {
  const said = (error as Error).message;
  const options = { cause: error, outcome: "none" } as const;
  if (codeOf(error) === 1049) {
    return new StoreUnavailableError(
      `The server has no database of this name (${said}). Correct the name in the URL, or create it with CREATE DATABASE.`,
      options,
    );
  }
  return new StoreUnavailableError(
    `This user cannot use the database, or there is no database of this name (${said}); the server does not say which. Check the name in the URL first. If the database exists, grant the user privileges on it.`,
    options,
  );
}

/** An error during a migration that means something else there than for rows; otherwise null. */
export function explainMigration(error: unknown, names: Names): StoreError | null {
  const options = { cause: error, outcome: "none" } as const;
  switch (codeOf(error)) {
    case 1044:
      return noDatabase(error);
    case 1142:
    case 1143:
    case 1227:
      return new StoreError(
        `The database user may not create or alter the tables of ${names.sessions} (${(error as Error).message}). Run the migration as a user with the privileges CREATE, ALTER and INDEX, or have one run the output of "stored-session migrate --print".`,
        options,
      );
    case 1061:
      return new TableError(
        `The table ${names.sessions} already has an index of that name on another column (${(error as Error).message}). Drop or rename it (ALTER TABLE … RENAME INDEX … TO …), then run the migration again.`,
        options,
      );
  }
  return null;
}

/** Converts an error of mysql2 into one of ours. `lost` is the outcome of a write if the connection was lost. */
export function explain(error: unknown, names: Names, lost: "none" | "unknown"): StoreError {
  const number = codeOf(error);
  const said = reasonOf(error);
  const options = { cause: error, outcome: "none" } as const;
  switch (number) {
    case null:
      return explainDriver(error, "The MySQL server", "mysqlStore", lost);
    case 1146:
      return new NotMigratedError(
        `The table ${names.sessions} or one of its companion tables is missing (${said}). Run migrate(store) once; no restart is needed. "stored-session migrate" also recreates a table that was dropped later.`,
        options,
      );
    case 1054:
    case 1136:
    case 1364:
    case 1347:
      return new TableError(
        `The table ${names.sessions} does not have the columns that this version needs (${said}). Run migrate(store), or set the option \`table\` to another name.`,
        options,
      );
    case 1290:
    case 1836:
    case 1792:
    case 3032:
      return new StoreReadOnlyError(
        `This server is read-only (${said}). Connect to the primary, or turn read_only off.`,
        options,
      );
    case 1021:
    case 1114:
      return new StoreReadOnlyError(
        "The server's disk is full, so it rejects writes. Free some space.",
        options,
      );
    case 1044:
      return noDatabase(error);
    case 1142:
    case 1143:
    case 1227:
      return new StoreError(
        `The database user may not do this (${said}). Grant it SELECT, INSERT, UPDATE and DELETE on ${names.sessions} and the tables beside it.`,
        options,
      );
    case 1213:
    case 1205:
    case 1020:
    case 8002:
    case 8005:
    case 8022:
    case 8027:
    case 8028:
    case 9007:
      return new StoreError(
        "Deadlocks or lock waits with other transactions kept this one from finishing. Retry.",
        options,
      );
    case 1317:
    case 1969:
    case 3024:
      return new StoreTimeoutError(`The server ended the statement before it finished (${said}).`, {
        ...options,
        mayBeOneRow: true,
      });
    case 1153:
      return new StoreError(
        "A statement is larger than the server's max_allowed_packet. Raise it above 4 MiB and above maxBytes, or lower maxBytes.",
        options,
      );
    case 1040:
    case 1203:
    case 1226:
      return new StoreUnavailableError(
        "The server has no free connection. Use smaller pools, or raise max_connections.",
        options,
      );
    case 1049:
      return noDatabase(error);
    case 1045:
    case 1698:
      return new StoreUnavailableError(
        `The server refused the connection (${said}). Check user, password and database.`,
        options,
      );
    case 1047:
    case 1053:
    case 1927:
      return new StoreUnavailableError(
        `The server closed the connection (${said}), because it is restarting, shutting down or not in its cluster. Retry.`,
        { cause: error, outcome: lost },
      );
  }
  if (number !== null && isLost(number)) {
    return new StoreUnavailableError(
      `The connection to the server was lost (${number}: ${said}). Check whether the server or a proxy restarted or closes idle connections, then retry.`,
      { cause: error, outcome: lost },
    );
  }
  // 1180: an error during COMMIT itself.
  const outcome = number === 1180 ? "unknown" : "none";
  return new StoreError(`The server refused the statement (${number}: ${said}).`, { cause: error, outcome });
}
