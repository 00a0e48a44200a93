import { changesOf, rowsOf, textIn } from "../columns.ts";
import type { Result, Statement } from "../dialect.ts";

/** The parts used of a `mysql2/promise` connection. */
export interface MysqlConnection {
  execute(options: MysqlExecute, values: never[]): Promise<[unknown, ...unknown[]]>;
  query(options: Pick<MysqlExecute, "sql"> & Partial<MysqlExecute>): Promise<[unknown, ...unknown[]]>;
  release(): void;
  destroy(): void;
  /** The connection itself: mysql2 creates a new wrapper each time it hands out the connection. */
  readonly connection?: object;
}

export interface MysqlExecute {
  readonly sql: string;
  readonly rowsAsArray: false;
  readonly nestTables: false;
  /** Overrides the setting of the application's pool. */
  readonly typeCast: true | ((field: unknown, next: () => unknown) => unknown);
}

/** The parts used of a `mysql2/promise` pool. */
export interface MysqlPool {
  /** The underlying callback pool. A limit of 0 means unlimited. */
  readonly pool?: {
    readonly config?: {
      readonly connectionLimit?: number;
      /** The initial settings of its connections. */
      readonly connectionConfig?: { readonly database?: string };
    };
  };
  getConnection(): Promise<MysqlConnection>;
  end(): Promise<void>;
}

export async function send(connection: MysqlConnection, statement: Statement): Promise<Result> {
  return resultOf(await execute(connection, statement), statement);
}

export async function execute(connection: MysqlConnection, { text, values }: Statement): Promise<unknown> {
  const options = {
    sql: text,
    rowsAsArray: false,
    nestTables: false,
    typeCast: typeCastOf(connection),
  } as const;
  return (await connection.execute(options, values as never[]))[0];
}

/** Not prepared: a prepared statement keeps the database that it was prepared in. */
export async function databaseOf(connection: MysqlConnection): Promise<string | null> {
  const sql = "SELECT DATABASE() AS place LIMIT 1";
  const typeCast = typeCastOf(connection);
  const [answer] = await connection.query({ sql, rowsAsArray: false, nestTables: false, typeCast });
  const [row = {}] = rowsOf(answer);
  return row["place"] === null ? null : textIn(row, "place");
}

/** mysql2 puts a function of the pool before `true`, and before that only another function. */
function typeCastOf(connection: MysqlConnection): MysqlExecute["typeCast"] {
  const { config } = coreOf(connection) as { config?: { typeCast?: unknown } };
  return typeof config?.typeCast === "function" ? asIs : true;
}

function asIs(_field: unknown, next: () => unknown): unknown {
  return next();
}

export function resultOf(answer: unknown, { writes }: Statement): Result {
  // A result without rows contains the number of affected rows.
  const { affectedRows } = (answer ?? {}) as { affectedRows?: unknown };
  if (affectedRows !== undefined && !Array.isArray(answer))
    return { rows: [], changes: writes ? changesOf(affectedRows) : 0 };
  const rows = rowsOf(answer);
  return { rows, changes: writes ? rows.length : 0 };
}

/** mysql2's `destroy` sends a quit packet and waits for the server, which may be unreachable. */
export function destroy(connection: MysqlConnection): void {
  connection.destroy();
  const { stream } = coreOf(connection) as { stream?: { destroy?(): void } };
  stream?.destroy?.();
}

export function coreOf(connection: MysqlConnection): object {
  return connection.connection ?? connection;
}
