import { marks, padded } from "../import-ledger.ts";
import { query, write } from "../statement.ts";
import type { ImportLedger } from "../import-ledger.ts";

export function importLedger(table: string): ImportLedger {
  return {
    find: () => query("SELECT 1 AS found FROM pragma_table_info(?) LIMIT 1", table.slice(1, -1)),
    create: () =>
      write(
        `CREATE TABLE IF NOT EXISTS ${table} (id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32)) STRICT, WITHOUT ROWID`,
      ),
    read: (ids) => query(`SELECT id FROM ${table} WHERE id IN (${marks(ids, "?")})`, ...padded(ids)),
    add: (ids) =>
      write(
        `INSERT INTO ${table} (id) VALUES ${marks(ids, "(?)")} ON CONFLICT (id) DO NOTHING`,
        ...padded(ids),
      ),
  };
}
