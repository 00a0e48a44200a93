import { asBuffer } from "../../shared/bytes.ts";
import { bytesOrNullIn } from "../columns.ts";
import type { Portable } from "../portable.ts";

export const mysqlPortable: Portable = {
  text: (text) => text,
  insertIgnore: ["INSERT IGNORE INTO", ""],
  bytes: (column) => column,
  bytesIn: bytesOrNullIn,
  bind: asBuffer,
  forUpdate: " FOR UPDATE",
  endOfChain: (expression, length) => `CONCAT(LEFT(${expression}, ${length}), X'FFFFFFFFFFFFFFFF')`,
};
