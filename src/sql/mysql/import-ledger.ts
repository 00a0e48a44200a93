import { asBuffer } from "../../shared/bytes.ts";
import { marks, padded } from "../import-ledger.ts";
import { query, write } from "../statement.ts";
import { ALL } from "./lists.ts";
import type { ImportLedger } from "../import-ledger.ts";

export function importLedger(table: string): ImportLedger {
  const parts = table.split(".").map((part) => part.slice(1, -1));
  return {
    find: () =>
      query(
        `SELECT 1 AS found FROM information_schema.tables WHERE table_schema = ${parts.length > 1 ? "?" : "DATABASE()"} AND table_name = ? ${ALL}`,
        ...parts,
      ),
    create: () =>
      write(`CREATE TABLE IF NOT EXISTS ${table} (id BINARY(32) NOT NULL, PRIMARY KEY (id)) ENGINE=InnoDB`),
    read: (ids) =>
      query(`SELECT id FROM ${table} WHERE id IN (${marks(ids, "?")}) ${ALL}`, ...padded(ids).map(asBuffer)),
    // IGNORE skips existing ids. All ids have the same length, so there is nothing else to ignore.
    add: (ids) =>
      write(`INSERT IGNORE INTO ${table} (id) VALUES ${marks(ids, "(?)")}`, ...padded(ids).map(asBuffer)),
  };
}
