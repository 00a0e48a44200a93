import { asBuffer, asBytes } from "../../shared/bytes.ts";
import { bytesIn } from "../columns.ts";
import type { Portable } from "../portable.ts";

export const postgresPortable: Portable = {
  text: numbered,
  insertIgnore: ["INSERT INTO", " ON CONFLICT DO NOTHING"],
  quoted: (column) => column,
  bytes: (column) => `encode(${column}, 'base64') AS ${column}`,
  bytesIn: (row, column) => {
    const value = row[column];
    if (value === null) return null;
    return typeof value === "string" ? asBytes(Buffer.from(value, "base64")) : bytesIn(row, column);
  },
  bind: asBuffer,
  integer: (column) => column,
  forUpdate: " FOR UPDATE",
  endOfChain: (expression, length) => `substr(${expression}, 1, ${length}) || '\\xffffffffffffffff'::bytea`,
};

function numbered(text: string): string {
  let number = 0;
  return text.replaceAll("?", () => `$${++number}`);
}
