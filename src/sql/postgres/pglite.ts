/** Statements through PGlite, which is PostgreSQL in this process. */
import { parserOf } from "./results.ts";
import { stepwisePool } from "./stepwise.ts";
import type { PostgresPool, PostgresQuery, PostgresResult } from "./driver.ts";

/** What is used of a `PGlite`. */
export interface Pglite extends PgliteQueries {
  transaction<T>(work: (transaction: PgliteQueries) => Promise<T>): Promise<T | undefined>;
  readonly closed: boolean;
  close(): Promise<void>;
}

interface PgliteQueries {
  query(text: string, values?: unknown[], options?: PgliteOptions): Promise<PgliteResult>;
}

interface PgliteOptions {
  readonly rowMode: "object";
  readonly parsers: Readonly<Record<number, (value: string) => unknown>>;
  readonly serializers: Readonly<Record<number, (value: unknown) => string>>;
}

interface PgliteResult {
  readonly rows: readonly object[];
  readonly affectedRows?: number;
}

/** bool, bytea, int8, int2, int4, text, float4, float8: what the store's statements return. */
const RETURNED = [16, 17, 20, 21, 23, 25, 700, 701];
/** int8, int2, int4, text, varchar, int4[], bytea[], int8[]: what they bind as text. */
const BOUND = [20, 21, 23, 25, 1043, 1007, 1001, 1016];

/** In place of the parsers and serializers that the application may have given its instance. */
const OWN: PgliteOptions = {
  rowMode: "object",
  parsers: Object.fromEntries(RETURNED.map((oid) => [oid, parserOf(oid)])),
  serializers: {
    ...Object.fromEntries(BOUND.map((oid) => [oid, String])),
    17: (value) => `\\x${Buffer.from(value as Uint8Array).toString("hex")}`,
  },
};

/** One connection, which PGlite shares out itself: a transaction has it alone, and everybody else waits. */
export function pglitePool(pglite: Pglite): PostgresPool {
  const assertOpen = (): void => {
    if (pglite.closed) throw new Error("Pool is closed: the PGlite was closed");
  };
  return stepwisePool<PgliteQueries>({
    max: 1,
    send: async ({ text, values }: PostgresQuery, transaction): Promise<PostgresResult> => {
      assertOpen();
      const { rows, affectedRows } = await (transaction ?? pglite).query(text, values, OWN);
      return { rows: rows as Record<string, unknown>[], rowCount: affectedRows ?? rows.length };
    },
    transaction: async (work) => {
      assertOpen();
      await pglite.transaction(work);
    },
    endsTransaction: () => pglite.closed,
    end: () => pglite.close(),
  });
}
