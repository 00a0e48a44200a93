import { StoreError, StoreUnavailableError } from "../../errors.ts";
import { durabilityWarningsIn } from "../durability.ts";
import { DURABILITY_QUERY, durabilityOf } from "./durability.ts";
import { isUndone, leakedTransaction } from "../leaked-transaction.ts";
import { textIn } from "../columns.ts";
import { coreOf, databaseOf, destroy, execute, resultOf, send } from "./connection.ts";
import { engineOf } from "./engine.ts";
import * as errors from "./errors.ts";
import { AUTOCOMMIT, IN_TRANSACTION, statusOf } from "./status.ts";
import { ownersSettingsOf, SESSION_QUERY } from "./owner-settings.ts";
import { PooledDatabase, type PooledDatabaseOptions } from "../pooled-driver.ts";
import { READ, UNLIMITED } from "../operation-policy.ts";
import { withMigrationLock } from "./migration-lock.ts";
import type { MysqlConnection, MysqlPool } from "./connection.ts";
import type { MysqlDialect } from "./dialect.ts";
import type { Places } from "../tables-place.ts";
import type { Result, Run, Statement } from "../dialect.ts";
import type { OperationPolicy } from "../../shared/time-limit.ts";

export type MysqlDatabaseOptions = PooledDatabaseOptions<MysqlDialect>;

/**
 * Independent of the application's `completion_type`, which could start another transaction or close the connection.
 */
const COMMIT = "COMMIT AND NO CHAIN NO RELEASE";
const ROLLBACK = "ROLLBACK AND NO CHAIN NO RELEASE";

export class MysqlDatabase extends PooledDatabase<MysqlPool, MysqlConnection, MysqlDialect> {
  protected readonly placeSetting = "database (USE)";
  /** Connections whose server and settings are known. */
  readonly #greeted = new WeakSet<object>();
  /** The same in every process, whether or not it has found the database of the tables. */
  readonly #lockName: string;

  constructor(open: () => Promise<MysqlPool>, options: MysqlDatabaseOptions) {
    super(open, options, "mysqlStore", errors);
    this.#lockName = this.dialect.names.leases;
  }

  async exclusively<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const { names } = this.dialect;
    return await this.borrow(UNLIMITED, async (connection) => {
      const run: Run = (statement) =>
        send(connection, statement).catch((error: unknown) =>
          // CREATE TABLE commits by itself: if the response is lost, the table may exist.
          this.fail(
            errors.explainMigration(error, this.dialect.names) ?? error,
            statement.writes ? "unknown" : "none",
          ),
        );
      const lease = async (name: string, holder: string, until: number): Promise<boolean> => {
        const statements = this.dialect.lease(name, holder, until, Date.now());
        const results = await this.retried(true, () =>
          this.sendTogether(connection, statements).catch((error: unknown) => this.fail(error, "none")),
        );
        return (results?.at(-1)?.rows.length ?? 0) > 0;
      };
      const finish = async (sql: string): Promise<void> => {
        await connection.query({ sql }).catch(ignore);
      };
      const hasLocks = this.dialect.traits.locks;
      return await withMigrationLock({ run, lease, finish, hasLocks }, this.#lockName, names, () =>
        work(run),
      );
    });
  }

  async ownersSettings(): Promise<readonly string[]> {
    if (this.owned) return [];
    return await this.borrow(READ, async (connection) => {
      const { config = {} } = coreOf(connection) as { config?: Readonly<Record<string, unknown>> };
      const { rows } = await send(connection, { text: SESSION_QUERY, values: [], writes: false });
      return ownersSettingsOf(config, rows[0] ?? {}, await databaseOf(connection));
    });
  }

  protected connect(pool: MysqlPool): Promise<MysqlConnection> {
    return pool.getConnection();
  }

  protected connectionsOf(pool: MysqlPool): number | undefined {
    return pool.pool?.config?.connectionLimit || undefined;
  }

  protected coreOf(connection: MysqlConnection): object {
    return coreOf(connection);
  }

  protected drop(connection: MysqlConnection): void {
    destroy(connection);
  }

  protected send(connection: MysqlConnection, statement: Statement): Promise<Result> {
    return send(connection, statement);
  }

  protected isUndone(error: unknown): boolean {
    return errors.isTransientError((error as Error).cause) || isUndone(error);
  }

  protected async durabilityWarningsOf(connection: MysqlConnection): Promise<readonly string[]> {
    const { rows } = await send(connection, DURABILITY_QUERY);
    return durabilityWarningsIn(durabilityOf(rows[0] ?? {}));
  }

  /**
   * Uses both the connection as it came and the pool's settings: the application may have left another database
   * selected.
   */
  protected async placesOf(table: string): Promise<Places> {
    const usual = (await this.pool()).pool?.config?.connectionConfig?.database;
    const now = await this.retried(false, () => this.borrow(READ, databaseOf));
    const { rows } = await this.run({
      text: "SELECT table_schema AS place FROM information_schema.tables WHERE table_schema IN (?, ?) AND table_name = ? LIMIT 2",
      values: [now ?? "", usual ?? "", table.slice(1, -1)],
      writes: false,
    });
    // The server may store names in lower case.
    const found = rows.map((row) => textIn(row, "place"));
    const find = (name: string | null | undefined): string | null =>
      found.find((place) => place.toLowerCase() === name?.toLowerCase()) ?? null;
    return { now: find(now), usual: find(usual) };
  }

  protected greet(connection: MysqlConnection): Promise<void> | undefined {
    return this.#greeted.has(coreOf(connection)) ? undefined : this.#greet(connection);
  }

  /**
   * At the first use of a connection, queries the server's version and autocommit, and limits how long it waits for a
   * row lock: the other rows of a batch wait too.
   */
  async #greet(connection: MysqlConnection): Promise<void> {
    // Runs before the statement is sent, so a failure leaves nothing behind.
    const { version, autocommit, patience } = await send(connection, {
      text: "SELECT VERSION() AS version, @@autocommit AS autocommit, @@innodb_lock_wait_timeout AS patience LIMIT 1",
      values: [],
      writes: false,
    }).then(
      ({ rows }) => rows[0] ?? {},
      (error: unknown) => this.fail(error, "none"),
    );
    this.dialect.isEngine(engineOf(String(version)));
    if (Number(autocommit) === 0 && !this.owned) throw autocommitIsOff();
    const settings = Number(autocommit) === 0 ? ["autocommit = 1"] : [];
    const seconds = lockWait(this.limit.milliseconds);
    if (this.owned && Number(patience) > seconds) settings.push(`innodb_lock_wait_timeout = ${seconds}`);
    if (settings.length > 0) {
      await connection
        .query({ sql: `SET ${settings.join(", ")}` })
        .catch((error: unknown) => this.fail(error, "none"));
    }
    this.#greeted.add(coreOf(connection));
    const server = this.dialect.name === "mariadb" ? "MariaDB" : "MySQL";
    await this.warning.check(server, () => this.durabilityWarningsOf(connection));
  }

  /** Sends a statement that is its own transaction, unless the application leaked one on the connection. */
  protected async sendAlone(connection: MysqlConnection, statement: Statement): Promise<Result> {
    let answer: unknown;
    try {
      answer = await execute(connection, statement);
    } catch (error) {
      // It was rolled back, but in an open transaction its locks remain, and the store would wait for them.
      if (errors.isOtherVersion(error) && !this.owned)
        await this.#endTransaction(connection, await this.#ask(connection, "none"), "none");
      throw error;
    }
    let status = statusOf(answer, coreOf(connection));
    const isHidden = status === undefined && Array.isArray(answer);
    if (isHidden && !this.owned) status = await this.#ask(connection, statement.writes ? "unknown" : "none");
    await this.#endTransaction(connection, status, statement.writes ? "unknown" : "none");
    return resultOf(answer, statement);
  }

  async #endTransaction(
    connection: MysqlConnection,
    status: number | undefined,
    lost: OperationPolicy["ifLost"],
  ): Promise<void> {
    if (status === undefined || !(status & IN_TRANSACTION)) return;
    await (status & AUTOCOMMIT ? this.#giveUp(connection, lost) : this.#refuse(connection, lost));
  }

  async #ask(connection: MysqlConnection, lost: OperationPolicy["ifLost"]): Promise<number | undefined> {
    const [answer] = await connection
      .query({ sql: "DO 0" })
      .catch((error: unknown) => unverified(error, lost));
    return statusOf(answer, coreOf(connection));
  }

  /** The application has turned autocommit off since the first use. */
  async #refuse(connection: MysqlConnection, lost: OperationPolicy["ifLost"]): Promise<void> {
    const statement = { text: "SELECT @@autocommit AS autocommit LIMIT 1", values: [], writes: false };
    try {
      // Query it again, because a proxy may report the state of another connection.
      const { rows } = await send(connection, statement);
      if (Number(rows[0]?.["autocommit"]) !== 0) return;
      await connection.query({ sql: ROLLBACK });
    } catch (error) {
      unverified(error, lost);
    }
    this.#greeted.delete(coreOf(connection));
    throw autocommitIsOff();
  }

  /**
   * Rolls back a leaked transaction of the application, and drops the connection: what the application still sends on
   * it would otherwise be kept without the rest.
   */
  async #giveUp(connection: MysqlConnection, lost: OperationPolicy["ifLost"]): Promise<void> {
    // Send both together, so that no COMMIT comes between them: an open transaction is then the one of the statement.
    const [[answer]] = await Promise.all([
      connection.query({ sql: "DO 0" }),
      connection.query({ sql: ROLLBACK }),
    ]).catch((error: unknown) => unverified(error, lost));
    const isOpen = (statusOf(answer, coreOf(connection)) ?? 0) & IN_TRANSACTION;
    if (!isOpen && lost === "none") return;
    this.leakedTransaction.warn();
    throw leakedTransaction("mysqlStore", isOpen ? "none" : lost);
  }

  protected async within<T>(connection: MysqlConnection, work: () => Promise<T>): Promise<T> {
    let committing = false;
    try {
      await connection.query({ sql: "START TRANSACTION" });
      const results = await work();
      committing = results !== null;
      await connection.query({ sql: committing ? COMMIT : ROLLBACK });
      return results;
    } catch (error) {
      // A server error, such as a cluster conflict, means that nothing was committed.
      if (committing && errors.isBroken(error)) return this.fail(error, "unknown");
      if (!errors.isBroken(error)) await connection.query({ sql: ROLLBACK }).catch(ignore);
      throw error;
    }
  }
}

/** The error closes the connection, so the outcome of a write is unknown. */
function unverified(error: unknown, outcome: OperationPolicy["ifLost"]): never {
  const cause = new Error("Could not determine the autocommit state of this connection.", { cause: error });
  const message =
    outcome === "none"
      ? "The connection was lost while its autocommit state was being checked."
      : "Statement outcome unknown: it succeeded, but verifying that it was committed failed.";
  throw new StoreUnavailableError(message, { cause, outcome });
}

/**
 * Seconds. Short enough that a batch can wait, and then each of its rows individually. Without a time limit, the
 * server's setting applies.
 */
function lockWait(storeTimeout: number): number {
  return storeTimeout === 0 ? Infinity : Math.max(1, Math.floor((0.4 * storeTimeout) / 1_000));
}

function autocommitIsOff(): StoreError {
  return new StoreError(
    "autocommit is off on a connection of the pool given to mysqlStore, so writes would be rolled back. Turn it on, or pass a URL or a separate pool.",
  );
}

function ignore(): void {}
