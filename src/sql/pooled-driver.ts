import { ClosedError, StoredSessionError, type StoreError } from "../errors.ts";
import { TimeLimit, type OperationPolicy } from "../shared/time-limit.ts";
import { outsideRequests } from "../shared/outside-requests.ts";
import { Checkout, type Lender } from "./checkout.ts";
import { isEstablished, seen } from "./connection-age.ts";
import { isConnectionError } from "./driver-errors.ts";
import { DurabilityWarning } from "./durability-warning.ts";
import { runSteps } from "./transaction-steps.ts";
import { leakedTransaction, LeakedTransactionWarning } from "./leaked-transaction.ts";
import { withRetries } from "./retry.ts";
import { READ, policyOf, TRANSACTION } from "./operation-policy.ts";
import { isUnplaced, placeOf, type Places } from "./tables-place.ts";
import type { Database, Dialect, Names, Result, Run, Script, Statement } from "./dialect.ts";

/** The parts used of any pool. */
export interface Pool {
  end(): Promise<void>;
}

/** The parts used of any connection of a pool. */
export interface Connection {
  release(): void;
}

/** The dialect of a server. The schema of its tables may become known later. */
export interface ServerDialect extends Dialect {
  /**
   * From now on, qualifies table names with their schema. Returns false if the schema's name cannot be used in a
   * statement.
   */
  locatedIn(schema: string): boolean;
}

/** How errors of a server are classified: the functions of its folder's `errors.ts`. */
export interface ServerErrors {
  /** The server's error code. Null if the server did not report the error. */
  codeOf(error: unknown): string | number | null;
  /** Whether the connection is unusable. */
  isBroken(error: unknown): boolean;
  /** Whether this server is read-only; another might not be. */
  isReadOnly(error: unknown): boolean;
  explain(error: unknown, names: Names, lost: OperationPolicy["ifLost"]): StoreError;
}

export interface PooledDatabaseOptions<SomeDialect extends ServerDialect> {
  readonly dialect: SomeDialect;
  /** Whether closing the store closes the pool. */
  readonly owned: boolean;
}

const PATIENCE = { attempts: 6, milliseconds: 2_000, firstPause: 4, longestPause: 100 };

/** Errors of connections that were lost while they were borrowed. */
const interrupted = new WeakSet<object>();

/**
 * A database behind a pool: borrows, watches, returns and drops connections, whatever the driver. A driver extends this
 * class with how it sends a statement and what it knows about a connection.
 */
export abstract class PooledDatabase<
  SomePool extends Pool,
  SomeConnection extends Connection,
  SomeDialect extends ServerDialect,
> implements Database {
  readonly dialect: SomeDialect;
  protected readonly limit: TimeLimit = new TimeLimit();
  protected readonly owned: boolean;
  protected readonly warning: DurabilityWarning = new DurabilityWarning();
  protected readonly leakedTransaction: LeakedTransactionWarning;
  readonly #store: string;
  readonly #errors: ServerErrors;
  readonly #open: () => Promise<SomePool>;
  #opening: Promise<SomePool> | null = null;
  /** Null until the pool is open. */
  #lender: Lender<SomeConnection> | null = null;
  #closed = false;
  #locating: Promise<void> | null = null;
  #isLocated: boolean;

  /** @param store the function that the application called, for error messages */
  constructor(
    open: () => Promise<SomePool>,
    options: PooledDatabaseOptions<SomeDialect>,
    store: string,
    errors: ServerErrors,
  ) {
    this.dialect = options.dialect;
    this.owned = options.owned;
    this.leakedTransaction = new LeakedTransactionWarning(store);
    this.#store = store;
    this.#errors = errors;
    this.#open = open;
    this.#isLocated = options.owned || !isUnplaced(this.dialect.names.sessions);
  }

  /** A connection of the pool. */
  protected abstract connect(pool: SomePool): Promise<SomeConnection>;
  /** Maximum size of the pool. Undefined if the pool does not expose it. */
  protected abstract connectionsOf(pool: SomePool): number | undefined;
  /** The connection itself, for drivers that hand out a new wrapper each time. */
  protected abstract coreOf(connection: SomeConnection): object;
  /** Drops the connection, so that the pool opens another. */
  protected abstract drop(connection: SomeConnection): void;
  /** Prepares a connection before its first statement. Undefined if there is nothing to do. */
  protected abstract greet(connection: SomeConnection): Promise<void> | undefined;
  /** Sends a statement as its own transaction. */
  protected abstract sendAlone(connection: SomeConnection, statement: Statement): Promise<Result>;
  protected abstract send(connection: SomeConnection, statement: Statement): Promise<Result>;
  /** Begins a transaction, runs `work` and commits. Rolls back if `work` throws or returns null. */
  protected abstract within<T>(connection: SomeConnection, work: () => Promise<T>): Promise<T>;
  /** Whether a failed operation was rolled back and can be retried. */
  protected abstract isUndone(error: unknown): boolean;
  protected abstract durabilityWarningsOf(connection: SomeConnection): Promise<readonly string[]>;
  /** Finds the schema of the table, for a connection as it came and by the pool's own settings. */
  protected abstract placesOf(table: string): Promise<Places>;
  /** The setting that selects a schema, for error messages. */
  protected abstract readonly placeSetting: string;
  /** Whether a connection was released inside a transaction. Not every driver reports it. */
  protected isInTransaction?(connection: SomeConnection): boolean;
  /** Called after a connection is borrowed and before it is returned. */
  protected borrowed?(connection: SomeConnection): void;
  protected returning?(connection: SomeConnection): void;

  abstract exclusively<T>(work: (run: Run) => Promise<T>): Promise<T>;
  abstract ownersSettings(): Promise<readonly string[]>;

  locate(): Promise<void> | undefined {
    if (this.#isLocated || this.#closed) return undefined;
    this.#locating ??= this.#locate().finally(() => (this.#locating = null));
    return this.#locating;
  }

  readonly run: Run = (statement) =>
    this.retried(statement.writes, () =>
      this.borrow(policyOf(statement), (connection) => this.sendAlone(connection, statement)),
    );

  giveUpAfter(milliseconds: number): void {
    this.limit.extendTo(milliseconds);
  }

  async transaction(statements: readonly Statement[]): Promise<Result[] | null> {
    return await this.retried(true, () =>
      this.borrow(TRANSACTION, (connection) => this.sendTogether(connection, statements)),
    );
  }

  async interactive<T>(script: () => Script<T>): Promise<T | null> {
    return await this.retried(true, () =>
      this.borrow(TRANSACTION, (connection) =>
        this.within(connection, () => play(script(), (statement) => this.send(connection, statement))),
      ),
    );
  }

  async durabilityWarnings(): Promise<readonly string[]> {
    return await this.borrow(READ, (connection) => this.durabilityWarningsOf(connection));
  }

  closing(): void {
    this.limit.close();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.owned && this.#opening) await (await this.#opening).end();
  }

  /** Opened at first use. A failure to open is not cached. */
  protected pool(): Promise<SomePool> {
    this.#assertOpen();
    this.#opening ??= outsideRequests(this.#open).catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  /** Retries if that is safe: operations that were rolled back, and reads whose connection was lost. */
  protected retried<T>(writes: boolean, attempt: () => Promise<T>): Promise<T> {
    const isTransient = (error: unknown): boolean => {
      if (this.isUndone(error)) return true;
      const { cause } = error as Error;
      // A pool may hand out connections from before a server restart; a read is worth retrying.
      return !writes && typeof cause === "object" && cause !== null && interrupted.has(cause);
    };
    return withRetries(PATIENCE, isTransient, attempt);
  }

  protected sendTogether(
    connection: SomeConnection,
    statements: readonly Statement[],
  ): Promise<Result[] | null> {
    return this.within(connection, () =>
      runSteps(statements, (statement) => this.send(connection, statement)),
    );
  }

  /**
   * A failure before a connection is available reached no server. After that, the outcome of a lost write is unknown.
   */
  protected borrow<T>(policy: OperationPolicy, work: (connection: SomeConnection) => Promise<T>): Promise<T> {
    if (this.#lender !== null) return Checkout.of(this.#lender, policy, work);
    return this.#opened().then((lender) => Checkout.of(lender, policy, work));
  }

  protected fail(error: unknown, lost: OperationPolicy["ifLost"]): never {
    throw this.#explained(error, lost);
  }

  #explained(error: unknown, lost: OperationPolicy["ifLost"]): Error {
    return error instanceof StoredSessionError
      ? error
      : this.#errors.explain(error, this.dialect.names, lost);
  }

  #isBroken(error: unknown, connection: SomeConnection): boolean {
    const { codeOf, isBroken, isReadOnly } = this.#errors;
    const cause = error instanceof StoredSessionError ? error.cause : error;
    if (cause === undefined) return false;
    const broken = isBroken(cause) || (isReadOnly(cause) && isEstablished(this.coreOf(connection)));
    // An error of the driver itself would recur on every other connection.
    const isLost = broken && (codeOf(cause) !== null || cause !== error || isConnectionError(cause));
    if (isLost && typeof cause === "object" && cause !== null) interrupted.add(cause);
    return broken;
  }

  /** The pool, opened. */
  async #opened(): Promise<Lender<SomeConnection>> {
    try {
      const pool = await this.pool();
      return (this.#lender ??= this.#lenderOf(pool));
    } catch (error) {
      return this.fail(error, "none");
    }
  }

  #lenderOf(pool: SomePool): Lender<SomeConnection> {
    const connectionsOf = () => this.connectionsOf(pool);
    const connect = () => this.connect(pool);
    return {
      limit: this.limit,
      get connections() {
        return connectionsOf();
      },
      connect: () => {
        this.#assertOpen();
        return outsideRequests(connect);
      },
      admit: (connection) => this.#admit(connection),
      noneAdmitted: () => leakedTransaction(this.#store, "none"),
      greet: (connection) => this.greet(connection),
      isBroken: (error, connection) => this.#isBroken(error, connection),
      release: (connection, broken) => {
        this.returning?.(connection);
        if (broken) this.drop(connection);
        else connection.release();
      },
      returnUnused: (connection) => connection.release(),
      explain: (error, outcome) => this.#explained(error, outcome),
    };
  }

  /**
   * A connection that arrives after the store was closed is returned unused. One that was released inside a transaction
   * is dropped: the pool hands out the most recently returned connection first, so it would be the same one each time.
   */
  #admit(connection: SomeConnection): boolean {
    if (this.#closed) connection.release();
    this.#assertOpen();
    if (this.isInTransaction?.(connection)) {
      this.leakedTransaction.warn();
      this.drop(connection);
      return false;
    }
    this.borrowed?.(connection);
    seen(this.coreOf(connection));
    return true;
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError("The store is closed.");
  }

  /** The application may have left a connection with another schema than its pool starts with. */
  async #locate(): Promise<void> {
    const { sessions: table } = this.dialect.names;
    const schema = placeOf(await this.placesOf(table), table, this.#store, this.placeSetting);
    if (schema === null || this.#isLocated) return;
    this.#isLocated = this.dialect.locatedIn(schema);
  }
}

/** Runs a script to its end. */
async function play<T>(script: Script<T>, run: Run): Promise<T | null> {
  let step = script.next();
  while (!step.done) step = script.next(await run(step.value));
  return step.value;
}
