import type { ImportSource } from "../import-source.ts";

export const importSource: ImportSource = {
  placeholder: () => "?",
  quote: (identifier) => `\`${identifier}\``,
  textOf: (column) => `CONVERT(${column} USING utf8mb4)`,
  instantOf: (column) => `CAST(${column} AS CHAR)`,
};
