/** `stored-session/sqlite`: sessions in a SQLite file, with node:sqlite or better-sqlite3. */
import { namesOf } from "../names.ts";
import { SqliteDatabase } from "./driver.ts";
import {
  isFile,
  loadBetterSqlite,
  openSqlite,
  useWal,
  durabilityWarningOf,
  durabilityWarningOfLevel,
} from "./open.ts";
import { OptionsError } from "../../errors.ts";
import { milliseconds, type Duration } from "../../shared/duration.ts";
import { durationFrom, isAnything, oneOf, problemsOf } from "../../shared/option-checks.ts";
import { isOnWorkers } from "../../shared/runtime.ts";
import { SqlStore } from "../sql-store.ts";
import { handleOf } from "./handles.ts";
import type { SqliteHandle } from "./handle.ts";
import type { SqliteDriver, Synchronous } from "./open.ts";

export type { SqliteHandle, SqliteStatement } from "./handle.ts";
export type { SqliteDriver, Synchronous } from "./open.ts";

export interface SqliteStoreOptions {
  /**
   * Name of the sessions table. Default "stored_sessions". The lease and migration tables have its name with a suffix.
   */
  readonly table?: string;
  /**
   * The library that opens a path: "node:sqlite" (default, part of Node) or "better-sqlite3" (install it). Do not open
   * the same file with both in one process: each drops the other's file locks, and commits are lost.
   */
  readonly driver?: SqliteDriver;
  /**
   * How long to wait for a file that another process is writing to; then the operation fails with a StoreTimeoutError.
   * Default 5 seconds. Waiting does not block the event loop.
   */
  readonly busyTimeout?: Duration;
  /**
   * `PRAGMA synchronous` of a file opened by path. "FULL" (default): acknowledged commits survive a power loss.
   * "NORMAL": faster; they survive only a crash of the process. "OFF": a power loss can corrupt the file.
   */
  readonly synchronous?: Synchronous;
}

/**
 * Opens a store in a SQLite file.
 *
 * A path is opened at the first operation: the file is created with access for this user only (mode 600) if it does not
 * exist, its tables are created or upgraded, and before the first write it is set to WAL mode. `close` closes it.
 * ":memory:" works.
 *
 * A handle (a `DatabaseSync` of node:sqlite or a `Database` of better-sqlite3) remains yours: run `migrate(store)`
 * before the first request, and close it yourself. Its settings are not changed. If they can lose acknowledged writes,
 * a process warning with the code STORED_SESSION_WEAK_DURABILITY says so once. The store waits while the application
 * has a transaction open on it.
 */
export function sqliteStore(
  pathOrHandle: string | SqliteHandle | { readonly $client: SqliteHandle },
  options: SqliteStoreOptions = {},
): SqlStore {
  const handle = typeof pathOrHandle === "string" ? null : handleOf(pathOrHandle);
  assertOptions(pathOrHandle, handle, options);
  const { driver = "node:sqlite", synchronous = "FULL" } = options;
  const busyTimeout = milliseconds(options.busyTimeout ?? 5_000)!;
  const names = namesOf(options.table, (identifier) => `"${identifier}"`, { schemas: false });

  if (handle === null || typeof handle === "string") {
    const path = pathOrHandle as string;
    if (synchronous === "OFF" || synchronous === "NORMAL") warn(path, durabilityWarningOfLevel(synchronous));
    const open = (): SqliteHandle => openSqlite(path, driver, synchronous);
    const label = path === ":memory:" ? "the in-memory database" : `the file ${path}`;
    const file = path === ":memory:" ? {} : { file: path };
    const checkpointsInThread = driver === "node:sqlite" && isFile(path);
    const database = new SqliteDatabase({
      names,
      ...(driver === "better-sqlite3" && { load: loadBetterSqlite }),
      open,
      beforeFirstWrite: useWal,
      owned: true,
      label,
      busyTimeout,
      checkpointsInThread,
      ...file,
    });
    return new SqlStore(database, { migrateAtFirstUse: true });
  }

  warnOfDurability(handle);
  return new SqlStore(
    new SqliteDatabase({
      names,
      open: () => handle,
      owned: false,
      label: "the SQLite database",
      busyTimeout,
    }),
  );
}

function assertOptions(
  pathOrHandle: unknown,
  handle: SqliteHandle | string | null,
  options: SqliteStoreOptions,
): void {
  const problems = problemsOf(options, {
    table: isAnything, // names.ts checks the name
    driver: oneOf(["node:sqlite", "better-sqlite3"]),
    busyTimeout: durationFrom(0),
    synchronous: oneOf(["FULL", "EXTRA", "NORMAL", "OFF"]),
  });
  if (typeof handle === "string") problems.push(handle);
  if (typeof pathOrHandle === "string" && isOnWorkers()) {
    problems.push(
      "Cloudflare Workers have no node:sqlite and keep no file. Use d1Store(env.DB) of stored-session/d1, or durableObjectStore(ctx.storage) of stored-session/durable-object.",
    );
  }
  if (problems.length) throw new OptionsError(problems);
}

const warned = new WeakSet<object>();

function warnOfDurability(handle: SqliteHandle): void {
  if (warned.has(handle)) return;
  warned.add(handle);
  let durabilityWarning: string | null = null;
  try {
    durabilityWarning = durabilityWarningOf(handle);
  } catch {
    // A handle that cannot be queried (closed, locked, not a database) fails at the first operation, with its reason.
  }
  if (durabilityWarning) warn("The handle given to sqliteStore", durabilityWarning);
}

function warn(what: string, durabilityWarning: string): void {
  process.emitWarning(`${what} has ${durabilityWarning}.`, {
    type: "StoredSessionWarning",
    code: "STORED_SESSION_WEAK_DURABILITY",
    detail: "Set PRAGMA synchronous = FULL (and journal_mode = WAL) to keep what was acknowledged.",
  });
}
