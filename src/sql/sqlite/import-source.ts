import type { ImportSource } from "../import-source.ts";

export const importSource: ImportSource = {
  placeholder: () => "?",
  quote: (identifier) => `"${identifier}"`,
  textOf: (column) => `CAST(${column} AS TEXT)`,
  // A number and its text are two ids of SQLite, where a column may hold both. Bytes and their text are two as well,
  // and all bytes come behind all texts: behind bytes a page begins only when it is told them as bytes.
  typeOf: (column) =>
    `typeof(${column}) AS read_type, CASE typeof(${column}) WHEN 'blob' THEN ${column} END AS read_bytes`,
  instantOf: (column) => column,
};
