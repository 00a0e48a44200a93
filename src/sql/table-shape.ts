/** The three tables. */
export type TableName = "sessions" | "leases" | "migrations";

/** The columns that a store's table must have. */
export const COLUMNS: Readonly<Record<TableName, readonly string[]>> = {
  sessions: [
    "id",
    "data",
    "version",
    "user_ref",
    "created_at",
    "updated_at",
    "absolute_expires_at",
    "expires_at",
    "expires_bucket",
    "client",
  ],
  leases: ["name", "holder", "held_until"],
  migrations: ["version", "name", "checksum", "applied_at"],
};

/** Columns of the sessions table that an index, whatever its name, must start with. */
export const INDEXED = ["user_ref", "expires_bucket"] as const;
