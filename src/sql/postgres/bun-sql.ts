/** Statements through Bun's own client, `Bun.SQL`. */
import { neverSent } from "../driver-errors.ts";
import { stepwisePool } from "./stepwise.ts";
import type { PostgresPool, PostgresQuery, PostgresResult } from "./driver.ts";

/** The parts used of `new SQL(…)` of Bun, which is a function. */
export interface BunSql {
  unsafe(text: string, values?: never[]): PromiseLike<unknown>;
  begin(...how: never[]): Promise<unknown>;
  beginDistributed(...how: never[]): Promise<unknown>;
  end(): Promise<void>;
  readonly options: object;
}

type Queries = Pick<BunSql, "unsafe">;

interface Beginning {
  begin(options: string, work: (transaction: Queries) => Promise<void>): Promise<unknown>;
}

/** Rows, which are an array with these. */
interface BunResult extends Array<Record<string, unknown>> {
  readonly count: number | null;
}

/** Its pool as the store uses pools. */
export function bunSqlPool(sql: BunSql): PostgresPool {
  const { max = 10 } = sql.options as { readonly max?: number };
  return stepwisePool<Queries>({
    max,
    send: async ({ text, values }: PostgresQuery, transaction): Promise<PostgresResult> => {
      try {
        const result = (await (transaction ?? sql).unsafe(text, values as never[])) as BunResult;
        return { rows: [...result], rowCount: result.count };
      } catch (error) {
        throw coded(error);
      }
    },
    transaction: async (work) => {
      try {
        await (sql as unknown as Beginning).begin("isolation level read committed", work);
      } catch (error) {
        throw coded(error);
      }
    },
    endsTransaction: (error) => typeof (error as { severity?: unknown }).severity !== "string",
    end: () => sql.end(),
  });
}

/** Bun has the server's code in `errno`, and codes of its own for what happens to a connection. */
function coded(error: unknown): unknown {
  const { errno, code, severity, message } = (error ?? {}) as Record<string, unknown>;
  if (typeof severity === "string" && typeof errno === "string")
    return Object.assign(new Error(String(message), { cause: error }), { code: errno, severity });
  if (!/^ERR_POSTGRES_(CONNECTION|IDLE|LIFETIME|TLS|AUTH)/.test(String(code))) return error;
  const lost = Object.assign(new Error(String(message), { cause: error }), { code: "ECONNRESET" });
  // Unlike the limits of an open connection, which may end one whose statement is under way.
  if (/^ERR_POSTGRES_CONNECTION_(REFUSED|TIMEOUT)$/.test(String(code))) neverSent.add(lost);
  return lost;
}
