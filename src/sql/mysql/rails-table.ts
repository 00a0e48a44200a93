import type { RailsTable } from "../rails-table.ts";

/** ER_DUP_ENTRY. */
const DUPLICATE = 1062;

export const railsTable: RailsTable = {
  placeholder: () => "?",
  is: "<=>",
  time: "CAST(? AS DATETIME(6))",
  timeText: (column) => `DATE_FORMAT(${column}, '%Y-%m-%d %H:%i:%s.%f')`,
  bytes: "?",
  bytesText: (column) => column,
  // Not IGNORE, which would also truncate values that do not fit.
  whenTaken: "",
  isTaken: (error) =>
    ((error as Error | null)?.cause as { errno?: unknown } | undefined)?.errno === DUPLICATE,
  nameOf: (table) => {
    const parts = table.split(".").map((part) => part.slice(1, -1));
    return [parts.at(-2) ?? null, parts.at(-1) ?? ""];
  },
  timeTypes: /^datetime/i,
  columns: `SELECT column_name AS name, column_type AS type FROM information_schema.columns WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? LIMIT 1000`,
  sidIndexes: `SELECT index_name AS name FROM information_schema.statistics WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND non_unique = 0 GROUP BY index_name HAVING COUNT(*) = 1 AND MAX(column_name) = 'sid' AND MAX(sub_part) IS NULL LIMIT 1`,
  create: (table, index) => [
    `CREATE TABLE IF NOT EXISTS ${table} (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, created_at datetime(6) NOT NULL, updated_at datetime(6) NOT NULL, sid varchar(255) NOT NULL, data longblob, ` +
      `UNIQUE INDEX ${index("sid")} (sid), INDEX ${index("created_at")} (created_at), INDEX ${index("updated_at")} (updated_at)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`,
  ],
};
