import { createHash } from "node:crypto";
import { ClosedError, StoredSessionError } from "../../errors.ts";
import { askPostgres, durabilityOfPostgres, durabilityWarningsIn } from "../durability.ts";
import { changesOf, rowsOf, textIn } from "../columns.ts";
import { isConnectionError } from "../driver-errors.ts";
import { inOrder } from "../in-order.ts";
import { leakedTransaction, LeakedTransactionWarning } from "../leaked-transaction.ts";
import { ASK_POSTGRES_SESSION, postgresSettings } from "../pool-settings.ts";
import { explain, explainMigration, isBroken, isReadOnly, sqlState } from "./errors.ts";
import { withRetries } from "../retry.ts";
import { outsideRequests } from "../../shared/outside-requests.ts";
import { isEstablished, seen } from "../connection-age.ts";
import { isUnplaced, placeOf } from "../tables-place.ts";
import { OF_A_POOL, TimeLimit, type RoundTrip } from "../../shared/time-limit.ts";
import { READ, roundTripOf, TRANSACTION, UNLIMITED } from "../round-trip.ts";
import { DurabilityWarning } from "../durability-warning.ts";
import type { Database, Result, Run, Statement } from "../dialect.ts";
import type { PostgresDialect } from "./dialect.ts";

/** What is used of a result of node-postgres. */
export interface PostgresResult {
  readonly rows: readonly Record<string, unknown>[];
  readonly rowCount: number | null;
}

/** A query as node-postgres takes it. */
export interface PostgresQuery {
  name?: string;
  text: string;
  values: unknown[];
  /** In place of the type parsers of the application's pool. */
  types?: { getTypeParser(oid: number, format?: string): (value: string | Buffer) => unknown };
}

/** What is used of a client of node-postgres's pool. */
export interface PostgresClient {
  query(config: PostgresQuery): Promise<PostgresResult>;
  release(destroy?: boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** "T" inside a transaction, "E" inside one that failed. Older versions of pg do not tell. */
  getTransactionStatus?(): string | null;
}

/** What is used of a pool of node-postgres. */
export interface PostgresPool {
  readonly options?: { readonly max?: number };
  connect(): Promise<PostgresClient>;
  end(): Promise<void>;
}

export interface PostgresDatabaseOptions {
  readonly dialect: PostgresDialect;
  /** Prepared by name on each connection. Off for pgbouncer in transaction mode. */
  readonly namedStatements: boolean;
  /** Whether closing the store closes the pool. */
  readonly owned: boolean;
}

/** By the type's oid. Every other type is the text that the server sent. */
const PARSERS: Readonly<Record<number, (value: string) => unknown>> = {
  16: (value) => value === "t",
  17: (value) => Buffer.from(value.slice(2), "hex"),
  21: Number,
  23: Number,
  700: Number,
  701: Number,
};

/** In place of the type parsers of the application's pool, which may be anything. */
const OWN_TYPES: NonNullable<PostgresQuery["types"]> = {
  getTypeParser: (oid) => {
    const parse = PARSERS[oid] ?? String;
    return (value) => parse(String(value));
  },
};

const PATIENCE = { attempts: 6, milliseconds: 2_000, firstPause: 4, longestPause: 100 };

export class PostgresDatabase implements Database {
  readonly dialect: PostgresDialect;
  readonly #limit = new TimeLimit();
  #connections: number | undefined;
  readonly #named: boolean;
  readonly #owned: boolean;
  readonly #open: () => Promise<PostgresPool>;
  #opening: Promise<PostgresPool> | null = null;
  #closed = false;
  readonly #warning = new DurabilityWarning();
  readonly #leakedTransaction = new LeakedTransactionWarning("postgresStore");
  readonly #statementNames = new Map<string, string>();
  /** The same in every process, whether it has found the tables' schema or not. */
  readonly #lockName: string;
  #locating: Promise<void> | null = null;
  #isLocated: boolean;

  constructor(open: () => Promise<PostgresPool>, options: PostgresDatabaseOptions) {
    this.dialect = options.dialect;
    this.#open = open;
    this.#named = options.namedStatements;
    this.#owned = options.owned;
    this.#lockName = `stored-session ${this.dialect.names.migrations}`;
    this.#isLocated = options.owned || !isUnplaced(this.dialect.names.sessions);
  }

  locate(): Promise<void> | undefined {
    if (this.#isLocated || this.#closed) return undefined;
    this.#locating ??= this.#locate().finally(() => (this.#locating = null));
    return this.#locating;
  }

  readonly run: Run = (statement) =>
    withRetries(PATIENCE, isTransient(statement.writes), () =>
      this.#withClient(roundTripOf(statement), (client) => this.#sendAlone(client, statement)),
    );

  giveUpAfter(milliseconds: number): void {
    this.#limit.extendTo(milliseconds);
  }

  async transaction(statements: readonly Statement[]): Promise<Result[] | null> {
    return await withRetries(PATIENCE, isTransient(true), () =>
      this.#inTransaction(TRANSACTION, (client) =>
        inOrder(statements, (statement) => this.#send(client, statement)),
      ),
    );
  }

  async exclusively<T>(work: (run: Run) => Promise<T>): Promise<T> {
    // A lock that ends with its transaction, because a session's lock would outlive it behind pgbouncer.
    const lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    return await this.#inTransaction(UNLIMITED, async (client) => {
      await client.query({ text: lock, values: [this.#lockName], types: OWN_TYPES });
      return await work((statement) =>
        this.#send(client, statement).catch((error: unknown) =>
          this.#fail(explainMigration(error, this.dialect.names) ?? error, "none"),
        ),
      );
    });
  }

  async durabilityWarnings(): Promise<readonly string[]> {
    return await this.#withClient(READ, (client) => this.#durabilityWarningsOf(client));
  }

  async ownersSettings(): Promise<readonly string[]> {
    if (this.#owned) return [];
    const options = ((await this.#pool()).options ?? {}) as Readonly<Record<string, unknown>>;
    const { rows } = await this.run({ text: ASK_POSTGRES_SESSION, values: [], writes: false });
    return postgresSettings(options, rows[0] ?? {});
  }

  closing(): void {
    this.#limit.close();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#owned && this.#opening) await (await this.#opening).end();
  }

  async #durabilityWarningsOf(client: PostgresClient): Promise<readonly string[]> {
    const { names } = this.dialect;
    const { text, values } = askPostgres(names);
    const { rows } = await client.query({ text, values: [...values], types: OWN_TYPES });
    return durabilityWarningsIn(durabilityOfPostgres(rows[0] ?? {}, names));
  }

  /** Opened at first use; a failure to open is not remembered. */
  #pool(): Promise<PostgresPool> {
    if (this.#closed) throw new ClosedError("The store was closed.");
    this.#opening ??= outsideRequests(this.#open).catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  /** A statement that is its own transaction, unless somebody went on with a client that was released. */
  async #sendAlone(client: PostgresClient, statement: Statement): Promise<Result> {
    const result = await this.#send(client, statement);
    if (!isInTransaction(client)) return result;
    this.#leakedTransaction.tell();
    throw leakedTransaction("postgresStore", statement.writes ? "unknown" : "none");
  }

  async #send(client: PostgresClient, statement: Statement): Promise<Result> {
    const { text, writes } = statement;
    const values = statement.values as unknown[];
    const result = await client.query(
      this.#named
        ? { name: this.#nameOf(text), text, values, types: OWN_TYPES }
        : { text, values, types: OWN_TYPES },
    );
    const rows = rowsOf(result?.rows);
    for (const row of rows) {
      if (typeof row["id"] === "string") row["id"] = Buffer.from(row["id"], "base64");
    }
    return { rows, changes: writes ? changesOf(result.rowCount ?? 0) : 0 };
  }

  /** By the connection as it came, and by what its search_path is set back to: the application may have left another. */
  async #locate(): Promise<void> {
    const { sessions: table } = this.dialect.names;
    const places: { now: string | null; usual: string | null } = { now: null, usual: null };
    await withRetries(PATIENCE, isTransient(false), () =>
      this.#inTransaction(TRANSACTION, async (client) => {
        const find = async (): Promise<string | null> => {
          const { rows } = await this.#send(client, { text: FIND, values: [table], writes: false });
          return rows[0] === undefined ? null : textIn(rows[0], "schema");
        };
        places.now = await find();
        await client.query({ text: "SET LOCAL search_path TO DEFAULT", values: [] });
        places.usual = await find();
        return null;
      }),
    );
    const schema = placeOf(places, table, "postgresStore");
    if (schema === null || this.#isLocated) return;
    this.dialect.locatedIn(schema);
    this.#isLocated = true;
  }

  #nameOf(text: string): string {
    let name = this.#statementNames.get(text);
    if (name === undefined) {
      name = `stored_session_${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;
      this.#statementNames.set(text, name);
    }
    return name;
  }

  /** A failure before a client is had reached no server; after that, a lost write is unknown. */
  async #withClient<T>(trip: RoundTrip, work: (client: PostgresClient) => Promise<T>): Promise<T> {
    let client: PostgresClient;
    try {
      client = await this.#connect(trip);
    } catch (error) {
      if (error instanceof StoredSessionError) throw error;
      throw explain(error, this.dialect.names, "none");
    }
    // A connection that breaks while it is checked out says so twice: to the query, and as an event that would
    // end the process when nobody listens.
    client.on("error", ignore);
    seen(client);
    try {
      return await this.#limit.lend({
        trip,
        connections: this.#connections,
        work: () =>
          this.#warning.isTold
            ? work(client)
            : this.#warning
                .tell("PostgreSQL", () => this.#durabilityWarningsOf(client))
                .then(() => work(client)),
        back: (broken) => {
          client.removeListener("error", ignore);
          client.release(broken);
        },
        isBroken: (error) => {
          const cause = error instanceof StoredSessionError ? error.cause : error;
          if (cause === undefined) return false;
          const broken = isBroken(cause) || (isReadOnly(cause) && isEstablished(client));
          // An error of the driver alone would come again on every other connection.
          const isLost = broken && (sqlState(cause) !== null || cause !== error || isConnectionError(cause));
          if (isLost && typeof cause === "object" && cause !== null) interrupted.add(cause);
          return broken;
        },
      });
    } catch (error) {
      return this.#fail(error, trip.lost);
    }
  }

  /**
   * A connection that comes when the store was closed goes back as it came. One that was released inside a
   * transaction is given up: the pool hands out first what came back last, so it would be the same one for ever.
   */
  async #connect({ limit }: RoundTrip): Promise<PostgresClient> {
    const pool = await this.#pool();
    this.#connections = pool.options?.max;
    for (let left = this.#connections ?? OF_A_POOL; left >= 0; left--) {
      const client = await this.#limit.obtain(
        limit,
        outsideRequests(() => pool.connect()),
      );
      if (this.#closed) {
        client.release();
        throw new ClosedError("The store was closed.");
      }
      if (!isInTransaction(client)) return client;
      this.#leakedTransaction.tell();
      client.release(true);
    }
    throw leakedTransaction("postgresStore", "none");
  }

  async #inTransaction<T>(trip: RoundTrip, work: (client: PostgresClient) => Promise<T>): Promise<T> {
    let committing = false;
    return this.#withClient(trip, async (client) => {
      try {
        // By name, because the role or database may have another default: under "repeatable read" what waited for
        // the migration lock would not see what its holder did.
        await client.query({ text: "BEGIN ISOLATION LEVEL READ COMMITTED", values: [] });
        const result = await work(client);
        committing = result !== null;
        await client.query({ text: committing ? "COMMIT" : "ROLLBACK", values: [] });
        return result;
      } catch (error) {
        if (committing) return this.#fail(error, "unknown");
        // The connection goes back to its pool, so nothing of this may stay open on it.
        await client.query({ text: "ROLLBACK", values: [] }).catch(ignore);
        throw error;
      }
    });
  }

  #fail(error: unknown, lost: RoundTrip["lost"]): never {
    throw error instanceof StoredSessionError ? error : explain(error, this.dialect.names, lost);
  }
}

const FIND =
  "SELECT n.nspname::text AS schema FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";

function isInTransaction(client: PostgresClient): boolean {
  const status = client.getTransactionStatus?.();
  return status === "T" || status === "E";
}

function ignore(): void {}

/** Errors of connections that broke after they had been handed out. */
const interrupted = new WeakSet<object>();

const isTransient =
  (writes: boolean) =>
  (error: unknown): boolean => {
    const cause = (error as Error).cause;
    const state = sqlState(cause);
    if (state === "40P01" || state === "40001" || state === "25P02") return true;
    // A pool hands out connections of before a restart; a read is worth asking again.
    return !writes && typeof cause === "object" && cause !== null && interrupted.has(cause);
  };
