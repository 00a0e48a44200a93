import type { Migration } from "./migration.ts";

// InnoDB appends the primary key to every other index, so the expiry index is ordered by bucket and id.
const mysqlTexts = [
  `CREATE TABLE IF NOT EXISTS {sessions} (
  id BINARY(32) NOT NULL,
  data LONGBLOB NOT NULL,
  version BIGINT NOT NULL,
  user_ref BINARY(32) NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  absolute_expires_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  expires_bucket INT NOT NULL,
  client MEDIUMBLOB NULL,
  PRIMARY KEY (id),
  KEY {userIndex} (user_ref),
  KEY {expiryIndex} (expires_bucket)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
  `CREATE TABLE IF NOT EXISTS {leases} (
  name VARBINARY(255) NOT NULL,
  holder VARBINARY(255) NOT NULL,
  held_until BIGINT NOT NULL,
  PRIMARY KEY (name)
) ENGINE=InnoDB`,
];

/**
 * Frozen: the checksums of these texts are in journals everywhere, and a test pins them. Never edit them; add a
 * migration instead.
 *
 * Words in braces are replaced by the names of tables and indexes. Every statement is idempotent, so that an
 * interrupted migration can be repeated on a database that cannot roll back DDL.
 */
export const sessions: Migration = {
  version: 1,
  name: "sessions",
  texts: {
    // A rowid table: with a random primary key, inserts are nearly twice as fast as with WITHOUT ROWID.
    sqlite: [
      `CREATE TABLE IF NOT EXISTS {sessions} (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  data BLOB NOT NULL,
  version INTEGER NOT NULL CHECK (version BETWEEN 0 AND 9007199254740991),
  user_ref BLOB NULL CHECK (length(user_ref) = 32),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  absolute_expires_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  expires_bucket INTEGER NOT NULL,
  client BLOB NULL
) STRICT`,
      `CREATE INDEX IF NOT EXISTS {userIndex} ON {sessions} (user_ref) WHERE user_ref IS NOT NULL`,
      `CREATE INDEX IF NOT EXISTS {expiryIndex} ON {sessions} (expires_bucket)`,
      `CREATE TABLE IF NOT EXISTS {leases} (
  name TEXT NOT NULL PRIMARY KEY,
  holder TEXT NOT NULL,
  held_until INTEGER NOT NULL
) STRICT`,
    ],
    // Wide columns come first, to avoid alignment padding. Ciphertext does not compress, so PostgreSQL need not try.
    // The fill factor leaves a tenth of each page free, so that updates stay on their page and touch no index (HOT).
    postgres: [
      `CREATE TABLE IF NOT EXISTS {sessions} (
  version bigint NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  absolute_expires_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  expires_bucket integer NOT NULL,
  id bytea NOT NULL PRIMARY KEY,
  user_ref bytea NULL,
  client bytea NULL,
  data bytea NOT NULL
) WITH (fillfactor = 90)`,
      `ALTER TABLE {sessions} ALTER COLUMN data SET STORAGE EXTERNAL, ALTER COLUMN client SET STORAGE EXTERNAL`,
      `CREATE INDEX IF NOT EXISTS {userIndex} ON {sessions} (user_ref) WHERE user_ref IS NOT NULL`,
      `CREATE INDEX IF NOT EXISTS {expiryIndex} ON {sessions} (expires_bucket, created_at)`,
      `CREATE TABLE IF NOT EXISTS {leases} (
  name text NOT NULL PRIMARY KEY,
  holder text NOT NULL,
  held_until bigint NOT NULL
)`,
    ],
    mysql: mysqlTexts,
    mariadb: mysqlTexts,
  },
};
