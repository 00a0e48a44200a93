import { query } from "../statement.ts";
import type { ImportSource } from "../import-source.ts";

export const importSource: ImportSource = {
  placeholder: () => "?",
  quote: (identifier) => `"${identifier}"`,
  textOf: (column) => `CAST(${column} AS TEXT)`,
  // In SQLite, a number and its text are different ids if a column can hold both. So are bytes and their text, and all
  // bytes sort after all texts: a page after bytes only starts there if the cursor is passed as bytes.
  typeOf: (column) =>
    `typeof(${column}) AS read_type, CASE typeof(${column}) WHEN 'blob' THEN ${column} END AS read_bytes`,
  instantOf: (column) => column,
  // SQLite compares names without case.
  columnsOf: (table) =>
    query(
      "SELECT m.name AS found, c.name AS name, c.type AS type FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type IN ('table', 'view') AND lower(m.name) = lower(?) ORDER BY c.cid",
      table,
    ),
};
