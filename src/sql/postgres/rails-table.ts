import { railsIndexes, type RailsTable } from "../rails-table.ts";

export const railsTable: RailsTable = {
  placeholder: (n) => `$${n}`,
  is: "IS NOT DISTINCT FROM",
  time: "?::timestamp",
  timeText: (column) => `to_char(${column}, 'YYYY-MM-DD HH24:MI:SS.US')`,
  bytes: "?::bytea",
  bytesText: (column) => `encode(${column}, 'base64')`,
  whenTaken: " ON CONFLICT (sid) DO NOTHING",
  isTaken: () => false,
  nameOf: (table) => [table],
  timeTypes: /^timestamp(\(\d\))? without time zone$/,
  columns:
    "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped",
  sidIndexes:
    "SELECT x.indexrelid::text AS name FROM pg_catalog.pg_index x JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0] " +
    "WHERE x.indrelid = to_regclass(?) AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indnkeyatts = 1 AND a.attname = 'sid'",
  create: (table, index) => [
    `CREATE TABLE IF NOT EXISTS ${table} (id bigserial PRIMARY KEY, created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL, sid character varying NOT NULL, data bytea)`,
    ...railsIndexes(table, index, "IF NOT EXISTS "),
  ],
};
