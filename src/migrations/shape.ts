import { COLUMNS, INDEXED, type TableName } from "../database/shape.ts";
import { TableError } from "../errors.ts";
import type { Dialect, Run, Statement } from "../database/dialect.ts";

/** Something of the tables that is not there. */
export interface Gap {
  readonly kind: "table" | "index";
  /** "the table "stored_sessions_leases"" or "an index that begins with user_ref". */
  readonly what: string;
  /** Adds it where the statements of the migrations do not. */
  readonly add?: Statement;
}

/**
 * Whether the table is there.
 * @throws {TableError} it is there without a column of ours; others may be added to it
 */
export async function isOurs(dialect: Dialect, run: Run, table: TableName): Promise<boolean> {
  const { rows } = await run(dialect.columns(table));
  if (rows.length === 0) return false;
  const found = new Set(rows.map(({ name }) => String(name)));
  const lacking = COLUMNS[table].filter((column) => !found.has(column));
  if (lacking.length === 0) return true;
  throw new TableError(
    `A table ${dialect.names[table]} exists with another shape: it has ${[...found].join(", ")}, and not ${lacking.join(", ")}. Give the store another name with the option "table", or rename that table. Nothing was changed.`,
  );
}

/** What is missing of tables that a journal says are there. */
export async function gapsIn(dialect: Dialect, run: Run): Promise<readonly Gap[]> {
  const gaps: Gap[] = [];
  for (const table of ["sessions", "leases"] as const) {
    if (await isOurs(dialect, run, table)) continue;
    gaps.push({ kind: "table", what: `the table ${dialect.names[table]}` });
    // Which is made with its indexes.
    if (table === "sessions") return gaps;
  }
  const { rows } = await run(dialect.indexes());
  if (!rows.some(({ name, alone }) => name === "id" && alone)) {
    gaps.push({ kind: "index", what: "a primary key over id" });
  }
  for (const column of INDEXED) {
    if (rows.some(({ name }) => name === column)) continue;
    const add = dialect.addIndex?.(column);
    gaps.push({ kind: "index", what: `an index that begins with ${column}`, ...(add && { add }) });
  }
  return gaps;
}
