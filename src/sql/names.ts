import { OptionsError } from "../errors.ts";
import type { Names } from "./dialect.ts";

/** Short enough that `_migrations` and the index names fit into 63 bytes, PostgreSQL's limit. */
const TABLE = /^[A-Za-z_][A-Za-z0-9_]{0,39}$/;

/** The default table name. */
export const DEFAULT_TABLE = "stored_sessions";

/**
 * The names of the tables and indexes, each passed through `quote`. Accepts only names of a strict pattern, with at
 * most one schema before a dot if `schemas` allows it (R31).
 */
export function namesOf(
  table: string | undefined,
  quote: (identifier: string) => string,
  options: { readonly schemas: boolean },
): Names {
  const given: unknown = table === undefined ? DEFAULT_TABLE : table;
  const parts = typeof given === "string" ? given.split(".") : [];
  const wellFormed = parts.length > 0 && parts.every((part) => TABLE.test(part));
  if (!wellFormed || parts.length > (options.schemas ? 2 : 1)) {
    throw new OptionsError([
      `table ${JSON.stringify(given) ?? String(given)} is not a valid table name: use at most 40 letters, digits and "_"${
        options.schemas ? ', optionally after a schema and a dot ("app.stored_sessions")' : ""
      }.`,
    ]);
  }
  return namesIn(parts.slice(0, -1), parts.at(-1) as string, quote);
}

/** The table names, qualified with the schema in which they were found. */
export function namesIn(
  schema: readonly string[],
  base: string,
  quote: (identifier: string) => string,
): Names {
  const qualified = (name: string): string => [...schema, name].map(quote).join(".");
  return {
    sessions: qualified(base),
    leases: qualified(`${base}_leases`),
    migrations: qualified(`${base}_migrations`),
    imports: qualified(`${base}_imports`),
    audit: qualified(`${base}_audit`),
    auditSubjects: qualified(`${base}_audit_subjects`),
    auditCheckpoints: qualified(`${base}_audit_checkpoints`),
    auditDays: qualified(`${base}_audit_days`),
    links: qualified(`${base}_links`),
    userIndex: quote(`${base}_user_ref`),
    expiryIndex: quote(`${base}_expires_bucket`),
    auditTimeIndex: quote(`${base}_audit_time`),
    auditEventIndex: quote(`${base}_audit_event`),
    auditSubjectIndex: quote(`${base}_audit_subject`),
    auditSessionIndex: quote(`${base}_audit_session`),
    auditUserIndex: quote(`${base}_audit_user`),
    linkIndex: quote(`${base}_link`),
  };
}
