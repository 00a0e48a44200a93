import { createHash, randomUUID } from "node:crypto";
import { ClosedError, StoredSessionError, StoreTimeoutError } from "../errors.ts";
import { inOrder } from "./in-order.ts";
import { explain, isBroken, isTransientError } from "./mysql-errors.ts";
import { withPatience } from "./retry.ts";
import { TimeLimit } from "./time-limit.ts";
import { READ, tripOf, TRANSACTION, UNLIMITED, type Trip } from "./trip.ts";
import { warnOfWeaknesses } from "./weakness.ts";
import type { Database, Result, Run, Statement } from "./dialect.ts";
import type { MysqlDialect } from "./mysql.ts";

/** What is used of a connection of a `mysql2/promise` pool. */
export interface MysqlConnection {
  execute(options: MysqlExecute, values: never[]): Promise<[unknown, ...unknown[]]>;
  query(options: { sql: string }): Promise<[unknown, ...unknown[]]>;
  release(): void;
  destroy(): void;
}

export interface MysqlExecute {
  readonly sql: string;
  readonly rowsAsArray: false;
  readonly nestTables: false;
}

/** What is used of a pool of `mysql2/promise`. */
export interface MysqlPool {
  getConnection(): Promise<MysqlConnection>;
  end(): Promise<void>;
}

export interface MysqlDatabaseOptions {
  readonly dialect: MysqlDialect;
  /** Whether closing the store closes the pool. */
  readonly owned: boolean;
}

const PATIENCE = { attempts: 6, milliseconds: 2_000, firstPause: 4, longestPause: 100 };

/** How long one process may migrate, and how long another waits for it. */
const MIGRATION_LEASE = 60_000;

export class MysqlDatabase implements Database {
  readonly dialect: MysqlDialect;
  readonly #limit = new TimeLimit();
  readonly #owned: boolean;
  readonly #open: () => Promise<MysqlPool>;
  #opening: Promise<MysqlPool> | null = null;
  #closed = false;
  #versionKnown = false;

  constructor(open: () => Promise<MysqlPool>, options: MysqlDatabaseOptions) {
    this.dialect = options.dialect;
    this.#open = open;
    this.#owned = options.owned;
  }

  readonly run: Run = (statement) =>
    withPatience(PATIENCE, isTransient(statement.writes), () =>
      this.#withConnection(tripOf(statement), (connection) => send(connection, statement)),
    );

  giveUpAfter(milliseconds: number): void {
    this.#limit.extendTo(milliseconds);
  }

  async transaction(statements: readonly Statement[]): Promise<Result[] | null> {
    return await withPatience(PATIENCE, isTransient(true), () =>
      this.#withConnection(TRANSACTION, (connection) => this.#inTransaction(connection, statements)),
    );
  }

  /**
   * Two locks. GET_LOCK ends with its connection, so a process that dies blocks nobody, but in a Galera or Group
   * Replication cluster it holds on one node only; the lease row is everybody's, but outlives its holder a while.
   */
  async exclusively<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const { leases } = this.dialect.names;
    const name = `stored-session:${createHash("sha256").update(leases).digest("hex").slice(0, 40)}`;
    const [holder, lease] = [randomUUID(), "stored-session:migrate"];
    return await this.#withConnection(UNLIMITED, async (connection) => {
      const run: Run = (statement) =>
        send(connection, statement).catch((error: unknown) => this.#fail(error, "none"));
      const { rows } = await run(locking("SELECT GET_LOCK(?, ?) AS held", name, MIGRATION_LEASE / 1_000));
      if (Number(rows[0]?.["held"]) !== 1) throw tooLong();
      try {
        await run({ text: leaseTable(leases), values: [], writes: true });
        await this.#waitForLease(connection, lease, holder);
        const result = await work(run);
        await this.#lease(connection, lease, holder, 0);
        return result;
      } finally {
        await connection.query({ sql: `DO RELEASE_LOCK('${name}')` }).catch(ignore);
      }
    });
  }

  async weaknesses(): Promise<readonly string[]> {
    return await this.#withConnection(READ, (connection) => weaknessesOf(connection));
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
    const results = await withPatience(PATIENCE, isTransient(true), () =>
      this.#inTransaction(connection, statements).catch((error: unknown) => this.#fail(error, "none")),
    );
    return (results?.at(-1)?.changes ?? 0) > 0;
  }

  /** Opened at first use; a failure to open is not remembered. */
  #pool(): Promise<MysqlPool> {
    if (this.#closed) throw new ClosedError("The store was closed.");
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  /** A failure before a connection is had reached no server; after that, a lost write is unknown. */
  async #withConnection<T>(trip: Trip, work: (connection: MysqlConnection) => Promise<T>): Promise<T> {
    let connection: MysqlConnection;
    try {
      connection = await this.#connect(trip);
    } catch (error) {
      return this.#fail(error, "none");
    }
    let givenUp = false;
    let broken = true;
    try {
      const working = this.#versionKnown
        ? work(connection)
        : this.#askVersion(connection).then(() => work(connection));
      const result = await this.#limit.hold(trip.limit, working, trip.unanswered, () => (givenUp = true));
      broken = false;
      return result;
    } catch (error) {
      const cause = error instanceof StoredSessionError ? error.cause : error;
      broken = givenUp || (cause !== undefined && isBroken(cause));
      if (broken && cause) interrupted.add(cause as object);
      return this.#fail(error, trip.lost);
    } finally {
      if (broken) connection.destroy();
      else connection.release();
    }
  }

  /** A connection that comes too late, or to a store that was closed meanwhile, goes back as it came. */
  async #connect({ limit }: Trip): Promise<MysqlConnection> {
    const connecting = (await this.#pool()).getConnection();
    const connection = await this.#limit.hold(limit, connecting, "none", () => {
      connecting.then((late) => late.release(), ignore);
    });
    if (!this.#closed) return connection;
    connection.release();
    throw new ClosedError("The store was closed.");
  }

  async #askVersion(connection: MysqlConnection): Promise<void> {
    const asking = send(connection, { text: "SELECT VERSION() AS version", values: [], writes: false });
    const { rows } = await asking.catch((error: unknown) => this.#fail(error, "none"));
    if (/mariadb/i.test(String(rows[0]?.["version"]))) this.dialect.isMariadb();
    this.#versionKnown = true;
    // Not worth failing for: what is wrong with the connection is told by the statement that follows.
    const server = this.dialect.name === "mariadb" ? "MariaDB" : "MySQL";
    await weaknessesOf(connection).then((found) => warnOfWeaknesses(server, found), ignore);
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
      await connection.query({ sql: committing ? "COMMIT" : "ROLLBACK" });
      return results;
    } catch (error) {
      // A refusal of the server's (a conflict in the cluster) says that nothing was committed.
      if (committing && isBroken(error)) return this.#fail(error, "unknown");
      if (!isBroken(error)) await connection.query({ sql: "ROLLBACK" }).catch(ignore);
      throw error;
    }
  }

  #fail(error: unknown, lost: Trip["lost"]): never {
    throw error instanceof StoredSessionError ? error : explain(error, this.dialect.names, lost);
  }
}

async function send(connection: MysqlConnection, statement: Statement): Promise<Result> {
  const { text, writes } = statement;
  const [result] = await connection.execute(
    { sql: text, rowsAsArray: false, nestTables: false },
    statement.values as never[],
  );
  if (Array.isArray(result)) {
    const rows = result as Record<string, unknown>[];
    return { rows, changes: writes ? rows.length : 0 };
  }
  return { rows: [], changes: writes ? (result as { affectedRows: number }).affectedRows : 0 };
}

async function weaknessesOf(connection: MysqlConnection): Promise<readonly string[]> {
  const text =
    "SELECT @@innodb_flush_log_at_trx_commit AS flush, @@log_bin AS log_bin, @@sync_binlog AS sync_binlog";
  const { rows } = await send(connection, { text, values: [], writes: false });
  const { flush, log_bin: logBin, sync_binlog: syncBinlog } = rows[0] ?? {};
  const found: string[] = [];
  if (Number(flush) !== 1) {
    found.push(
      `innodb_flush_log_at_trx_commit is ${String(flush)}, so a crash can lose what was acknowledged.`,
    );
  }
  // Recovery rolls back what the storage engine had prepared and the binary log has not.
  if (Number(logBin) === 1 && Number(syncBinlog) !== 1) {
    found.push(`sync_binlog is ${String(syncBinlog)}, so a power failure can lose what was acknowledged.`);
  }
  return found;
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
    if (isTransientError(cause)) return true;
    // A pool hands out connections of before a restart; a read is worth asking again.
    return !writes && typeof cause === "object" && cause !== null && interrupted.has(cause);
  };
