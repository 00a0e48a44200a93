import { statSync } from "node:fs";
import { StoreUnavailableError } from "../../errors.ts";
import type { SqliteHandle } from "./handle.ts";

/** Milliseconds between two looks of operations that only read. */
const BETWEEN_READS = 100;

/** What SQLite keeps beside the file in WAL mode. Commits are in the first of these until a checkpoint. */
const BESIDE = ["-wal", "-shm"] as const;

/**
 * Notices that the file of an open database was removed or replaced. SQLite goes on with the one that it has open,
 * which nobody will ever open again: what is acknowledged from then on would be lost (promise 7).
 *
 * An inode that is open is not given to another file, so the same device and inode are the same file.
 */
export class SqliteFile {
  readonly #handle: SqliteHandle;
  readonly #path: string;
  readonly #label: string;
  /** By the suffix of the name. The files beside are known from the first write on that finds them. */
  readonly #known = new Map<string, string>();
  #lookedAt = -Infinity;

  private constructor(handle: SqliteHandle, path: string, label: string) {
    this.#handle = handle;
    this.#path = path;
    this.#label = label;
    this.#learn("");
  }

  /** Null for a database that has no file, or none that can be looked at. */
  static of(handle: SqliteHandle, path: string | null, label: string): SqliteFile | null {
    return path === null || identityOf(path) === null ? null : new SqliteFile(handle, path, label);
  }

  /** To be called before an operation; looks now and then. */
  beforeOperation(): void {
    const now = performance.now();
    if (now - this.#lookedAt < BETWEEN_READS) return;
    this.#assertSame("none");
    this.#lookedAt = now;
  }

  /** To be called after a commit, before it is acknowledged; looks every time. */
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
      // The next operation looks again: the file may come back.
      this.#lookedAt = -Infinity;
      const what = suffix === "" ? capital(this.#label) : `The ${suffix} file beside ${this.#label}`;
      throw new StoreUnavailableError(
        `${what} was ${found === null ? "removed" : "replaced"} while the application had it open (${this.#path}). Writes would be lost at the next start. Stop the application, put the file in place, remove its old -wal and -shm files, then start again: see "Backup and restore" in docs/operations.md.`,
        { outcome },
      );
    }
  }

  /** The owner of a handle may leave WAL mode, and SQLite then removes the files beside. */
  #isWal(): boolean {
    try {
      const [row] = this.#handle.prepare("PRAGMA journal_mode").all();
      return /wal/i.test(String(Array.isArray(row) ? row[0] : Object.values(row as object)[0]));
    } catch {
      return true;
    }
  }
}

/** The absolute path of the main database of a handle; null in memory. */
export function pathOf(handle: SqliteHandle): string | null {
  const rows = handle.prepare("PRAGMA database_list").all() as unknown[];
  for (const row of rows) {
    const [, name, file] = Array.isArray(row) ? (row as unknown[]) : Object.values(row as object);
    if (name === "main") return typeof file === "string" && file !== "" ? file : null;
  }
  return null;
}

/** Device and inode; null where there is no file. */
export function identityOf(path: string): string | null {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? null : `${found.dev}:${found.ino}`;
}

function capital(label: string): string {
  return label.charAt(0).toUpperCase() + label.slice(1);
}
