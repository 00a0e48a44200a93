import { query, write } from "../statement.ts";
import { ALL } from "./lists.ts";
import type { Dialect, JournalEntry, Names } from "../dialect.ts";

/** Statement texts for the migration journal. */
export function journalOf(names: () => Names): Dialect["journal"] {
  return {
    create: () =>
      write(
        `CREATE TABLE IF NOT EXISTS ${names().migrations} (version INT NOT NULL PRIMARY KEY, name VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL, checksum CHAR(64) CHARACTER SET ascii NOT NULL, applied_at BIGINT NOT NULL) ENGINE=InnoDB`,
      ),
    read: () =>
      query(`SELECT version, name, checksum, applied_at FROM ${names().migrations} ORDER BY version ${ALL}`),
    add: ({ version, name, checksum, appliedAt }: JournalEntry) =>
      write(
        `INSERT INTO ${names().migrations} (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)`,
        version,
        name,
        checksum,
        appliedAt,
      ),
  };
}
