/** Statements through the connector `mariadb`, MariaDB's own. */
import { setImmediate as turn } from "node:timers/promises";
import type { MysqlConnection, MysqlExecute, MysqlPool } from "./connection.ts";

/** The parts used of a pool of `mariadb`, which returns promises. */
export interface MariadbPool {
  getConnection(): Promise<MariadbConnection>;
  end(): Promise<void>;
  activeConnections(): number;
}

/** The parts used of its connections. */
export interface MariadbConnection {
  execute(options: never, values: never): Promise<unknown>;
  query(options: never): Promise<unknown>;
  release(): Promise<void>;
  destroy(): void;
  readonly info: object | null;
}

interface Sending {
  execute(options: object, values: readonly unknown[]): Promise<unknown>;
  query(options: object): Promise<unknown>;
}

/** Overrides the settings of the application's pool. */
const OWN = {
  rowsAsArray: false,
  nestTables: false,
  metaAsArray: false,
  dateStrings: false,
  bigIntAsNumber: false,
  decimalAsNumber: false,
  checkNumberRange: false,
  typeCast: (_field: unknown, next: () => unknown): unknown => next(),
};

/** The pool as the store uses pools. */
export function mariadbPool(pool: MariadbPool): MysqlPool {
  let waiting = 0;
  return {
    getConnection: async () => {
      // The pool hands a released connection to its queue only after pending promises have run; until then, any new caller
      // gets it first. Callers that go on asking would starve those that wait.
      if (waiting > 0) await turn();
      waiting++;
      try {
        return wrapped(await pool.getConnection());
      } catch (error) {
        throw withoutStatement(error);
      } finally {
        waiting--;
      }
    },
    end: () => pool.end(),
  };
}

function wrapped(connection: MariadbConnection): MysqlConnection {
  const core = coreOf(connection.info ?? connection);
  const { execute, query } = connection as unknown as Sending;
  let underWay: Promise<unknown> = Promise.resolve();
  let isHeld = true;
  const answered = async (send: () => Promise<unknown>): Promise<[unknown]> => {
    // A late transaction goes on when its statement is answered. By then the connection may be another request's.
    if (!isHeld) throw new Error("The operation was given up, so it sends no further statement.");
    const sent = send();
    underWay = sent;
    try {
      const answer = await sent;
      return [Array.isArray(answer) ? answer : { ...(answer as object), serverStatus: core.serverStatus }];
    } catch (error) {
      throw withoutStatement(error);
    }
  };
  return {
    execute: ({ sql }: MysqlExecute, values) =>
      answered(() => execute.call(connection, { ...OWN, sql }, values)),
    query: ({ sql }) => answered(() => query.call(connection, { ...OWN, sql })),
    release: () => {
      isHeld = false;
      void connection.release().catch(ignore);
    },
    // Not before the server has answered: `destroy()` kills the thread of a busy connection, and ends this process if that
    // one is gone. A connection that broke is released, and the pool replaces it.
    destroy: () => {
      isHeld = false;
      void underWay
        .catch(ignore)
        .then(() => query.call(connection, { ...OWN, sql: "ROLLBACK" }))
        .then(
          () => connection.destroy(),
          () => connection.release(),
        )
        .catch(ignore);
    },
    connection: core,
  };
}

/** What lasts as long as a connection, of which the pool hands out a new wrapper each time. */
class Core {
  readonly #info: { readonly status?: unknown };

  constructor(info: object) {
    this.#info = info;
  }

  /** The status that the server sent with its last answer. */
  get serverStatus(): unknown {
    return this.#info.status;
  }
}

const cores = new WeakMap<object, Core>();

function coreOf(info: object): Core {
  let core = cores.get(info);
  if (core === undefined) cores.set(info, (core = new Core(info)));
  return core;
}

/**
 * The error without the statement and its values, which the connector puts into the message. Its own errors have numbers
 * from 45,000 on and a state like those of the server; they end the connection or are about getting one.
 */
function withoutStatement(error: unknown): unknown {
  const { sqlMessage, errno, sqlState, code, fatal } = (error ?? {}) as Record<string, unknown>;
  if (typeof sqlMessage !== "string") return error;
  if (code === "ER_POOL_ALREADY_CLOSED") return new Error(`Pool is closed (${sqlMessage})`);
  const message = sqlMessage.replace(/\n?sql: [^]*$/, "");
  const isServers = typeof errno === "number" && errno > 0 && (errno < 45_000 || errno >= 46_000);
  if (isServers) return Object.assign(new Error(message), { errno, sqlState, code, fatal });
  const isOfConnection =
    fatal === true || /TIMEOUT|SOCKET|CLOSE|CONNECTION|HANDSHAKE|AUTH/.test(String(code));
  return Object.assign(new Error(message), { code, fatal: isOfConnection });
}

function ignore(): void {}
