import { query } from "../statement.ts";
import { ALL } from "./lists.ts";
import type { ImportSource } from "../import-source.ts";

export const importSource: ImportSource = {
  placeholder: () => "?",
  quote: (identifier) => `\`${identifier}\``,
  textOf: (column) => `CONVERT(${column} USING utf8mb4)`,
  instantOf: (column) => `CAST(${column} AS CHAR)`,
  columnsOf(table) {
    const parts = table.split(".");
    return query(
      `SELECT table_name AS found, column_name AS name, column_type AS type FROM information_schema.columns WHERE table_schema = ${parts.length > 1 ? "?" : "DATABASE()"} AND table_name = ? ORDER BY ordinal_position ${ALL}`,
      ...parts,
    );
  },
};
