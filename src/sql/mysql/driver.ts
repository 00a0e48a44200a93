import { createHash, randomUUID } from "node:crypto";
import {
  ClosedError,
  StoredSessionError,
  StoreError,
  StoreTimeoutError,
  StoreUnavailableError,
} from "../../errors.ts";
import { ASK_MYSQL, durabilityOfMysql, durabilityWarningsIn } from "../durability.ts";
import { inOrder } from "../in-order.ts";
import { isUndone, leakedTransaction, LeakedTransactionWarning } from "../leaked-transaction.ts";
import { changesOf, rowsOf, textIn } from "../columns.ts";
import { isConnectionError } from "../driver-errors.ts";
import {
  errorNumber,
  explain,
  explainMigration,
  isBroken,
  isReadOnly,
  isOtherVersion,
  isTransientError,
} from "./errors.ts";
import { AUTOCOMMIT, IN_TRANSACTION, statusOf } from "./status.ts";
import { ASK_MYSQL_SESSION, mysqlSettings } from "../pool-settings.ts";
import { outsideRequests } from "../../shared/outside-requests.ts";
import { withRetries } from "../retry.ts";
import { isEstablished, seen } from "../connection-age.ts";
import { isUnplaced, placeOf } from "../tables-place.ts";
import { TimeLimit, type RoundTrip } from "../../shared/time-limit.ts";
import { READ, roundTripOf, TRANSACTION, UNLIMITED } from "../round-trip.ts";
import { DurabilityWarning } from "../durability-warning.ts";
import type { Database, Result, Run, Statement } from "../dialect.ts";
import type { MysqlDialect } from "./dialect.ts";

/** What is used of a connection of a `mysql2/promise` pool. */
export interface MysqlConnection {
  execute(options: MysqlExecute, values: never[]): Promise<[unknown, ...unknown[]]>;
  query(options: Pick<MysqlExecute, "sql"> & Partial<MysqlExecute>): Promise<[unknown, ...unknown[]]>;
  release(): void;
  destroy(): void;
  /** What this is a face of: mysql2 makes a new face each time that it hands the connection out. */
  readonly connection?: object;
}

export interface MysqlExecute {
  readonly sql: string;
  readonly rowsAsArray: false;
  readonly nestTables: false;
  /** In place of that of the application's pool. */
  readonly typeCast: true | ((field: unknown, next: () => unknown) => unknown);
}

/** What is used of a pool of `mysql2/promise`. */
export interface MysqlPool {
  /** The pool of callbacks underneath. A limit of 0 is none. */
  readonly pool?: {
    readonly config?: {
      readonly connectionLimit?: number;
      /** What its connections begin with. */
      readonly connectionConfig?: { readonly database?: string };
    };
  };
  getConnection(): Promise<MysqlConnection>;
  end(): Promise<void>;
}

export interface MysqlDatabaseOptions {
  readonly dialect: MysqlDialect;
  /** Whether closing the store closes the pool. */
  readonly owned: boolean;
}

/** Whatever `completion_type` the application has set: it begins another transaction or ends the connection. */
const COMMIT = "COMMIT AND NO CHAIN NO RELEASE";
const ROLLBACK = "ROLLBACK AND NO CHAIN NO RELEASE";

const PATIENCE = { attempts: 6, milliseconds: 2_000, firstPause: 4, longestPause: 100 };

/** How long one process may migrate, and how long another waits for it. */
const MIGRATION_LEASE = 60_000;

export class MysqlDatabase implements Database {
  readonly dialect: MysqlDialect;
  readonly #limit = new TimeLimit();
  #connections: number | undefined;
  readonly #owned: boolean;
  readonly #open: () => Promise<MysqlPool>;
  #opening: Promise<MysqlPool> | null = null;
  #closed = false;
  /** Connections whose server and settings are known. */
  readonly #greeted = new WeakSet<object>();
  readonly #warning = new DurabilityWarning();
  readonly #leakedTransaction = new LeakedTransactionWarning("mysqlStore");
  /** The same in every process, whether it has found the tables' database or not. */
  readonly #lockName: string;
  #locating: Promise<void> | null = null;
  #isLocated: boolean;

  constructor(open: () => Promise<MysqlPool>, options: MysqlDatabaseOptions) {
    this.dialect = options.dialect;
    this.#open = open;
    this.#owned = options.owned;
    this.#lockName = this.dialect.names.leases;
    this.#isLocated = options.owned || !isUnplaced(this.dialect.names.sessions);
  }

  locate(): Promise<void> | undefined {
    if (this.#isLocated || this.#closed) return undefined;
    this.#locating ??= this.#locate().finally(() => (this.#locating = null));
    return this.#locating;
  }

  readonly run: Run = (statement) =>
    withRetries(PATIENCE, isTransient(statement.writes), () =>
      this.#withConnection(roundTripOf(statement), (connection) => this.#sendAlone(connection, statement)),
    );

  giveUpAfter(milliseconds: number): void {
    this.#limit.extendTo(milliseconds);
  }

  async transaction(statements: readonly Statement[]): Promise<Result[] | null> {
    return await withRetries(PATIENCE, isTransient(true), () =>
      this.#withConnection(TRANSACTION, (connection) => this.#inTransaction(connection, statements)),
    );
  }

  /**
   * Two locks. GET_LOCK ends with its connection, so a process that dies blocks nobody, but in a Galera or Group
   * Replication cluster it holds on one node only; the lease row is everybody's, but outlives its holder a while.
   */
  async exclusively<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const { leases } = this.dialect.names;
    const name = `stored-session:${createHash("sha256").update(this.#lockName).digest("hex").slice(0, 40)}`;
    const [holder, lease] = [randomUUID(), "stored-session:migrate"];
    return await this.#withConnection(UNLIMITED, async (connection) => {
      const run: Run = (statement) =>
        send(connection, statement).catch((error: unknown) =>
          // No transaction holds a CREATE TABLE: where the answer is lost, it may be there.
          this.#fail(
            explainMigration(error, this.dialect.names) ?? error,
            statement.writes ? "unknown" : "none",
          ),
        );
      const { rows } = await run(
        locking("SELECT GET_LOCK(?, ?) AS held LIMIT 1", name, MIGRATION_LEASE / 1_000),
      );
      if (Number(rows[0]?.["held"]) !== 1) throw tooLong();
      try {
        await run({ text: leaseTable(leases), values: [], writes: true });
        await this.#waitForLease(connection, lease, holder);
        try {
          return await work(run);
        } finally {
          // Also after a failure, or the others would wait for the lease to run out and hide the reason.
          await this.#lease(connection, lease, holder, 0).catch(ignore);
        }
      } finally {
        await connection.query({ sql: `DO RELEASE_LOCK('${name}')` }).catch(ignore);
      }
    });
  }

  async durabilityWarnings(): Promise<readonly string[]> {
    return await this.#withConnection(READ, (connection) => durabilityWarningsOf(connection));
  }

  async ownersSettings(): Promise<readonly string[]> {
    if (this.#owned) return [];
    return await this.#withConnection(READ, async (connection) => {
      const { config = {} } = coreOf(connection) as { config?: Readonly<Record<string, unknown>> };
      const { rows } = await send(connection, { text: ASK_MYSQL_SESSION, values: [], writes: false });
      return mysqlSettings(config, rows[0] ?? {}, await databaseOf(connection));
    });
  }

  closing(): void {
    this.#limit.close();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#owned && this.#opening) await (await this.#opening).end();
  }

  async #waitForLease(connection: MysqlConnection, name: string, holder: string): Promise<void> {
    const end = Date.now() + 2 * MIGRATION_LEASE;
    while (!(await this.#lease(connection, name, holder, Date.now() + MIGRATION_LEASE))) {
      if (Date.now() > end) throw tooLong();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #lease(connection: MysqlConnection, name: string, holder: string, until: number): Promise<boolean> {
    const statements = this.dialect.lease(name, holder, until, Date.now());
    const results = await withRetries(PATIENCE, isTransient(true), () =>
      this.#inTransaction(connection, statements).catch((error: unknown) => this.#fail(error, "none")),
    );
    return (results?.at(-1)?.rows.length ?? 0) > 0;
  }

  /** By the connection as it came, and by what the pool connects to: the application may have left another database. */
  async #locate(): Promise<void> {
    const { sessions: table } = this.dialect.names;
    const usual = (await this.#pool()).pool?.config?.connectionConfig?.database;
    const now = await withRetries(PATIENCE, isTransient(false), () => this.#withConnection(READ, databaseOf));
    const { rows } = await this.run({
      text: "SELECT table_schema AS place FROM information_schema.tables WHERE table_schema IN (?, ?) AND table_name = ? LIMIT 2",
      values: [now ?? "", usual ?? "", table.slice(1, -1)],
      writes: false,
    });
    // The server may have the names in lower case.
    const found = rows.map((row) => textIn(row, "place"));
    const find = (name: string | null | undefined): string | null =>
      found.find((place) => place.toLowerCase() === name?.toLowerCase()) ?? null;
    const schema = placeOf({ now: find(now), usual: find(usual) }, table, "mysqlStore");
    // A dot or a backtick in a name is taken apart elsewhere.
    if (schema === null || /[.`]/.test(schema) || this.#isLocated) return;
    this.dialect.locatedIn(schema);
    this.#isLocated = true;
  }

  /** Opened at first use; a failure to open is not remembered. */
  #pool(): Promise<MysqlPool> {
    if (this.#closed) throw new ClosedError("The store was closed.");
    this.#opening ??= outsideRequests(this.#open).catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  /** A failure before a connection is had reached no server; after that, a lost write is unknown. */
  async #withConnection<T>(trip: RoundTrip, work: (connection: MysqlConnection) => Promise<T>): Promise<T> {
    let connection: MysqlConnection;
    try {
      connection = await this.#connect(trip);
    } catch (error) {
      return this.#fail(error, "none");
    }
    seen(coreOf(connection));
    try {
      return await this.#limit.lend({
        trip,
        connections: this.#connections,
        work: () =>
          this.#greeted.has(coreOf(connection))
            ? work(connection)
            : this.#greet(connection).then(() => work(connection)),
        back: (broken) => {
          if (broken) destroy(connection);
          else connection.release();
        },
        isBroken: (error) => {
          const cause = error instanceof StoredSessionError ? error.cause : error;
          if (cause === undefined) return false;
          const broken = isBroken(cause) || (isReadOnly(cause) && isEstablished(coreOf(connection)));
          // An error of the driver alone would come again on every other connection.
          const isLost =
            broken && (errorNumber(cause) !== null || cause !== error || isConnectionError(cause));
          if (isLost && typeof cause === "object" && cause !== null) interrupted.add(cause);
          return broken;
        },
      });
    } catch (error) {
      return this.#fail(error, trip.lost);
    }
  }

  /** A connection that comes when the store was closed goes back as it came. */
  async #connect({ limit }: RoundTrip): Promise<MysqlConnection> {
    const pool = await this.#pool();
    this.#connections = pool.pool?.config?.connectionLimit || undefined;
    const connection = await this.#limit.obtain(
      limit,
      outsideRequests(() => pool.getConnection()),
    );
    if (!this.#closed) return connection;
    connection.release();
    throw new ClosedError("The store was closed.");
  }

  /**
   * Asks a connection at its first use for the server's version, whether it commits by itself, and how long it waits
   * for a row that somebody has locked: the row's neighbours in a batch wait with it.
   */
  async #greet(connection: MysqlConnection): Promise<void> {
    // Before the statement is sent, so a failure leaves nothing behind.
    const { version, autocommit, patience } = await send(connection, {
      text: "SELECT VERSION() AS version, @@autocommit AS autocommit, @@innodb_lock_wait_timeout AS patience LIMIT 1",
      values: [],
      writes: false,
    }).then(
      ({ rows }) => rows[0] ?? {},
      (error: unknown) => this.#fail(error, "none"),
    );
    if (/mariadb/i.test(String(version))) this.dialect.isMariadb();
    if (Number(autocommit) === 0 && !this.#owned) throw autocommitIsOff();
    const settings = Number(autocommit) === 0 ? ["autocommit = 1"] : [];
    const seconds = lockWait(this.#limit.milliseconds);
    if (this.#owned && Number(patience) > seconds) settings.push(`innodb_lock_wait_timeout = ${seconds}`);
    if (settings.length > 0) {
      await connection
        .query({ sql: `SET ${settings.join(", ")}` })
        .catch((error: unknown) => this.#fail(error, "none"));
    }
    this.#greeted.add(coreOf(connection));
    const server = this.dialect.name === "mariadb" ? "MariaDB" : "MySQL";
    await this.#warning.tell(server, () => durabilityWarningsOf(connection));
  }

  /** A statement that is its own transaction, unless the pool's owner has left one open on the connection. */
  async #sendAlone(connection: MysqlConnection, statement: Statement): Promise<Result> {
    let answer: unknown;
    try {
      answer = await execute(connection, statement);
    } catch (error) {
      // It was undone, but the locks that it took stay where a transaction is open, and the store would wait for them.
      if (isOtherVersion(error) && !this.#owned)
        await this.#endTransaction(connection, await this.#ask(connection), "none");
      throw error;
    }
    let status = statusOf(answer, coreOf(connection));
    const isHidden = status === undefined && Array.isArray(answer);
    if (isHidden && statement.writes && !this.#owned) status = await this.#ask(connection);
    await this.#endTransaction(connection, status, statement.writes ? "unknown" : "none");
    return resultOf(answer, statement);
  }

  async #endTransaction(
    connection: MysqlConnection,
    status: number | undefined,
    lost: RoundTrip["lost"],
  ): Promise<void> {
    if (status === undefined || !(status & IN_TRANSACTION)) return;
    await (status & AUTOCOMMIT ? this.#giveUp(connection, lost) : this.#refuse(connection, lost));
  }

  async #ask(connection: MysqlConnection): Promise<number | undefined> {
    const [answer] = await connection
      .query({ sql: "DO 0" })
      .catch((error: unknown) => notTold(error, "unknown"));
    return statusOf(answer, coreOf(connection));
  }

  /** The pool's owner has turned autocommit off since the first use. */
  async #refuse(connection: MysqlConnection, lost: RoundTrip["lost"]): Promise<void> {
    const statement = { text: "SELECT @@autocommit AS autocommit LIMIT 1", values: [], writes: false };
    try {
      // Asked once more, because a proxy may tell the state of another connection.
      const { rows } = await send(connection, statement);
      if (Number(rows[0]?.["autocommit"]) !== 0) return;
      await connection.query({ sql: ROLLBACK });
    } catch (error) {
      notTold(error, lost);
    }
    this.#greeted.delete(coreOf(connection));
    throw autocommitIsOff();
  }

  /**
   * Undoes what was written in a transaction that the application has left open. The connection is given up as well:
   * what the application still sends through it would else be kept without the rest.
   */
  async #giveUp(connection: MysqlConnection, lost: RoundTrip["lost"]): Promise<void> {
    // Both at once, so that no COMMIT comes between them: a transaction that is open still is the one of the statement.
    const [[answer]] = await Promise.all([
      connection.query({ sql: "DO 0" }),
      connection.query({ sql: ROLLBACK }),
    ]).catch((error: unknown) => notTold(error, lost));
    const isOpen = (statusOf(answer, coreOf(connection)) ?? 0) & IN_TRANSACTION;
    if (!isOpen && lost === "none") return;
    this.#leakedTransaction.tell();
    throw leakedTransaction("mysqlStore", isOpen ? "none" : lost);
  }

  async #inTransaction(
    connection: MysqlConnection,
    statements: readonly Statement[],
  ): Promise<Result[] | null> {
    let committing = false;
    try {
      await connection.query({ sql: "START TRANSACTION" });
      const results = await inOrder(statements, (statement) => send(connection, statement));
      committing = results !== null;
      await connection.query({ sql: committing ? COMMIT : ROLLBACK });
      return results;
    } catch (error) {
      // A refusal of the server's (a conflict in the cluster) says that nothing was committed.
      if (committing && isBroken(error)) return this.#fail(error, "unknown");
      if (!isBroken(error)) await connection.query({ sql: ROLLBACK }).catch(ignore);
      throw error;
    }
  }

  #fail(error: unknown, lost: RoundTrip["lost"]): never {
    throw error instanceof StoredSessionError ? error : explain(error, this.dialect.names, lost);
  }
}

async function send(connection: MysqlConnection, statement: Statement): Promise<Result> {
  return resultOf(await execute(connection, statement), statement);
}

async function execute(connection: MysqlConnection, { text, values }: Statement): Promise<unknown> {
  const options = {
    sql: text,
    rowsAsArray: false,
    nestTables: false,
    typeCast: typeCastOf(connection),
  } as const;
  return (await connection.execute(options, values as never[]))[0];
}

/** Not by a prepared statement, which keeps the database that it was prepared in. */
async function databaseOf(connection: MysqlConnection): Promise<string | null> {
  const sql = "SELECT DATABASE() AS place LIMIT 1";
  const typeCast = typeCastOf(connection);
  const [answer] = await connection.query({ sql, rowsAsArray: false, nestTables: false, typeCast });
  const [row = {}] = rowsOf(answer);
  return row["place"] === null ? null : textIn(row, "place");
}

/** mysql2 puts a function of the pool before `true`, and only another function before that. */
function typeCastOf(connection: MysqlConnection): MysqlExecute["typeCast"] {
  const { config } = coreOf(connection) as { config?: { typeCast?: unknown } };
  return typeof config?.typeCast === "function" ? asIs : true;
}

function asIs(_field: unknown, next: () => unknown): unknown {
  return next();
}

function resultOf(answer: unknown, { writes }: Statement): Result {
  // An answer without rows tells how many it changed.
  const { affectedRows } = (answer ?? {}) as { affectedRows?: unknown };
  if (affectedRows !== undefined && !Array.isArray(answer))
    return { rows: [], changes: writes ? changesOf(affectedRows) : 0 };
  const rows = rowsOf(answer);
  return { rows, changes: writes ? rows.length : 0 };
}

/** An error that ends the connection, whatever the server said: a write stands there as it may. */
function notTold(error: unknown, outcome: RoundTrip["lost"]): never {
  const cause = new Error("The connection did not tell whether it commits by itself.", { cause: error });
  throw new StoreUnavailableError("A statement was answered, and whether it is kept could not be asked.", {
    cause,
    outcome,
  });
}

/** Seconds, so short that a batch can wait and each of its rows again. Without a time limit as the server has it. */
function lockWait(storeTimeout: number): number {
  return storeTimeout === 0 ? Infinity : Math.max(1, Math.floor((0.4 * storeTimeout) / 1_000));
}

/** Of mysql2 `destroy` says goodbye and waits for the server, which may have vanished. */
function destroy(connection: MysqlConnection): void {
  connection.destroy();
  const { stream } = coreOf(connection) as { stream?: { destroy?(): void } };
  stream?.destroy?.();
}

function coreOf(connection: MysqlConnection): object {
  return connection.connection ?? connection;
}

function autocommitIsOff(): StoreError {
  return new StoreError(
    "autocommit is off on a connection of the pool given to mysqlStore, so nothing that is written would be kept. Turn it on, or give the store a URL or a pool of its own.",
  );
}

async function durabilityWarningsOf(connection: MysqlConnection): Promise<readonly string[]> {
  const { rows } = await send(connection, ASK_MYSQL);
  return durabilityWarningsIn(durabilityOfMysql(rows[0] ?? {}));
}

/** The leases as the first migration makes them, needed before it. */
function leaseTable(leases: string): string {
  return `CREATE TABLE IF NOT EXISTS ${leases} (name VARBINARY(255) NOT NULL, holder VARBINARY(255) NOT NULL, held_until BIGINT NOT NULL, PRIMARY KEY (name)) ENGINE=InnoDB`;
}

function locking(text: string, ...values: unknown[]): Statement {
  return { text, values, writes: false };
}

function tooLong(): StoreTimeoutError {
  return new StoreTimeoutError(
    "Another process holds the migration lock for too long. Look for one that migrates or hangs, end it, and try again.",
  );
}

function ignore(): void {}

/** Errors of connections that broke after they had been handed out. */
const interrupted = new WeakSet<object>();

const isTransient =
  (writes: boolean) =>
  (error: unknown): boolean => {
    const cause = (error as Error).cause;
    if (isTransientError(cause) || isUndone(error)) return true;
    // A pool hands out connections of before a restart; a read is worth asking again.
    return !writes && typeof cause === "object" && cause !== null && interrupted.has(cause);
  };
