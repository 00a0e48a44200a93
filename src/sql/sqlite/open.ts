import { closeSync, existsSync, openSync } from "node:fs";
import { OptionsError } from "../../errors.ts";
import { driverProblem, exportsOf } from "../load-driver.ts";
import { prepare } from "./handle-calls.ts";
import type { SqliteHandle } from "./handle.ts";

export type SqliteDriver = "node:sqlite" | "better-sqlite3";

/** `PRAGMA synchronous`, weakest first. */
export type Synchronous = "OFF" | "NORMAL" | "FULL" | "EXTRA";

const LEVELS: readonly Synchronous[] = ["OFF", "NORMAL", "FULL", "EXTRA"];

/**
 * Milliseconds that SQLite itself waits for a lock, blocking the event loop. Commits take about this long; further
 * waiting is asynchronous.
 */
const BLOCKING_TIMEOUT = 5;

/** Opens the file, or creates it with access for this user only. Does not change an existing file. */
export function openSqlite(path: string, driver: SqliteDriver, synchronous: Synchronous): SqliteHandle {
  if (isFile(path)) createFile(path);
  const handle = driver === "node:sqlite" ? openNode(path) : openBetter(path);
  try {
    handle.exec(`PRAGMA busy_timeout = ${BLOCKING_TIMEOUT}`);
    handle.exec(`PRAGMA synchronous = ${synchronous}`);
    return handle;
  } catch (error) {
    handle.close();
    throw error;
  }
}

/** The file stores this mode, so only writers set it. */
export function useWal(handle: SqliteHandle): void {
  handle.exec("PRAGMA journal_mode = WAL");
}

/** Whether SQLite reads it as a file path, and not as memory or a URI. */
export function isFile(path: string): boolean {
  return path !== ":memory:" && path !== "" && !path.startsWith("file:");
}

/** SQLite creates its companion files with the same mode. */
function createFile(path: string): void {
  try {
    // Never opens an existing file: closing it again would drop this process's locks on it.
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    // A dangling link: SQLite would create its target, readable by everyone.
    if (!existsSync(path)) closeSync(openSync(path, "a", 0o600));
  }
}

function openNode(path: string): SqliteHandle {
  const sqlite = process.getBuiltinModule("node:sqlite") as typeof import("node:sqlite") | undefined;
  if (!sqlite) {
    throw new OptionsError([
      'this Node has no node:sqlite. Use Node 22.13 or later, or install better-sqlite3 and set driver: "better-sqlite3".',
    ]);
  }
  return new sqlite.DatabaseSync(path);
}

type BetterSqlite = new (path: string) => SqliteHandle;
let betterSqlite: BetterSqlite | undefined;

const betterSqlitePackage = {
  name: "better-sqlite3",
  why: 'sqliteStore was given driver: "better-sqlite3"',
  otherwise: "leave out `driver` to use node:sqlite",
};

/** Await this before {@link openSqlite} with "better-sqlite3". @throws {OptionsError} it is not installed */
export async function loadBetterSqlite(): Promise<void> {
  try {
    // @ts-expect-error it has no types of its own
    betterSqlite ??= exportsOf<BetterSqlite>(await import("better-sqlite3"), (Database) => Database);
  } catch (cause) {
    throw driverProblem(cause, betterSqlitePackage);
  }
}

function openBetter(path: string): SqliteHandle {
  try {
    return new betterSqlite!(path);
  } catch (error) {
    // it loads its native part when it opens the first file
    if ((error as NodeJS.ErrnoException).code !== "ERR_DLOPEN_FAILED" && !isWithoutBinding(error))
      throw error;
    throw driverProblem(error, betterSqlitePackage);
  }
}

function isWithoutBinding(error: unknown): boolean {
  return error instanceof Error && error.message.includes("bindings file");
}

/** Returns durability warnings for a handle's settings. Null if there are none, or if the database is in memory. */
export function durabilityWarningOf(handle: SqliteHandle): string | null {
  const value = (pragma: string): unknown =>
    Object.values(prepare(handle, `PRAGMA ${pragma}`).all()[0] as object)[0];
  const file = (prepare(handle, "PRAGMA database_list").all()[0] as { file?: string | null }).file;
  if (!file) return null;
  const journal = String(value("journal_mode")).toLowerCase();
  const level = Number(value("synchronous"));
  const weak: string[] = [];
  if (level < 2) weak.push(durabilityWarningOfLevel(LEVELS[level] as Synchronous));
  if (journal === "off" || journal === "memory") {
    weak.push(`journal_mode=${journal.toUpperCase()} (a crash during a write can destroy the file)`);
  }
  return weak.length ? weak.join(" and ") : null;
}

/** The same for a level that was requested. */
export function durabilityWarningOfLevel(level: Synchronous): string {
  return `synchronous=${level} (a power loss can undo acknowledged commits${level === "OFF" ? ", and destroy the file" : ""})`;
}
