import { railsIndexes, type RailsTable } from "../rails-table.ts";

export const railsTable: RailsTable = {
  placeholder: () => "?",
  is: "IS",
  time: "?",
  timeText: (column) => column,
  bytes: "?",
  bytesText: (column) => column,
  whenTaken: " ON CONFLICT (sid) DO NOTHING",
  isTaken: () => false,
  nameOf: (table) => [table.split(".").at(-1)?.slice(1, -1) ?? ""],
  columns: "SELECT name, type FROM pragma_table_info(?)",
  sidIndexes: `SELECT l.name FROM pragma_index_list(?) l WHERE l."unique" = 1 AND l.partial = 0 AND (SELECT group_concat(i.name) FROM pragma_index_info(l.name) i) = 'sid'`,
  create: (table, index) => [
    `CREATE TABLE IF NOT EXISTS ${table} (id integer PRIMARY KEY AUTOINCREMENT NOT NULL, created_at datetime(6) NOT NULL, updated_at datetime(6) NOT NULL, sid varchar NOT NULL, data blob(536870912))`,
    ...railsIndexes(table, index, "IF NOT EXISTS "),
  ],
};
