/** `stored-session/d1`: sessions in Cloudflare D1. */
import { OptionsError } from "../../errors.ts";
import { neverSent } from "../driver-errors.ts";
import { hasMethods, behind } from "../handles.ts";
import { isAnything, problemsOf } from "../../shared/option-checks.ts";
import { SqlStore } from "../sql-store.ts";
import { batchDialect, type BatchStoreOptions } from "./batch-dialect.ts";
import { BatchDatabase, type BatchClient, type BatchResult, type BatchStatement } from "./batch-driver.ts";
import { coded } from "./workers.ts";

export type D1StoreOptions = BatchStoreOptions;

/** The parts used of a D1 binding. */
export interface D1 {
  prepare(text: string): D1Statement;
  batch(statements: never[]): Promise<readonly D1Result[]>;
}

interface D1Statement {
  bind(...values: never[]): D1Statement;
}

interface D1Result {
  readonly results: readonly object[];
  readonly meta: object;
}

/**
 * Opens a store in Cloudflare D1: `d1Store(env.DB)`. Run `migrate(store)` once, or apply the SQL that
 * `stored-session migrate --print` prints. Nothing runs in the background and no connection is kept, so a store may be
 * created for each request.
 */
export function d1Store(database: D1 | { readonly $client: D1 }, options: D1StoreOptions = {}): SqlStore {
  const problems = problemsOf(options, { table: isAnything }); // its name is checked where it is quoted
  const found = behind(database, "d1Store", "the D1 binding (env.DB)");
  if (found !== null && "problem" in found) problems.push(found.problem);
  const d1 = found !== null && "handle" in found ? found.handle : database;
  if (found === null && !hasMethods(d1, "prepare", "batch"))
    problems.push(
      "d1Store requires a D1 binding (env.DB). Look at its name in the configuration of the Worker.",
    );
  if (hasMethods(d1, "getBookmark"))
    problems.push(
      "d1Store was given a D1 session (env.DB.withSession(…)), whose reads a replica may answer: a session that ended would seem to live. Pass env.DB itself, which reads from the primary.",
    );
  if (problems.length > 0) throw new OptionsError(problems);
  return new SqlStore(
    new BatchDatabase({
      dialect: batchDialect(options, "Cloudflare D1"),
      open: async () => batches(d1 as D1),
      owned: false,
      store: "d1Store",
      label: "the D1 database",
    }),
  );
}

function batches(d1: D1): BatchClient {
  return {
    async batch(statements) {
      const prepared = statements.map((statement) => bound(d1, statement));
      try {
        return (await d1.batch(prepared as never[])).map(resultOf);
      } catch (error) {
        throw coded(error);
      }
    },
  };
}

/** A value that D1 does not take is refused here, before anything is sent. */
function bound(d1: D1, { text, values }: BatchStatement): D1Statement {
  try {
    return d1.prepare(text).bind(...(values as never[]));
  } catch (error) {
    if (error instanceof Error) neverSent.add(error);
    throw error;
  }
}

function resultOf({ results, meta }: D1Result): BatchResult {
  const { changes } = meta as { readonly changes?: number };
  return { rows: results.map(bytesFrom), changes: changes ?? 0 };
}

/** D1 returns bytes as a list of numbers. */
function bytesFrom(row: object): object {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      Array.isArray(value) ? Uint8Array.from(value as number[]) : value,
    ]),
  );
}
