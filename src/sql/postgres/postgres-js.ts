/** Statements through postgres.js (the package `postgres`). */
import { neverSent } from "../driver-errors.ts";
import { codeOf } from "./errors.ts";
import { parserOf } from "./results.ts";
import { stepwisePool } from "./stepwise.ts";
import type { PostgresPool, PostgresQuery, PostgresResult } from "./driver.ts";

/**
 * What is used of `postgres(…)`: its pool, which is a function. Not `reserve()`: where the pool has `fetch_types: false`
 * it never gets a connection, and a statement through a reserved connection that was closed ends the process.
 */
export interface PostgresJs extends PostgresJsQueries {
  begin(...how: never[]): Promise<unknown>;
  end(): Promise<void>;
  readonly options: { readonly max: number; readonly transform: object };
}

interface Beginning {
  begin(options: string, work: (transaction: PostgresJsQueries) => Promise<void>): Promise<unknown>;
}

interface PostgresJsQueries {
  unsafe(text: string, values?: never[], options?: { readonly prepare?: boolean }): PromiseLike<unknown>;
}

interface PostgresJsQuery extends PromiseLike<unknown> {
  raw(): PostgresJsQuery;
  readonly canceller?: ((query: unknown) => Promise<unknown>) | null;
}

/** What is used of a result of `raw()`: each row is a list of bytes. */
interface PostgresJsResult {
  readonly count: number | null;
  readonly columns?: readonly { readonly name: string; readonly type: number }[];
  [Symbol.iterator](): Iterator<readonly (Uint8Array | null)[]>;
}

/** The pool of postgres.js as the store uses pools. */
export function postgresJsPool(sql: PostgresJs): PostgresPool {
  const names = new ColumnNames(sql.options.transform);
  const queries = new WeakMap<Promise<unknown>, PostgresJsQuery>();
  return stepwisePool<PostgresJsQueries>({
    max: sql.options.max,
    send: ({ name, text, values }: PostgresQuery, transaction): Promise<PostgresResult> => {
      const options = { prepare: name !== undefined };
      // As raw bytes, which neither the types nor the transformations of the application's pool reach.
      const query = ((transaction ?? sql).unsafe(text, values as never[], options) as PostgresJsQuery).raw();
      const sent = answered(query).then((result) => names.resultOf(text, result));
      queries.set(sent, query);
      return sent;
    },
    transaction: (work) =>
      answered((sql as unknown as Beginning).begin("isolation level read committed", work)),
    endsTransaction: isFatal,
    cancel: (sent) => {
      // Not by the query's `cancel()`, whose failure nobody could catch.
      const query = queries.get(sent);
      void Promise.resolve(query?.canceller?.(query)).catch(ignore);
    },
    end: () => sql.end(),
  });
}

async function answered(query: PromiseLike<unknown>): Promise<PostgresJsResult> {
  try {
    return (await query) as PostgresJsResult;
  } catch (error) {
    // It gets its connection with the statement, so a failure to connect arrives as the statement's.
    if (isOfConnecting(error)) neverSent.add(error);
    throw error;
  }
}

function isOfConnecting(error: unknown): error is object {
  const { syscall, code } = (error ?? {}) as { syscall?: unknown; code?: unknown };
  return syscall === "connect" || syscall === "getaddrinfo" || code === "CONNECT_TIMEOUT";
}

/** Whether the connection ends with this error: every one that is no answer of the server, and its fatal ones. */
function isFatal(error: unknown): boolean {
  return codeOf(error) === null || /^(FATAL|PANIC)$/.test((error as { severity: string }).severity);
}

/** The columns' names as a statement has them, whatever `transform.column` of the application's pool makes of them. */
class ColumnNames {
  readonly #from: ((name: string) => string) | null;
  readonly #byText = new Map<string, ReadonlyMap<string, string>>();

  constructor(transform: object) {
    const { column } = transform as { readonly column?: { readonly from?: unknown } };
    const from = column?.from;
    this.#from = typeof from === "function" ? (from as (name: string) => string) : null;
  }

  resultOf(text: string, result: PostgresJsResult): PostgresResult {
    const columns = result.columns ?? [];
    const read = columns.map(({ name, type }, place) => {
      const parse = parserOf(type);
      const column = this.#nameOf(text, name);
      return (row: Record<string, unknown>, values: readonly (Uint8Array | null)[]): void => {
        const value = values[place];
        row[column] = value === null || value === undefined ? null : parse(Buffer.from(value).toString());
      };
    });
    const rows = Array.from({ [Symbol.iterator]: () => result[Symbol.iterator]() }, (values) => {
      const row: Record<string, unknown> = {};
      for (const readInto of read) readInto(row, values);
      return row;
    });
    return { rows, rowCount: result.count };
  }

  /** Every name that a statement returns is a word of its text. */
  #nameOf(text: string, name: string): string {
    const from = this.#from;
    if (from === null) return name;
    let names = this.#byText.get(text);
    if (names === undefined) {
      if (this.#byText.size >= 200) this.#byText.clear();
      names = new Map(text.match(/[a-z_]\w*/g)?.map((word) => [from(word), word]));
      this.#byText.set(text, names);
    }
    return names.get(name) ?? name;
  }
}

function ignore(): void {}
