import type { Migration } from "./migration.ts";

const mysqlTexts = [
  `CREATE TABLE IF NOT EXISTS {links} (
  session_id BINARY(32) NOT NULL,
  link BINARY(32) NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (session_id, link),
  KEY {linkIndex} (link)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
];

/**
 * The table of links. Frozen, as every migration is.
 *
 * It only adds a table, so no statement waits for those that write sessions. No foreign key: deleting a session would look
 * for its links, also where nobody uses them.
 */
export const links: Migration = {
  version: 3,
  name: "links",
  texts: {
    sqlite: [
      `CREATE TABLE IF NOT EXISTS {links} (
  session_id BLOB NOT NULL CHECK (length(session_id) = 32),
  link BLOB NOT NULL CHECK (length(link) = 32),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (session_id, link)
) STRICT, WITHOUT ROWID`,
      `CREATE INDEX IF NOT EXISTS {linkIndex} ON {links} (link)`,
    ],
    postgres: [
      `CREATE TABLE IF NOT EXISTS {links} (
  created_at bigint NOT NULL,
  session_id bytea NOT NULL,
  link bytea NOT NULL,
  PRIMARY KEY (session_id, link)
)`,
      `CREATE INDEX IF NOT EXISTS {linkIndex} ON {links} (link)`,
    ],
    mysql: mysqlTexts,
    mariadb: mysqlTexts,
  },
};
