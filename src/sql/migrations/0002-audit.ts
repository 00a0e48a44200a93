import type { Migration } from "./migration.ts";

// MariaDB reserves the word "body" where sql_mode is ORACLE.
const mysqlTexts = [
  `CREATE TABLE IF NOT EXISTS {audit} (
  id BINARY(32) NOT NULL,
  created_at BIGINT NOT NULL,
  event INT NOT NULL,
  outcome INT NOT NULL,
  device INT NOT NULL,
  amount INT NOT NULL,
  session_id BINARY(32) NULL,
  subject BINARY(16) NULL,
  hash BINARY(32) NOT NULL,
  mac BINARY(16) NOT NULL,
  \`body\` MEDIUMBLOB NOT NULL,
  PRIMARY KEY (id),
  KEY {auditTimeIndex} (created_at),
  KEY {auditEventIndex} (event, created_at),
  KEY {auditSubjectIndex} (subject, created_at),
  KEY {auditSessionIndex} (session_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
  `CREATE TABLE IF NOT EXISTS {auditSubjects} (
  subject BINARY(16) NOT NULL,
  user_ref BINARY(32) NULL,
  wrapped MEDIUMBLOB NOT NULL,
  erased_at BIGINT NOT NULL,
  PRIMARY KEY (subject),
  KEY {auditUserIndex} (user_ref)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
  `CREATE TABLE IF NOT EXISTS {auditCheckpoints} (
  number BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  kind INT NOT NULL,
  \`body\` MEDIUMBLOB NOT NULL,
  signature MEDIUMBLOB NOT NULL,
  PRIMARY KEY (number)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
  `CREATE TABLE IF NOT EXISTS {auditDays} (
  slot BIGINT NOT NULL,
  amount BIGINT NOT NULL,
  PRIMARY KEY (slot)
) ENGINE=InnoDB`,
];

/**
 * The tables of the audit trail. Frozen, as every migration is.
 *
 * It only adds tables, so no statement waits for those that write sessions.
 */
export const audit: Migration = {
  version: 2,
  name: "audit",
  texts: {
    // Events of one chain follow each other, so the table is its own index.
    sqlite: [
      `CREATE TABLE IF NOT EXISTS {audit} (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  created_at INTEGER NOT NULL,
  event INTEGER NOT NULL,
  outcome INTEGER NOT NULL,
  device INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  session_id BLOB NULL CHECK (length(session_id) = 32),
  subject BLOB NULL CHECK (length(subject) = 16),
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  mac BLOB NOT NULL CHECK (length(mac) = 16),
  body BLOB NOT NULL
) STRICT, WITHOUT ROWID`,
      `CREATE INDEX IF NOT EXISTS {auditTimeIndex} ON {audit} (created_at)`,
      `CREATE INDEX IF NOT EXISTS {auditEventIndex} ON {audit} (event, created_at)`,
      `CREATE INDEX IF NOT EXISTS {auditSubjectIndex} ON {audit} (subject, created_at) WHERE subject IS NOT NULL`,
      `CREATE INDEX IF NOT EXISTS {auditSessionIndex} ON {audit} (session_id) WHERE session_id IS NOT NULL`,
      `CREATE TABLE IF NOT EXISTS {auditSubjects} (
  subject BLOB NOT NULL PRIMARY KEY CHECK (length(subject) = 16),
  user_ref BLOB NULL CHECK (length(user_ref) = 32),
  wrapped BLOB NOT NULL,
  erased_at INTEGER NOT NULL
) STRICT`,
      `CREATE INDEX IF NOT EXISTS {auditUserIndex} ON {auditSubjects} (user_ref) WHERE user_ref IS NOT NULL`,
      `CREATE TABLE IF NOT EXISTS {auditCheckpoints} (
  number INTEGER NOT NULL PRIMARY KEY,
  created_at INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  body BLOB NOT NULL,
  signature BLOB NOT NULL
) STRICT`,
      `CREATE TABLE IF NOT EXISTS {auditDays} (
  slot INTEGER NOT NULL PRIMARY KEY,
  amount INTEGER NOT NULL
) STRICT`,
    ],
    postgres: [
      `CREATE TABLE IF NOT EXISTS {audit} (
  created_at bigint NOT NULL,
  event integer NOT NULL,
  outcome integer NOT NULL,
  device integer NOT NULL,
  amount integer NOT NULL,
  id bytea NOT NULL PRIMARY KEY,
  session_id bytea NULL,
  subject bytea NULL,
  hash bytea NOT NULL,
  mac bytea NOT NULL,
  body bytea NOT NULL
)`,
      `ALTER TABLE {audit} ALTER COLUMN body SET STORAGE EXTERNAL`,
      `CREATE INDEX IF NOT EXISTS {auditTimeIndex} ON {audit} (created_at)`,
      `CREATE INDEX IF NOT EXISTS {auditEventIndex} ON {audit} (event, created_at)`,
      `CREATE INDEX IF NOT EXISTS {auditSubjectIndex} ON {audit} (subject, created_at) WHERE subject IS NOT NULL`,
      `CREATE INDEX IF NOT EXISTS {auditSessionIndex} ON {audit} (session_id) WHERE session_id IS NOT NULL`,
      `CREATE TABLE IF NOT EXISTS {auditSubjects} (
  erased_at bigint NOT NULL,
  subject bytea NOT NULL PRIMARY KEY,
  user_ref bytea NULL,
  wrapped bytea NOT NULL
)`,
      `CREATE INDEX IF NOT EXISTS {auditUserIndex} ON {auditSubjects} (user_ref) WHERE user_ref IS NOT NULL`,
      `CREATE TABLE IF NOT EXISTS {auditCheckpoints} (
  number bigint NOT NULL PRIMARY KEY,
  created_at bigint NOT NULL,
  kind integer NOT NULL,
  body bytea NOT NULL,
  signature bytea NOT NULL
)`,
      `CREATE TABLE IF NOT EXISTS {auditDays} (
  slot bigint NOT NULL PRIMARY KEY,
  amount bigint NOT NULL
)`,
    ],
    mysql: mysqlTexts,
    mariadb: mysqlTexts,
  },
};
