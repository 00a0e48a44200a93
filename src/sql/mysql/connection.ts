import { changesOf, rowsOf, textIn } from "../columns.ts";
import type { Result, Statement } from "../dialect.ts";

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

/** Not by a prepared statement, which keeps the database that it was prepared in. */
export async function databaseOf(connection: MysqlConnection): Promise<string | null> {
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

export function resultOf(answer: unknown, { writes }: Statement): Result {
  // An answer without rows tells how many it changed.
  const { affectedRows } = (answer ?? {}) as { affectedRows?: unknown };
  if (affectedRows !== undefined && !Array.isArray(answer))
    return { rows: [], changes: writes ? changesOf(affectedRows) : 0 };
  const rows = rowsOf(answer);
  return { rows, changes: writes ? rows.length : 0 };
}

/** Of mysql2 `destroy` says goodbye and waits for the server, which may have vanished. */
export function destroy(connection: MysqlConnection): void {
  connection.destroy();
  const { stream } = coreOf(connection) as { stream?: { destroy?(): void } };
  stream?.destroy?.();
}

export function coreOf(connection: MysqlConnection): object {
  return connection.connection ?? connection;
}
