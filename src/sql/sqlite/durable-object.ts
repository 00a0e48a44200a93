/** `stored-session/durable-object`: sessions in the SQLite database of a Durable Object. */
import { OptionsError } from "../../errors.ts";
import { hasMethods, member } from "../handles.ts";
import { isAnything, problemsOf } from "../../shared/option-checks.ts";
import { SqlStore } from "../sql-store.ts";
import { batchDialect, type BatchStoreOptions } from "./batch-dialect.ts";
import { BatchDatabase, type BatchClient, type BatchResult, type BatchStatement } from "./batch-driver.ts";
import { coded } from "./workers.ts";

export type DurableObjectStoreOptions = BatchStoreOptions;

/** The parts used of `ctx.storage` of a Durable Object that is stored in SQLite. */
export interface DurableObjectStorage {
  readonly sql: { exec(text: string, ...values: never[]): { toArray(): readonly object[] } };
  transactionSync<T>(work: () => T): T;
}

/**
 * Opens a store in a Durable Object: `durableObjectStore(this.ctx.storage)`, in the object's constructor. Its tables are
 * created at the first operation. The object runs one batch at a time.
 */
export function durableObjectStore(
  storage: DurableObjectStorage,
  options: DurableObjectStoreOptions = {},
): SqlStore {
  const problems = problemsOf(options, { table: isAnything }); // its name is checked where it is quoted
  if (!hasMethods(storage, "transactionSync") || !hasMethods(member(storage, "sql"), "exec")) {
    problems.push(
      "durableObjectStore requires ctx.storage of a Durable Object that is stored in SQLite. Declare its class under new_sqlite_classes.",
    );
  }
  if (problems.length > 0) throw new OptionsError(problems);
  const database = new BatchDatabase({
    dialect: batchDialect(options, "SQLite of a Durable Object"),
    open: async () => batches(storage),
    owned: false,
    store: "durableObjectStore",
    label: "the database of the Durable Object",
  });
  return new SqlStore(database, { migrateAtFirstUse: true });
}

function batches(storage: DurableObjectStorage): BatchClient {
  const exec = (text: string, values: readonly unknown[] = []): readonly object[] =>
    storage.sql.exec(text, ...(values as never[])).toArray();
  const runOne = ({ text, values }: BatchStatement, writes: boolean): BatchResult => {
    const rows = exec(text, values).map(bytesFrom);
    if (!writes) return { rows, changes: 0 };
    const [{ changes }] = exec("SELECT changes() AS changes") as [{ changes: number }];
    return { rows, changes };
  };
  return {
    async batch(statements, writes) {
      try {
        return storage.transactionSync(() => statements.map((statement) => runOne(statement, writes)));
      } catch (error) {
        throw coded(error);
      }
    },
  };
}

/** It returns bytes as an ArrayBuffer. */
function bytesFrom(row: object): object {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      value instanceof ArrayBuffer ? new Uint8Array(value) : value,
    ]),
  );
}
