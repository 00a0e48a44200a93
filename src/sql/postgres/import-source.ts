import type { ImportSource } from "../import-source.ts";

export const importSource: ImportSource = {
  placeholder: (n) => `$${n}`,
  quote: (identifier) => `"${identifier}"`,
  textOf: (column) => `${column}::text`,
  instantOf: (column, inUtc) => {
    // With AT TIME ZONE a time that has no zone is one of UTC, and one that has stays the instant that it is.
    const time = inUtc ? `${column} AT TIME ZONE 'UTC'` : `${column}::timestamptz`;
    return `extract(epoch FROM ${time})::float8`;
  },
};
