/** SQLite behind a client that runs batches of statements and keeps no transaction open: libSQL, D1, Durable Objects. */
import { ClosedError, StoredSessionError, StoreTimeoutError } from "../../errors.ts";
import { TimeLimit } from "../../shared/time-limit.ts";
import { changesOf, rowsOf } from "../columns.ts";
import { driverFault, explainDriver, neverSent } from "../driver-errors.ts";
import { withMigrationLease } from "../migration-lease.ts";
import { withRetries } from "../retry.ts";
import { policyOf, TRANSACTION } from "../operation-policy.ts";
import { COLUMNS } from "../table-shape.ts";
import { explain, isTransient, primaryCode } from "./errors.ts";
import type { Database, Dialect, Result, Run, Statement } from "../dialect.ts";
import type { OperationPolicy } from "../../shared/time-limit.ts";
import type { SqlValue } from "../values.ts";

/** A statement of a batch, with `?` for each value. */
export interface BatchStatement {
  readonly text: string;
  readonly values: readonly BatchValue[];
}

/** SQLite's own types. */
export type BatchValue = Exclude<SqlValue, object> | Uint8Array | null;

/** The result of a statement. Bytes are Uint8Array. */
export interface BatchResult {
  readonly rows: readonly object[];
  /** Rows that the statement changed. */
  readonly changes: number | bigint;
}

/** What a driver provides. */
export interface BatchClient {
  /**
   * Runs the statements in order in one transaction, all or none, and returns a result for each. Rejects with an error
   * whose `code` is the name of SQLite's result code (`SQLITE_CONSTRAINT`) if SQLite refused a statement.
   * @param writes whether a statement changes something
   */
  batch(statements: readonly BatchStatement[], writes: boolean): Promise<readonly BatchResult[]>;
  /** Called by `close` of a store that opened the client itself. */
  close?(): void | Promise<void>;
}

export interface BatchDatabaseOptions {
  readonly dialect: Dialect;
  /** Called at the first operation, and again if it failed. */
  readonly open: () => Promise<BatchClient>;
  /** Whether closing the store closes the client. */
  readonly owned: boolean;
  /** The function that the application called, for messages: `libsqlStore`. */
  readonly store: string;
  /** What the database is called in messages: "the libSQL database". */
  readonly label: string;
}

const PATIENCE = { milliseconds: 5_000, firstPause: 4, longestPause: 100 };

/** Fails, and with it the whole batch, if the statement before it changed fewer rows. */
const GUARD = (least: number): BatchStatement => ({
  text: `SELECT json(CASE WHEN changes() >= ${least} THEN 1 ELSE 'x' END)`,
  values: [],
});

export class BatchDatabase implements Database {
  readonly dialect: Dialect;
  readonly #options: BatchDatabaseOptions;
  readonly #limit = new TimeLimit();
  #opening: Promise<BatchClient> | null = null;
  #closed = false;

  constructor(options: BatchDatabaseOptions) {
    this.dialect = options.dialect;
    this.#options = options;
  }

  readonly run: Run = async (statement) => {
    const [result] = await this.#send([statement], policyOf(statement));
    return result!;
  };

  giveUpAfter(milliseconds: number): void {
    this.#limit.extendTo(milliseconds);
  }

  async transaction(statements: readonly Statement[]): Promise<Result[] | null> {
    try {
      return await this.#send(statements, TRANSACTION);
    } catch (error) {
      if (isRefusedByGuard(error, statements)) return null;
      throw error;
    }
  }

  /** Each statement is its own transaction. A lease keeps other processes away, whose table is created first. */
  async exclusively<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const { leases } = this.dialect.names;
    const makeTable = async (): Promise<void> => {
      await this.run({ text: leaseTable(leases), values: [], writes: true });
    };
    const lease = async (name: string, holder: string, until: number): Promise<boolean> => {
      const results = await this.transaction(this.dialect.lease(name, holder, until, Date.now()));
      return (results?.at(-1)?.changes ?? 0) > 0;
    };
    return await withMigrationLease({ makeTable, lease }, () => work(this.run));
  }

  closing(): void {
    this.#limit.close();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#options.owned && this.#opening) await (await this.#opening).close?.();
  }

  #client(): Promise<BatchClient> {
    if (this.#closed) throw new ClosedError("The store was closed.");
    this.#opening ??= this.#options.open().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  async #send(statements: readonly Statement[], policy: OperationPolicy): Promise<Result[]> {
    const writes = statements.some((statement) => statement.writes);
    const { batch, places } = withGuards(statements);
    try {
      const client = await this.#client();
      const results = await withRetries(PATIENCE, isTransient, () =>
        this.#limit.hold(policy.limit, client.batch(batch, writes), policy.ifTimedOut),
      );
      return statements.map(({ writes: isWrite }, nth) => {
        const { rows, changes } = results[places[nth]!]!;
        return { rows: rowsOf(rows), changes: isWrite ? changesOf(changes) : 0 };
      });
    } catch (error) {
      throw await this.#explain(error, writes);
    }
  }

  async #explain(error: unknown, writes: boolean): Promise<StoredSessionError> {
    if (error instanceof StoredSessionError) return error;
    const { store, label } = this.#options;
    const code = primaryCode(error);
    const fault = driverFault(error);
    if (code === undefined && (fault === "connection" || fault === "closed" || fault === "timeout"))
      return explainDriver(error, capital(label), store, writes ? "unknown" : "none");
    const schemaState = code === 1 ? await this.#schemaState() : "current";
    const table = this.dialect.names.sessions;
    return explain(error, {
      label,
      table,
      busyTimeout: PATIENCE.milliseconds,
      writes,
      ifLost: typeof error === "object" && error !== null && neverSent.has(error) ? "none" : "unknown",
      schemaState: () => schemaState,
    });
  }

  /** SQLite has one code for all errors in a statement, so the tables are inspected. */
  async #schemaState(): Promise<"missing" | "mismatched" | "current"> {
    const tables = ["sessions", "leases"] as const;
    let results: readonly BatchResult[];
    try {
      const client = await this.#client();
      const asked = tables.map((table) => this.dialect.columns(table) as BatchStatement);
      results = await client.batch(asked, false);
    } catch {
      return "current";
    }
    for (const [nth, table] of tables.entries()) {
      const found = new Set(rowsOf(results[nth]?.rows).map(({ name }) => name));
      if (found.size === 0) return "missing";
      if (!COLUMNS[table].every((column) => found.has(column))) return "mismatched";
    }
    return "current";
  }
}

/** The statements with a guard after each that has to change rows, and where the statements themselves are. */
function withGuards(statements: readonly Statement[]): { batch: BatchStatement[]; places: number[] } {
  const batch: BatchStatement[] = [];
  const places: number[] = [];
  for (const { text, values, atLeast = 0 } of statements) {
    places.push(batch.length);
    batch.push({ text, values: values as readonly BatchValue[] });
    if (atLeast > 0) batch.push(GUARD(atLeast));
  }
  return { batch, places };
}

function isRefusedByGuard(error: unknown, statements: readonly Statement[]): boolean {
  const { cause } = error as { cause?: unknown };
  return (
    statements.some(({ atLeast = 0 }) => atLeast > 0) &&
    !(error instanceof StoreTimeoutError) &&
    /malformed JSON/.test(String((cause as { message?: unknown } | null | undefined)?.message))
  );
}

/** The lease table as the first migration creates it, needed before that migration. */
function leaseTable(leases: string): string {
  return `CREATE TABLE IF NOT EXISTS ${leases} (name TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, held_until INTEGER NOT NULL) STRICT`;
}

function capital(label: string): string {
  return label.charAt(0).toUpperCase() + label.slice(1);
}
