import { bytesOrNullIn } from "../columns.ts";
import type { Portable } from "../portable.ts";

export const sqlitePortable: Portable = {
  text: (text) => text,
  insertIgnore: ["INSERT INTO", " ON CONFLICT DO NOTHING"],
  quoted: (column) => column,
  bytes: (column) => column,
  bytesIn: bytesOrNullIn,
  // node:sqlite throws for an integer that a number cannot represent, which fails the whole statement.
  integer: (column, most) => `max(min(${column}, ${most}), -${most}) AS ${column}`,
  bind: (bytes) => bytes,
  forUpdate: "",
  // Two blobs side by side are a text.
  endOfChain: (expression, length) =>
    `CAST(substr(${expression}, 1, ${length}) || x'ffffffffffffffff' AS BLOB)`,
};
