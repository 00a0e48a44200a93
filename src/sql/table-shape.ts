export type TableName =
  | "sessions"
  | "leases"
  | "migrations"
  | "audit"
  | "auditSubjects"
  | "auditCheckpoints"
  | "auditDays"
  | "links";

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
  audit: [
    "id",
    "created_at",
    "event",
    "outcome",
    "device",
    "amount",
    "session_id",
    "subject",
    "hash",
    "mac",
    "body",
  ],
  auditSubjects: ["subject", "user_ref", "wrapped", "erased_at"],
  auditCheckpoints: ["number", "created_at", "kind", "body", "signature"],
  auditDays: ["slot", "amount"],
  links: ["session_id", "link", "created_at"],
};

/** The tables that each migration makes, besides the journal. */
export const MADE: Readonly<Record<number, readonly TableName[]>> = {
  1: ["sessions", "leases"],
  2: ["audit", "auditSubjects", "auditCheckpoints", "auditDays"],
  3: ["links"],
};

/** Columns of the sessions table that an index, whatever its name, must start with. */
export const INDEXED = ["user_ref", "expires_bucket"] as const;
