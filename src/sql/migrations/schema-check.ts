import { flagIn, textIn } from "../columns.ts";
import { COLUMNS, INDEXED, MADE, type TableName } from "../table-shape.ts";
import { TableError } from "../../errors.ts";
import type { Dialect, Names, Run, Statement } from "../dialect.ts";

/** A missing table or index. */
export interface Gap {
  readonly kind: "table" | "index";
  /** For example `the table "stored_sessions_leases"` or `an index that starts with user_ref`. */
  readonly what: string;
  /** The name used in the statements that create it. */
  readonly object: keyof Names;
  /** Adds it if those statements create it only together with its table. */
  readonly add?: Statement;
  /** Why it cannot be created and what to do, in sentences. */
  readonly obstacle?: string;
}

/**
 * Whether the table exists.
 * @throws {TableError} the table exists but lacks one of our columns; additional columns are allowed
 */
export async function isOurs(dialect: Dialect, run: Run, table: TableName): Promise<boolean> {
  const { rows } = await run(dialect.columns(table));
  if (rows.length === 0) return false;
  const found = new Set(rows.map((row) => textIn(row, "name")));
  const lacking = COLUMNS[table].filter((column) => !found.has(column));
  if (lacking.length === 0) return true;
  throw new TableError(
    `A table ${dialect.names[table]} exists with other columns: it has ${[...found].join(", ")} and lacks ${lacking.join(", ")}. Set the option \`table\` to another name, or rename the existing table. Nothing was changed.`,
  );
}

/** Returns what is missing of tables that the journal says exist. */
export async function gapsIn(dialect: Dialect, run: Run): Promise<readonly Gap[]> {
  const gaps: Gap[] = [];
  for (const table of Object.values(MADE).flat()) {
    if (await isOurs(dialect, run, table)) continue;
    gaps.push({ kind: "table", what: `the table ${dialect.names[table]}`, object: table });
  }
  // A missing table is created with its indexes.
  if (gaps.some(({ object }) => object === "sessions")) return gaps;
  const { rows } = await run(dialect.indexes());
  const usable = rows
    .filter(({ name, invalid }) => name !== null && !invalid)
    .map((row) => ({ name: textIn(row, "name"), alone: flagIn(row, "alone") }));
  if (!usable.some(({ name, alone }) => name === "id" && alone)) {
    gaps.push({
      kind: "index",
      what: "a primary key on id",
      object: "sessions",
      obstacle: `A table created by another tool needs id as its primary key: ALTER TABLE ${dialect.names.sessions} ADD PRIMARY KEY (id).`,
    });
  }
  for (const column of INDEXED) {
    if (usable.some(({ name }) => name === column)) continue;
    const invalid = rows.find(({ name }) => name === column)?.["invalid"];
    const add = dialect.addIndex?.(column);
    gaps.push({
      kind: "index",
      what: `an index that starts with ${column}`,
      object: column === "user_ref" ? "userIndex" : "expiryIndex",
      ...(add && { add }),
      ...(invalid ? { obstacle: notValid(String(invalid)) } : {}),
    });
  }
  return gaps;
}

/** Not every role may see this, so the two cases look the same. */
function notValid(index: string): string {
  return `The index ${index} is not valid: CREATE INDEX CONCURRENTLY is still building it, or has failed. Wait until it finishes (see pg_stat_progress_create_index), or drop the index and recreate it.`;
}
