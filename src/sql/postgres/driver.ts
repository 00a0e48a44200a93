import { createHash } from "node:crypto";
import { binaryValues } from "./arrays.ts";
import { durabilityWarningsIn } from "../durability.ts";
import { durabilityOf, durabilityQuery } from "./durability.ts";
import { engineOf } from "./engine.ts";
import { partitionsIn, partitionsQuery, rangesIn, rangesQuery } from "./shards.ts";
import { withMigrationLease } from "../migration-lease.ts";
import { changesOf, rowsOf, textIn } from "../columns.ts";
import { leakedTransaction } from "../leaked-transaction.ts";
import { ownersSettingsOf, SESSION_QUERY } from "./owner-settings.ts";
import * as errors from "./errors.ts";
import { PooledDatabase, type PooledDatabaseOptions } from "../pooled-driver.ts";
import { parserOf } from "./results.ts";
import { READ, TRANSACTION, UNLIMITED } from "../operation-policy.ts";
import type { Result, Run, Statement } from "../dialect.ts";
import type { SqlValue } from "../values.ts";
import type { Places } from "../tables-place.ts";
import type { PostgresDialect } from "./dialect.ts";

/** The parts used of a node-postgres result. */
export interface PostgresResult {
  readonly rows: readonly Record<string, unknown>[];
  readonly rowCount: number | null;
}

/** A query as node-postgres takes it. */
export interface PostgresQuery {
  name?: string;
  text: string;
  values: unknown[];
  /** Overrides the type parsers of the application's pool. */
  types?: { getTypeParser(oid: number, format?: string): (value: string | Buffer) => unknown };
}

/** The parts used of a node-postgres pool client. */
export interface PostgresClient {
  query(config: PostgresQuery): Promise<PostgresResult>;
  release(destroy?: boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** "T" inside a transaction, "E" inside a failed one. Older versions of pg do not expose it. */
  getTransactionStatus?(): string | null;
  /** The connection itself, where the driver hands out a new face of it each time. */
  readonly core?: object;
}

/** The parts used of a node-postgres pool. */
export interface PostgresPool {
  readonly options?: { readonly max?: number };
  connect(): Promise<PostgresClient>;
  end(): Promise<void>;
}

export interface PostgresDatabaseOptions extends PooledDatabaseOptions<PostgresDialect> {
  /** Whether the application set the engine. */
  readonly knowsEngine?: boolean;
  /** Whether statements are prepared by name on each connection. Turn it off for pgbouncer in transaction mode. */
  readonly namedStatements: boolean;
  /** How the driver takes values; as node-postgres does unless given. */
  readonly encode?: (values: readonly SqlValue[]) => unknown[];
}

/** Overrides the type parsers of the application's pool, which may do anything. */
const OWN_TYPES: NonNullable<PostgresQuery["types"]> = {
  getTypeParser: (oid) => {
    const parse = parserOf(oid);
    return (value) => parse(String(value));
  },
};

export class PostgresDatabase extends PooledDatabase<PostgresPool, PostgresClient, PostgresDialect> {
  protected readonly placeSetting = "search_path";
  readonly #named: boolean;
  readonly #encode: (values: readonly SqlValue[]) => unknown[];
  readonly #knowsEngine: boolean;
  #lookAgainAt = 0;
  readonly #statementNames = new Map<string, string>();
  /** The same in every process, whether or not it has found the schema of the tables. */
  readonly #lockName: string;

  constructor(open: () => Promise<PostgresPool>, options: PostgresDatabaseOptions) {
    super(open, options, "postgresStore", errors);
    // A plan that is kept for all values locks every partition.
    this.#named = options.namedStatements && this.dialect.engine !== "partitions";
    this.#knowsEngine = options.knowsEngine ?? false;
    this.#encode = options.encode ?? binaryValues;
    this.#lockName = `stored-session ${this.dialect.names.migrations}`;
  }

  async exclusively<T>(work: (run: Run) => Promise<T>): Promise<T> {
    try {
      return await this.#exclusively(work);
    } finally {
      this.#lookAgainAt = 0;
    }
  }

  async #exclusively<T>(work: (run: Run) => Promise<T>): Promise<T> {
    if (!this.#knowsEngine) await this.borrow(READ, (client) => this.#look(client));
    if (!this.dialect.traits.migratesInTransaction) return await this.#exclusivelyByLease(work);
    // A transaction-level lock, because a session-level lock would outlive it behind pgbouncer.
    const lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    return await this.borrow(UNLIMITED, (client) =>
      this.within(client, async () => {
        await client.query({ text: lock, values: [this.#lockName], types: OWN_TYPES });
        return await work((statement) =>
          this.send(client, statement).catch((error: unknown) =>
            this.fail(errors.explainMigration(error, this.dialect.names) ?? error, "none"),
          ),
        );
      }),
    );
  }

  /** Where an advisory lock keeps nobody out, or a transaction holds one CREATE statement: each is its own. */
  async #exclusivelyByLease<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const run: Run = (statement) =>
      this.retried(true, () =>
        this.borrow(UNLIMITED, (client) =>
          this.sendAlone(client, statement).catch((error: unknown) =>
            this.fail(
              errors.explainMigration(error, this.dialect.names) ?? error,
              statement.writes ? "unknown" : "none",
            ),
          ),
        ),
      );
    const { names } = this.dialect;
    const makeTable = async (): Promise<void> => {
      await run({ text: `CREATE TABLE IF NOT EXISTS ${names.leases} ${LEASES}`, values: [], writes: true });
    };
    const lease = async (name: string, holder: string, until: number): Promise<boolean> => {
      const [statement] = this.dialect.lease(name, holder, until, Date.now());
      return (await run(statement!)).changes > 0;
    };
    return await withMigrationLease({ makeTable, lease }, () => work(run));
  }

  async ownersSettings(): Promise<readonly string[]> {
    if (this.owned) return [];
    const options = ((await this.pool()).options ?? {}) as Readonly<Record<string, unknown>>;
    const { rows } = await this.run({ text: SESSION_QUERY, values: [], writes: false });
    return ownersSettingsOf(options, rows[0] ?? {});
  }

  protected connect(pool: PostgresPool): Promise<PostgresClient> {
    return pool.connect();
  }

  protected connectionsOf(pool: PostgresPool): number | undefined {
    return pool.options?.max;
  }

  protected coreOf(client: PostgresClient): object {
    return client.core ?? client;
  }

  protected drop(client: PostgresClient): void {
    client.release(true);
  }

  // A connection that is lost while checked out reports it twice: to the query, and as an event that would end the
  // process without a listener.
  protected override borrowed(client: PostgresClient): void {
    client.on("error", ignore);
  }

  protected override returning(client: PostgresClient): void {
    client.removeListener("error", ignore);
  }

  protected override isInTransaction(client: PostgresClient): boolean {
    const status = client.getTransactionStatus?.();
    return status === "T" || status === "E";
  }

  protected greet(client: PostgresClient): Promise<void> | undefined {
    if (!this.warning.isDone) return this.warning.check("PostgreSQL", () => this.#look(client));
    if (!this.dialect.traits.prunes || performance.now() < this.#lookAgainAt) return undefined;
    // The map may be older than the table, or than a rebalancing.
    this.#lookAgainAt = performance.now() + (this.dialect.knowsShards ? 60_000 : 1_000);
    return this.#findShards(client).catch(ignore);
  }

  /** Asks once what the server is, how durable, and where it places rows. */
  async #look(client: PostgresClient): Promise<readonly string[]> {
    const { names } = this.dialect;
    const [row = {}] = await this.#ask(client, durabilityQuery(names));
    if (!this.#knowsEngine)
      this.dialect.isEngine(engineOf(String(row["version"]), Number(row["citus"]) === 1));
    if (this.dialect.traits.prunes) await this.#findShards(client);
    return durabilityWarningsIn(durabilityOf(row, names));
  }

  async #findShards(client: PostgresClient): Promise<void> {
    const { engine, names } = this.dialect;
    const shards =
      engine === "partitions"
        ? partitionsIn(await this.#ask(client, partitionsQuery(names)))
        : rangesIn(await this.#ask(client, rangesQuery(names)));
    if (shards !== null) this.dialect.hasShards(shards);
  }

  async #ask(client: PostgresClient, { text, values }: Statement): Promise<Record<string, unknown>[]> {
    return rowsOf((await client.query({ text, values: this.#encode(values), types: OWN_TYPES })).rows);
  }

  protected async durabilityWarningsOf(client: PostgresClient): Promise<readonly string[]> {
    const { names } = this.dialect;
    const { text, values } = durabilityQuery(names);
    const { rows } = await client.query({ text, values: [...values], types: OWN_TYPES });
    return durabilityWarningsIn(durabilityOf(rows[0] ?? {}, names));
  }

  protected isUndone(error: unknown): boolean {
    const state = errors.codeOf((error as Error).cause);
    return state === "40P01" || state === "40001" || state === "25P02";
  }

  /** Sends a statement that is its own transaction, unless the application still uses a client that it released. */
  protected async sendAlone(client: PostgresClient, statement: Statement): Promise<Result> {
    const result = this.#resultOf(statement, await client.query(this.#queryOf(statement)));
    if (!this.isInTransaction(client)) return result;
    this.leakedTransaction.warn();
    throw leakedTransaction("postgresStore", statement.writes ? "unknown" : "none");
  }

  protected async send(client: PostgresClient, statement: Statement): Promise<Result> {
    return this.#resultOf(statement, await client.query(this.#queryOf(statement)));
  }

  #queryOf({ text, values }: Statement): PostgresQuery {
    const encoded = this.#encode(values);
    return this.#named
      ? { name: this.#nameOf(text), text, values: encoded, types: OWN_TYPES }
      : { text, values: encoded, types: OWN_TYPES };
  }

  #resultOf({ writes }: Statement, result: PostgresResult): Result {
    const rows = rowsOf(result?.rows);
    for (const row of rows) {
      if (typeof row["id"] === "string") row["id"] = Buffer.from(row["id"], "base64");
    }
    return { rows, changes: writes ? changesOf(result.rowCount ?? 0) : 0 };
  }

  protected async within<T>(client: PostgresClient, work: () => Promise<T>): Promise<T> {
    let committing = false;
    try {
      await client.query({ text: this.dialect.traits.begin, values: [] });
      const result = await work();
      committing = result !== null;
      await client.query({ text: committing ? "COMMIT" : "ROLLBACK", values: [] });
      return result;
    } catch (error) {
      if (committing) return this.fail(error, "unknown");
      // The connection returns to its pool, so it must not keep a transaction or setting.
      await client.query({ text: "ROLLBACK", values: [] }).catch(ignore);
      throw error;
    }
  }

  /** Uses both the connection as it came and the value that its search_path resets to. */
  protected async placesOf(table: string): Promise<Places> {
    const places: { now: string | null; usual: string | null } = { now: null, usual: null };
    await this.retried(false, () =>
      this.borrow(TRANSACTION, (client) =>
        this.within(client, async () => {
          const find = async (): Promise<string | null> => {
            const { rows } = await this.send(client, { text: FIND, values: [table], writes: false });
            return rows[0] === undefined ? null : textIn(rows[0], "schema");
          };
          places.now = await find();
          await client.query({ text: "SET LOCAL search_path TO DEFAULT", values: [] });
          places.usual = await find();
          return null;
        }),
      ),
    );
    return places;
  }

  #nameOf(text: string): string {
    let name = this.#statementNames.get(text);
    if (name === undefined) {
      name = `stored_session_${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;
      this.#statementNames.set(text, name);
    }
    return name;
  }
}

/** As the first migration makes them, needed before it. */
const LEASES = "(name text NOT NULL PRIMARY KEY, holder text NOT NULL, held_until bigint NOT NULL)";

const FIND =
  "SELECT n.nspname::text AS schema FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";

function ignore(): void {}
