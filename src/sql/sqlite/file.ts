import { statSync } from "node:fs";
import { StoreUnavailableError } from "../../errors.ts";
import type { SqliteHandle } from "./handle.ts";

/** Milliseconds between two checks by operations that only read. */
const BETWEEN_READS = 100;

/** Files that SQLite keeps next to the database in WAL mode. The first contains commits until a checkpoint. */
const BESIDE = ["-wal", "-shm"] as const;

/**
 * Detects that the file of an open database was removed or replaced. SQLite continues with the open file, which can
 * never be opened again: later acknowledged writes would be lost (promise 7).
 *
 * An open inode is not reused, so the same device and inode mean the same file.
 */
export class SqliteFile {
  readonly #handle: SqliteHandle;
  readonly #path: string;
  readonly #label: string;
  /** By suffix. The companion files are known from the first write that finds them. */
  readonly #known = new Map<string, string>();
  #lookedAt = -Infinity;

  private constructor(handle: SqliteHandle, path: string, label: string) {
    this.#handle = handle;
    this.#path = path;
    this.#label = label;
    this.#learn("");
  }

  /** Null for a database without a file, or with a file that cannot be checked. */
  static of(handle: SqliteHandle, path: string | null, label: string): SqliteFile | null {
    return path === null || identityOf(path) === null ? null : new SqliteFile(handle, path, label);
  }

  /** Call this before an operation; checks occasionally. */
  beforeOperation(): void {
    const now = performance.now();
    if (now - this.#lookedAt < BETWEEN_READS) return;
    this.#assertSame("none");
    this.#lookedAt = now;
  }

  /** Call this after a commit, before acknowledging it; checks every time. */
  afterWrite(): void {
    for (const suffix of BESIDE) if (!this.#known.has(suffix)) this.#learn(suffix);
    this.#assertSame("unknown");
  }

  #learn(suffix: string): void {
    const identity = identityOf(this.#path + suffix);
    if (identity !== null) this.#known.set(suffix, identity);
  }

  #assertSame(outcome: "none" | "unknown"): void {
    for (const [suffix, identity] of this.#known) {
      const found = identityOf(this.#path + suffix);
      if (found === identity) continue;
      if (suffix !== "" && !this.#isWal()) {
        this.#known.delete(suffix);
        continue;
      }
      // The next operation checks again: the file may come back.
      this.#lookedAt = -Infinity;
      const what = suffix === "" ? capital(this.#label) : `The ${suffix} file beside ${this.#label}`;
      throw new StoreUnavailableError(
        `${what} was ${found === null ? "removed" : "replaced"} while the application had it open (${this.#path}). Writes would be lost at the next start. Stop the application, put the file in place, remove its old -wal and -shm files, then start again: see docs/backup.md.`,
        { outcome },
      );
    }
  }

  /** The application may leave WAL mode, and SQLite then removes the companion files. */
  #isWal(): boolean {
    try {
      const [row] = this.#handle.prepare("PRAGMA journal_mode").all();
      return /wal/i.test(String(Array.isArray(row) ? row[0] : Object.values(row as object)[0]));
    } catch {
      return true;
    }
  }
}

/** The absolute path of the main database of a handle. Null in memory. */
export function pathOf(handle: SqliteHandle): string | null {
  const rows = handle.prepare("PRAGMA database_list").all() as unknown[];
  for (const row of rows) {
    const [, name, file] = Array.isArray(row) ? (row as unknown[]) : Object.values(row as object);
    if (name === "main") return typeof file === "string" && file !== "" ? file : null;
  }
  return null;
}

/** Device and inode. Null if there is no file. */
export function identityOf(path: string): string | null {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? null : `${found.dev}:${found.ino}`;
}

function capital(label: string): string {
  return label.charAt(0).toUpperCase() + label.slice(1);
}
