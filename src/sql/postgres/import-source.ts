import { query } from "../statement.ts";
import type { ImportSource } from "../import-source.ts";

export const importSource: ImportSource = {
  placeholder: (n) => `$${n}`,
  quote: (identifier) => `"${identifier}"`,
  textOf: (column) => `${column}::text`,
  instantOf: (column, inUtc) => {
    // AT TIME ZONE reads a time without a zone as UTC, and leaves the instant of a time with a zone unchanged.
    const time = inUtc ? `${column} AT TIME ZONE 'UTC'` : `${column}::timestamptz`;
    return `extract(epoch FROM ${time})::float8`;
  },
  jsonOf: (column) => `to_json(${column})::text`,
  columnsOf: (table) =>
    query(
      "SELECT attrelid::regclass::text AS found, attname::text AS name, format_type(atttypid, NULL) AS type FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
      table
        .split(".")
        .map((part) => `"${part}"`)
        .join("."),
    ),
};
