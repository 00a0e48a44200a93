import { asBuffer } from "../../shared/bytes.ts";
import { bytesOrNullIn } from "../columns.ts";
import type { Portable } from "../portable.ts";

const quoted = (column: string): string => `\`${column}\``;

export const mysqlPortable: Portable = {
  text: (text) => text,
  insertIgnore: ["INSERT IGNORE INTO", ""],
  // MariaDB reserves "body" where sql_mode is ORACLE.
  quoted,
  bytes: quoted,
  bytesIn: bytesOrNullIn,
  bind: asBuffer,
  integer: (column) => column,
  forUpdate: " FOR UPDATE",
  endOfChain: null,
};
