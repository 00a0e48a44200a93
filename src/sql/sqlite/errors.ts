import {
  ClosedError,
  NotMigratedError,
  StoredSessionError,
  StoreDriverError,
  StoreError,
  StoreReadOnlyError,
  StoreTimeoutError,
  StoreUnavailableError,
  TableError,
} from "../../errors.ts";
import { reasonOf } from "../../shared/reason.ts";

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
const CODES: Readonly<Record<string, number>> = {
  SQLITE_ERROR: 1,
  SQLITE_PERM: 3,
  SQLITE_BUSY: 5,
  SQLITE_LOCKED: 6,
  SQLITE_READONLY: 8,
  SQLITE_IOERR: 10,
  SQLITE_CORRUPT: 11,
  SQLITE_FULL: 13,
  SQLITE_CANTOPEN: 14,
  SQLITE_TOOBIG: 18,
  SQLITE_AUTH: 23,
  SQLITE_NOTADB: 26,
};

/** What SQLite says (`sqlite3_errstr`): Deno's node:sqlite gives `exec` and the opening of a file no other code. */
const TEXTS: readonly (readonly [beginning: string, code: number])[] = [
  ["access permission denied", 3],
  ["database is locked", 5],
  ["database table is locked", 6],
  ["database schema is locked", 6],
  ["attempt to write a readonly database", 8],
  ["disk I/O error", 10],
  ["database disk image is malformed", 11],
  ["database or disk is full", 13],
  ["unable to open database file", 14],
  ["string or blob too big", 18],
  ["not authorized", 23],
  ["file is not a database", 26],
];

/** The application has a transaction open on a shared handle. */
export class OpenTransactionError extends Error {}

/** The primary result code of an error of either driver: a number in node:sqlite, a name in better-sqlite3. */
export function primaryCode(error: unknown): number | undefined {
  const { errcode, code, message } = (error ?? {}) as Record<"errcode" | "code" | "message", unknown>;
  if (typeof errcode === "number") return errcode & 0xff;
  if (code === "ERR_SQLITE_ERROR") {
    return TEXTS.find(([beginning]) => String(message).startsWith(beginning))?.[1] ?? 1;
  }
  if (typeof code !== "string" || !code.startsWith("SQLITE_")) return undefined;
  return CODES[code.split("_", 2).join("_")] ?? 0;
}

/** Transient failures that left nothing behind: another connection holds a lock. */
export function isTransient(error: unknown): boolean {
  if (error instanceof OpenTransactionError) return true;
  const code = primaryCode(error);
  return code === CODES["SQLITE_BUSY"] || code === CODES["SQLITE_LOCKED"];
}

export interface Circumstances {
  /** The name of the file in messages: "the file …". */
  readonly label: string;
  readonly table: string;
  readonly busyTimeout: number;
  readonly writes: boolean;
  /** The outcome of a write that failed without a result code. Default `none`: this process ran it and rolled it back. */
  readonly ifLost?: "none" | "unknown";
  /** The state of the tables, queried because SQLite has one code for all mistakes in a statement. */
  readonly schemaState: () => "missing" | "mismatched" | "current";
}

/** Converts a driver's error into one of ours, with a message that says what to do. */
export function explain(error: unknown, about: Circumstances): StoredSessionError {
  if (error instanceof StoredSessionError) return error;
  const { label, table, busyTimeout } = about;
  const Label = label.charAt(0).toUpperCase() + label.slice(1);
  const cause = { cause: error };
  if (error instanceof OpenTransactionError) {
    return new StoreTimeoutError(
      `A transaction was open on the handle given to sqliteStore for ${busyTimeout} ms. The store's writes must not become part of it: end the transaction before you await the store, or pass a path or a separate handle.`,
      cause,
    );
  }
  switch (primaryCode(error)) {
    case CODES["SQLITE_BUSY"]:
    case CODES["SQLITE_LOCKED"]:
      return new StoreTimeoutError(
        `${Label} stayed locked by another connection for ${busyTimeout} ms. Find the process that keeps a write transaction open ("fuser" lists the processes that have the file open). Do not open the same file with node:sqlite and better-sqlite3 in one process.`,
        cause,
      );
    case CODES["SQLITE_READONLY"]:
    case CODES["SQLITE_PERM"]:
      return new StoreReadOnlyError(
        `${Label} cannot be written to. The process needs write permission on the file, on its -wal and -shm files, and on their directory.`,
        cause,
      );
    case CODES["SQLITE_FULL"]:
      return new StoreReadOnlyError(
        `There is no space left for ${label}: the disk is full, or max_page_count is reached. Free some space. No acknowledged write is lost.`,
        cause,
      );
    case CODES["SQLITE_TOOBIG"]:
      return new StoreError(
        `A session is larger than ${label} stores in one row. Lower maxBytes: D1 and Durable Objects take 2 MB.`,
        { ...cause, mayBeOneRow: true },
      );
    case CODES["SQLITE_NOTADB"]:
      return new TableError(
        `${Label} is not a SQLite database, or is encrypted. It was not changed. Pass another path.`,
        cause,
      );
    case CODES["SQLITE_CORRUPT"]:
      return new TableError(
        `${Label} is corrupt. Stop every process that uses it, keep a copy, and restore a backup or run "sqlite3 <file> .recover".`,
        cause,
      );
    case CODES["SQLITE_CANTOPEN"]:
      return new StoreUnavailableError(
        `${Label} cannot be opened. Check that its directory exists and that this user can read and write it.`,
        cause,
      );
    case CODES["SQLITE_IOERR"]:
      return new StoreUnavailableError(
        `The operating system failed to read or write ${label}. Check the disk and the kernel log.`,
        { cause: error, outcome: about.writes ? "unknown" : "none" },
      );
    case CODES["SQLITE_ERROR"]:
      return explainStatement(error, table, about.schemaState());
    case undefined:
      return explainOther(error, label, Label, about.writes ? (about.ifLost ?? "none") : "none");
    default:
      return new StoreError(`${Label} refused a statement: ${reasonOf(error)}`, cause);
  }
}

function explainStatement(
  error: unknown,
  table: string,
  schemaState: "missing" | "mismatched" | "current",
): StoreError {
  // The state is that of the tables that every release has.
  if (schemaState === "missing" || (schemaState === "current" && /no such table/.test(reasonOf(error)))) {
    return new NotMigratedError(
      `The table ${table} or one of its companion tables is missing. Run migrate(store) once before the first request; no restart is needed. "stored-session migrate" also recreates a table that was dropped later.`,
      { cause: error },
    );
  }
  if (schemaState === "mismatched") {
    return new TableError(
      `The table ${table} or one of its companion tables does not have the columns that the store needs. Set the option \`table\` to another name, or rename that table.`,
      { cause: error },
    );
  }
  return new StoreError(`SQLite refused a statement: ${reasonOf(error)}`, { cause: error });
}

/** Errors without a SQLite code: of the operating system when opening, or of the driver itself. */
function explainOther(
  error: unknown,
  label: string,
  Label: string,
  outcome: "none" | "unknown",
): StoredSessionError {
  const code = (error as { code?: unknown } | null)?.code;
  const cause = { cause: error };
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return new StoreUnavailableError(`The directory of ${label} does not exist. Create it first.`, cause);
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new StoreReadOnlyError(`${Label} cannot be created: ${reasonOf(error)}`, cause);
    case "ENOSPC":
    case "EDQUOT":
      return new StoreReadOnlyError(`There is no space left for ${label}.`, cause);
    case "ERR_INVALID_STATE":
      return new ClosedError(`The application closed the handle of ${label}.`, cause);
  }
  // Errors of the operating system: too many open files, a loop of links, a directory in place of the file.
  if (typeof (error as { syscall?: unknown } | null)?.syscall === "string") {
    return new StoreUnavailableError(`${Label} cannot be opened: ${reasonOf(error)}`, cause);
  }
  return new StoreDriverError(
    `The driver of ${label} failed: ${reasonOf(error)}. The database did not report an error. Check the stack trace in \`cause\`.`,
    { ...cause, outcome, mayBeOneRow: true },
  );
}
