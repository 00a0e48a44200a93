import { query, write } from "../statement.ts";
import { BytesList } from "../values.ts";
import type { ImportLedger } from "../import-ledger.ts";

export function importLedger(table: string): ImportLedger {
  return {
    find: () => query("SELECT 1 AS found WHERE to_regclass($1) IS NOT NULL", table),
    create: () => write(`CREATE TABLE IF NOT EXISTS ${table} (id bytea NOT NULL PRIMARY KEY)`),
    read: (ids) =>
      query(
        `SELECT encode(id, 'base64') AS id FROM ${table} WHERE id = ANY ($1::bytea[])`,
        new BytesList(ids),
      ),
    add: (ids) =>
      write(
        `INSERT INTO ${table} (id) SELECT * FROM unnest($1::bytea[]) ON CONFLICT (id) DO NOTHING`,
        new BytesList(ids),
      ),
  };
}
