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
};
