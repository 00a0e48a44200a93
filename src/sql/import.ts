import { keyOf } from "../shared/bytes.ts";
import { bytesIn } from "./columns.ts";
import { afterChanges } from "../store/partial-failure.ts";
import type { ImportLedger } from "./import-ledger.ts";
import { StoreError } from "../errors.ts";
import type { Database, Result, Statement } from "./dialect.ts";
import type { SessionRow } from "../store/row.ts";
import type { TakenOver } from "../store/contract.ts";

/** Maximum bytes of sealed data per batch, so that several large sessions do not exceed a server's limit. */
const BATCH_BYTES = 1_048_576;

/** The operations of the store over `database`. */
export interface RowsOf {
  readonly database: Database;
  insert(rows: readonly SessionRow[]): readonly Statement[];
  inserted(results: readonly Result[], rows: readonly SessionRow[]): readonly boolean[];
  read(ids: readonly Uint8Array[]): Promise<readonly (SessionRow | null)[]>;
}

/**
 * `SessionStore.takeOver` for SQL databases: inserts rows and records their ids in the ledger in one transaction
 * (decisions/0017).
 */
export async function takeOver(
  store: RowsOf,
  rows: readonly SessionRow[],
  dryRun: boolean,
): Promise<TakenOver[]> {
  const { database } = store;
  const ledger = database.dialect.importLedger();
  let isThere = await find(database, ledger);
  if (!isThere && !dryRun) {
    await create(database, ledger);
    isThere = true;
  }
  const answers = new Map<string, TakenOver>();
  for (const batch of batchesOf(rows, database.dialect.lanes.maxBatch)) {
    const look = isThere ? (some: readonly SessionRow[]) => known(database, ledger, some) : async () => none;
    try {
      await (dryRun ? compare(store, look, batch, answers) : add(store, ledger, look, batch, answers));
    } catch (error) {
      const taken = dryRun ? [] : [...answers.values()].filter((answer) => answer === "imported");
      throw afterChanges(error, taken.length, "imported");
    }
  }
  return rows.map(({ id }) => answers.get(keyOf(id))!);
}

const none: ReadonlySet<string> = new Set();
type Look = (rows: readonly SessionRow[]) => Promise<ReadonlySet<string>>;

async function add(
  store: RowsOf,
  ledger: ImportLedger,
  look: Look,
  batch: readonly SessionRow[],
  answers: Map<string, TakenOver>,
): Promise<void> {
  for (let attempt = 1; attempt <= 10; attempt++) {
    const before = await look(batch);
    const rest = batch.filter(({ id }) => !before.has(keyOf(id)));
    for (const key of before) answers.set(key, "before");
    if (rest.length === 0) return;
    const entry = ledger.add(rest.map(({ id }) => id));
    // Fewer than all: another import has added one since the check, and everything is rolled back.
    const results = await store.database.transaction([
      { ...entry, atLeast: rest.length },
      ...store.insert(rest),
    ]);
    if (results === null) continue;
    const inserted = store.inserted(results.slice(1), rest);
    for (const [index, { id }] of rest.entries())
      answers.set(keyOf(id), inserted[index] ? "imported" : "present");
    return;
  }
  throw new StoreError("Other imports kept importing the same sessions. Run one import at a time.");
}

async function compare(
  store: RowsOf,
  look: Look,
  batch: readonly SessionRow[],
  answers: Map<string, TakenOver>,
): Promise<void> {
  const before = await look(batch);
  const there = await store.read(batch.map(({ id }) => id));
  for (const [index, { id }] of batch.entries()) {
    const key = keyOf(id);
    answers.set(key, before.has(key) ? "before" : there[index] === null ? "imported" : "present");
  }
}

/** Ordered by id, so that two concurrent imports collide on the same row instead of deadlocking. */
function* batchesOf(rows: readonly SessionRow[], most: number): Generator<readonly SessionRow[]> {
  let batch: SessionRow[] = [];
  let bytes = 0;
  for (const row of rows.toSorted((a, b) => Buffer.compare(a.id, b.id))) {
    if (batch.length === most || (batch.length > 0 && bytes + row.data.length > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(row);
    bytes += row.data.length;
  }
  if (batch.length > 0) yield batch;
}

async function known(
  database: Database,
  ledger: ImportLedger,
  rows: readonly SessionRow[],
): Promise<ReadonlySet<string>> {
  const { rows: found } = await database.run(ledger.read(rows.map(({ id }) => id)));
  return new Set(found.map((row) => keyOf(bytesIn(row, "id"))));
}

async function find(database: Database, ledger: ImportLedger): Promise<boolean> {
  return (await database.run(ledger.find())).rows.length > 0;
}

/** Check first: a role that may not create tables can use an existing one. */
async function create(database: Database, ledger: ImportLedger): Promise<void> {
  const statement = ledger.create();
  try {
    await database.run(statement);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    // PostgreSQL fails one of two concurrent CREATE TABLE statements for the same name.
    if (await find(database, ledger)) return;
    throw new StoreError(
      `The table that records imported sessions could not be created (${reasonOf(error)}). Without it, an ended session could be imported again. As a role that may create tables, run this first: ${statement.text}`,
      { cause: error },
    );
  }
}

function reasonOf(error: StoreError): string {
  return error.cause instanceof Error ? error.cause.message : error.message;
}
