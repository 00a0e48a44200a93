/**
 * Stores whose statements can be made to fail where they meet the client library: each statement, each BEGIN and COMMIT,
 * and each statement that asks for settings. The connection underneath is real, and is given up as the driver gives it
 * up, so that the server undoes what an open transaction did.
 */
import { DatabaseSync } from "node:sqlite";
import { mysqlStore, type MysqlPool, type MysqlStoreOptions } from "../../src/sql/mysql/store.ts";
import { postgresStore, type PostgresPool, type PostgresStoreOptions } from "../../src/sql/postgres/store.ts";
import { sqliteStore, type SqliteHandle } from "../../src/sql/sqlite/store.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import type { DatabaseName } from "./chosen.ts";

/**
 * refused: the server says no, and undoes the transaction. transient: it says that others were in the way. broken: the
 * connection breaks, and nobody knows on which side of the statement. ended: the server says that it ends the connection.
 */
export type WireFault =
  "refused before" | "transient before" | "broken before" | "broken after" | "ended before" | "ended after";

/**
 * Chooses what becomes of the statement that is to be sent: a fault, an error of the server's, or another text to send in
 * its place; null lets it pass.
 */
export type Choice = (
  text: string,
  connection: object,
) => WireFault | { readonly refuse: object } | { readonly send: string } | null;

export interface WireStore {
  readonly store: SqlStore;
  /** Another store over the same pool or handle. */
  another(): SqlStore;
  close(): Promise<void>;
}

/** Faults that this database can meet. SQLite has no connection; its operating system fails before or after. */
export function faultsOf(kind: DatabaseName): readonly WireFault[] {
  return kind === "sqlite"
    ? ["refused before", "transient before", "broken before", "broken after"]
    : ["refused before", "transient before", "broken before", "broken after", "ended before", "ended after"];
}

/** @param place the server's URL, or the path of the SQLite file */
export async function wireStore(
  kind: DatabaseName,
  place: string,
  table: string,
  choose: Choice,
): Promise<WireStore> {
  if (kind === "sqlite") return sqlite(place, table, choose);
  return kind === "postgres" ? wiredPostgres(place, { table }, choose) : wiredMysql(place, { table }, choose);
}

export async function wiredPostgres(
  url: string,
  options: PostgresStoreOptions,
  choose: Choice,
): Promise<WireStore> {
  const { Pool } = await import("pg");
  const pool = new Pool({ connectionString: url, max: 8, connectionTimeoutMillis: 5_000 });
  pool.on("error", () => {});
  const faces = new WeakMap<object, object>();
  const faceOf = (client: { query(config: unknown): Promise<unknown> } & object): object => {
    const known = faces.get(client);
    if (known) return known;
    const face = new Proxy(client, {
      get(below, name) {
        const value: unknown = Reflect.get(below, name, below);
        if (name !== "query") return typeof value === "function" ? value.bind(below) : value;
        return (config: { text: string }) =>
          send(choose(config.text, client), config.text, {
            send: (text = config.text) => below.query(text === config.text ? config : { text }),
            undo: () => below.query({ text: "ROLLBACK" }),
            errors: POSTGRES,
          });
      },
    });
    faces.set(client, face);
    return face;
  };
  const wired = {
    options: pool.options,
    connect: async () => faceOf((await pool.connect()) as never),
    end: async () => {},
  } as unknown as PostgresPool;
  const another = (): SqlStore => postgresStore(wired, options);
  const store = another();
  return { store, another, close: () => store.close().then(() => pool.end()) };
}

export async function wiredMysql(
  url: string,
  options: MysqlStoreOptions,
  choose: Choice,
): Promise<WireStore> {
  const { createPool } = await import("mysql2/promise");
  const pool = createPool({ uri: url.replace(/^mariadb:/, "mysql:"), connectionLimit: 8 });
  const wired = {
    pool: pool.pool,
    getConnection: async () => {
      const connection = await pool.getConnection();
      return new Proxy(connection, {
        get(below, name) {
          const value: unknown = Reflect.get(below, name, below);
          if (name !== "query" && name !== "execute")
            return typeof value === "function" ? (value as () => void).bind(below) : value;
          return (query: { sql: string }, values?: unknown) =>
            send(choose(query.sql, connection.connection), query.sql, {
              send: () => (below[name] as (...args: unknown[]) => Promise<unknown>)(query, values),
              undo: () => below.query("ROLLBACK"),
              errors: MYSQL,
            });
        },
      });
    },
    end: async () => {},
  } as unknown as MysqlPool;
  const another = (): SqlStore => mysqlStore(wired, options);
  const store = another();
  return { store, another, close: () => store.close().then(() => pool.end()) };
}

function sqlite(path: string, table: string, choose: Choice): WireStore {
  const handle = new DatabaseSync(path);
  handle.exec("PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000");
  const call = (text: string, work: () => unknown): unknown => {
    const fault = choose(text, handle);
    if (fault === "refused before") throw sqliteError(19, "constraint failed");
    if (fault === "transient before") throw sqliteError(5, "database is locked");
    if (fault === "broken before") throw sqliteError(10, "disk I/O error");
    const answer = work();
    // SQLite begins a transaction or fails to, and never both.
    if (fault === "broken after" && !text.startsWith("BEGIN")) throw sqliteError(10, "disk I/O error");
    return answer;
  };
  const wired = new Proxy(handle, {
    get(below, name) {
      const value: unknown = Reflect.get(below, name, below);
      if (name === "exec") return (text: string) => call(text, () => below.exec(text));
      if (name !== "prepare") return typeof value === "function" ? (value as () => void).bind(below) : value;
      return (text: string) => {
        const statement = below.prepare(text);
        return new Proxy(statement, {
          get(prepared, method) {
            const own: unknown = Reflect.get(prepared, method, prepared);
            if (typeof own !== "function") return own;
            if (method !== "run" && method !== "all") return (own as () => void).bind(prepared);
            return (...values: unknown[]) =>
              call(text, () => (own as (...args: unknown[]) => unknown).apply(prepared, values));
          },
        });
      };
    },
  }) as unknown as SqliteHandle;
  const another = (): SqlStore => sqliteStore(wired, { table });
  const store = another();
  return { store, another, close: () => store.close().then(() => handle.close()) };
}

interface Wire {
  send(text?: string): Promise<unknown>;
  undo(): Promise<unknown>;
  readonly errors: { readonly refused: object; readonly transient: object; readonly ended: object };
}

async function send(choice: ReturnType<Choice>, text: string, wire: Wire): Promise<unknown> {
  if (typeof choice === "object" && choice !== null) {
    if ("send" in choice) return wire.send(choice.send);
    throw failure(choice.refuse);
  }
  const fault = choice;
  // Nothing is in the way of a statement that does nothing.
  if (fault === "transient before" && text === "DO 0") return wire.send();
  switch (fault) {
    case null:
      return wire.send();
    case "refused before":
    case "transient before":
      // A server that refuses to commit has undone the transaction.
      if (text.startsWith("COMMIT")) await wire.undo();
      throw failure(fault === "refused before" ? wire.errors.refused : wire.errors.transient);
    case "broken after":
    case "ended after":
      await wire.send();
  }
  throw fault.startsWith("ended")
    ? failure(wire.errors.ended)
    : Object.assign(new Error("Connection terminated unexpectedly"), { code: "ECONNRESET" });
}

function failure(fields: object): Error {
  return Object.assign(new Error("the test's server says so"), fields);
}

const POSTGRES: Wire["errors"] = {
  refused: { severity: "ERROR", code: "XX000" },
  transient: { severity: "ERROR", code: "40001" },
  ended: { severity: "FATAL", code: "57P01" },
};

const MYSQL: Wire["errors"] = {
  refused: { errno: 1105, sqlState: "HY000" },
  transient: { errno: 1213, sqlState: "40001" },
  ended: { errno: 1053, sqlState: "08S01", fatal: true },
};

function sqliteError(errcode: number, message: string): Error {
  return Object.assign(new Error(message), { code: "ERR_SQLITE_ERROR", errcode });
}
