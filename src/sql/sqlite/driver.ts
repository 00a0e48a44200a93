import { ClosedError } from "../../errors.ts";
import { changesOf, rowsOf } from "../columns.ts";
import { COLUMNS } from "../table-shape.ts";
import { ownersSettingsOf } from "./owner-settings.ts";
import { sqliteDialect } from "./dialect.ts";
import { SqliteCheckpoints } from "./checkpointer.ts";
import { pathOf, SqliteFile } from "./file.ts";
import { explain, isTransient, OpenTransactionError, primaryCode } from "./errors.ts";
import { durabilityWarningOf } from "./open.ts";
import { withRetries } from "../retry.ts";
import { Waiting } from "../lock-waits.ts";
import { begin, isClosed, isInTransaction, prepare, rollback, type Prepared } from "./handle-calls.ts";
import type { SqliteHandle } from "./handle.ts";
import type { Database, Dialect, Names, Result, Run, Script, Statement } from "../dialect.ts";

export interface SqliteDatabaseOptions {
  readonly names: Names;
  /** Loads the library that `open` needs, before `open` is called. */
  readonly load?: () => Promise<void>;
  /** Called before the first statement, and again if it threw. */
  readonly open: () => SqliteHandle;
  /** Called before the first writing statement or transaction, outside of it. */
  readonly beforeFirstWrite?: (handle: SqliteHandle) => void;
  /** Whether `close` closes the handle. */
  readonly owned: boolean;
  /** The path, if the store opens the file itself. */
  readonly file?: string;
  /** Whether a thread may checkpoint `file`: a plain path, opened with node:sqlite. */
  readonly checkpointsInThread?: boolean;
  /** The name of the file in messages: "the file …". */
  readonly label: string;
  /** Milliseconds that a statement waits for a file that another process holds. */
  readonly busyTimeout: number;
}

const NOTHING: Result = { rows: [], changes: 0 };

/**
 * A database over one handle. Every statement and transaction, except for a migration, runs within one turn of the
 * event loop, so that no two interleave. Only waiting for another connection is asynchronous.
 */
export class SqliteDatabase implements Database {
  readonly dialect: Dialect;
  /** The path that the first operation opens or creates; undefined for a handle and for memory. */
  readonly file: string | undefined;
  readonly #options: SqliteDatabaseOptions;
  readonly #prepared = new Map<string, Prepared>();
  readonly #waiting = new Waiting();
  #handle: SqliteHandle | null = null;
  #checkpoints: SqliteCheckpoints | null = null;
  /** Undefined before the first operation. */
  #file: SqliteFile | null | undefined;
  #exclusive: Promise<void> | null = null;
  #hasWritten = false;
  #closed = false;

  constructor(options: SqliteDatabaseOptions) {
    this.dialect = sqliteDialect(options.names);
    this.file = options.file;
    this.#options = options;
  }

  readonly run: Run = (statement) =>
    this.#patiently(statement.writes, (handle) => {
      // If the driver cannot tell whether the application has a transaction open, BEGIN reveals it.
      if (statement.writes && isInTransaction(handle) === undefined) {
        return this.#atomically(handle, [statement])?.[0] ?? NOTHING;
      }
      const result = this.#execute(handle, statement);
      if (statement.writes) this.#wrote(result.changes);
      return result;
    });

  transaction(statements: readonly Statement[]): Promise<Result[] | null> {
    const writes = statements.some((statement) => statement.writes);
    return this.#patiently(writes, (handle) => this.#atomically(handle, statements));
  }

  interactive<T>(script: () => Script<T>): Promise<T | null> {
    return this.#patiently(true, (handle) => {
      begin(handle, true);
      let changes = 0;
      let answer: T | null;
      try {
        const running = script();
        let step = running.next();
        while (!step.done) {
          const result = this.#execute(handle, step.value);
          changes += result.changes;
          step = running.next(result);
        }
        answer = step.value;
        handle.exec(answer === null ? "ROLLBACK" : "COMMIT");
      } catch (error) {
        rollback(handle);
        throw error;
      }
      if (answer !== null) this.#wrote(changes);
      return answer;
    });
  }

  waitedForLocks(): number {
    return this.#waiting.milliseconds;
  }

  async exclusively<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const release = await this.#patiently(true, (handle) => {
      begin(handle, true);
      return this.#exclude();
    });
    const handle = this.#handle as SqliteHandle;
    try {
      const answer = await work(async (statement) => this.#execute(handle, statement));
      handle.exec("COMMIT");
      this.#file?.afterWrite();
      return answer;
    } catch (error) {
      rollback(handle);
      throw this.#explain(error, true);
    } finally {
      release();
    }
  }

  async durabilityWarnings(): Promise<readonly string[]> {
    const warning = await this.#patiently(false, durabilityWarningOf);
    return warning === null ? [] : [`${warning}.`];
  }

  async ownersSettings(): Promise<readonly string[]> {
    if (this.#options.owned) return [];
    return await this.#patiently(false, (handle) =>
      ownersSettingsOf(handle.prepare("SELECT 1 AS one").all()),
    );
  }

  async close(): Promise<void> {
    while (this.#exclusive) await this.#exclusive;
    this.#closed = true;
    this.#prepared.clear();
    const handle = this.#handle;
    this.#handle = null;
    await this.#checkpoints?.close();
    if (handle && this.#options.owned) handle.close();
  }

  /** Makes all other operations wait until the returned function is called. */
  #exclude(): () => void {
    let release = (): void => {};
    this.#exclusive = new Promise((resolve) => {
      release = () => {
        this.#exclusive = null;
        resolve();
      };
    });
    return release;
  }

  async #patiently<T>(writes: boolean, work: (handle: SqliteHandle) => T): Promise<T> {
    try {
      return await withRetries(
        {
          milliseconds: this.#options.busyTimeout,
          firstPause: 2,
          longestPause: 50,
          onWait: this.#waiting.note,
        },
        isTransient,
        async () => {
          if (this.#handle === null) await this.#options.load?.();
          while (this.#exclusive) await this.#exclusive;
          if (this.#closed) throw new ClosedError("The store is closed.");
          this.#handle ??= this.#open();
          if (isInTransaction(this.#handle)) throw new OpenTransactionError();
          if (this.#file === undefined) {
            this.#file = SqliteFile.of(this.#handle, pathOf(this.#handle), this.#options.label);
          }
          this.#file?.beforeOperation();
          if (writes && !this.#hasWritten) {
            this.#options.beforeFirstWrite?.(this.#handle);
            this.#hasWritten = true;
          }
          return work(this.#handle);
        },
      );
    } catch (error) {
      throw this.#explain(error, writes);
    }
  }

  #open(): SqliteHandle {
    const { open, file, checkpointsInThread } = this.#options;
    const handle = open();
    if (checkpointsInThread && file) this.#checkpoints = new SqliteCheckpoints(handle, file);
    return handle;
  }

  /** After a commit, before it is acknowledged. */
  #wrote(rows: number): void {
    this.#file?.afterWrite();
    this.#checkpoints?.wrote(rows);
  }

  #atomically(handle: SqliteHandle, statements: readonly Statement[]): Result[] | null {
    begin(
      handle,
      statements.some((statement) => statement.writes),
    );
    const results: Result[] = [];
    try {
      for (const statement of statements) {
        const result = this.#execute(handle, statement);
        if (Math.max(result.changes, result.rows.length) < (statement.atLeast ?? 0)) {
          handle.exec("ROLLBACK");
          return null;
        }
        results.push(result);
      }
      handle.exec("COMMIT");
    } catch (error) {
      rollback(handle);
      throw error;
    }
    const rows = results.reduce((sum, { changes }) => sum + changes, 0);
    if (statements.some(({ writes }) => writes)) this.#wrote(rows);
    return results;
  }

  #execute(handle: SqliteHandle, { text, values, writes }: Statement): Result {
    let prepared = this.#prepared.get(text);
    if (!prepared) {
      // Texts vary only with the length of short lists, so this bound is not reached in practice.
      if (this.#prepared.size >= 200) this.#prepared.clear();
      prepared = prepare(handle, text);
      this.#prepared.set(text, prepared);
    }
    if (writes) return { rows: [], changes: changesOf(prepared.run(...values)?.changes) };
    return { rows: rowsOf(prepared.all(...values)), changes: 0 };
  }

  #explain(error: unknown, writes: boolean): Error {
    const { label, busyTimeout, names } = this.#options;
    const handle = this.#handle;
    // better-sqlite3 sets no error code if its handle is closed.
    if (handle && isClosed(handle) && primaryCode(error) === undefined) {
      return new ClosedError(`The application closed the handle of ${label}.`, { cause: error });
    }
    const table = names.sessions;
    return explain(error, { label, table, busyTimeout, writes, schemaState: () => this.#schemaState() });
  }

  #schemaState(): "missing" | "mismatched" | "current" {
    const handle = this.#handle;
    if (!handle) return "current";
    const states = (["sessions", "leases"] as const).map((table) => {
      const { rows } = this.#execute(handle, this.dialect.columns(table));
      const found = new Set(rows.map(({ name }) => name));
      if (found.size === 0) return "missing";
      return COLUMNS[table].every((column) => found.has(column)) ? "current" : "mismatched";
    });
    return states.find((state) => state !== "current") ?? "current";
  }
}
