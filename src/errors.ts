import "./node-check.ts";
import { printableLines } from "./shared/printable.ts";

/**
 * The base class of all errors of this package. Programmer misuse throws a `TypeError` instead.
 *
 * Each class has a stable `code` and an HTTP `status`, which Express, Koa, Fastify and Hono respect. Control, format and
 * bidi characters in the message are escaped, because it can quote a key that a visitor chose or text from a database
 * (R50).
 */
export class StoredSessionError extends Error {
  static code = "ERR_STORED_SESSION";
  static status = 500;
  /** Stable and machine-readable: `ERR_STORED_SESSION_…`. */
  readonly code: string;
  /** The HTTP status to respond with if the error is not handled. */
  readonly status: number;

  constructor(message: string, options?: ErrorOptions) {
    super(printableLines(message), options);
    this.code = new.target.code;
    this.status = new.target.status;
    this.name = new.target.name;
  }

  /** Same as `status`. With `expose`, this matches the http-errors convention that Koa, Nest and others follow. */
  get statusCode(): number {
    return this.status;
  }

  /** Whether the message may be sent to the client: true for a 4xx status, false for a 5xx status. */
  get expose(): boolean {
    return this.status < 500;
  }
}

/** Invalid options. `problems` lists all of them, one message each. */
export class OptionsError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_OPTIONS";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      problems.length === 1
        ? `Stored Session cannot start: ${problems[0]}`
        : `Stored Session cannot start: ${problems.length} problems:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`,
    );
    this.problems = problems;
  }
}

/** The key ring has missing, malformed, duplicate or too many keys. The message never contains a key. */
export class KeyRingError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_KEYS";
}

/** Why a stored row was refused. */
export type RefusalReason =
  /** the envelope is shorter than the minimum */
  | "length"
  /** unknown cipher suite */
  | "suite"
  /** a reserved flag bit is set */
  | "flags"
  /** the row is sealed to the cookie but `sealTo` is "keys", or the reverse */
  | "mode"
  /** the row names a key that is not in the key ring */
  | "key"
  /** the key commitment does not match: the envelope belongs to another row or version, or a column or its salt was edited */
  | "commitment"
  /** the ciphertext or its authentication tag was modified */
  | "tag"
  /** decompression failed or exceeded the size limit */
  | "inflate"
  /** the plaintext is not valid codec output */
  | "decode"
  /** the row's timestamps are inconsistent */
  | "times"
  /** the data does not fit the schema, even after `upgrade` */
  | "schema";

/** A stored row could not be decrypted, authenticated or decoded. Its content is never used unverified (R26). */
export class RefusedError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_REFUSED";
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** A value of a type that a session cannot store. `path` locates it: `data.cart[3].price`. */
export class ValueError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_VALUE";
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.path = path;
  }
}

/** The session exceeds a limit: bytes, nesting depth or number of keys. The stored session is unchanged. */
export class LimitError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_LIMIT";
  readonly limit: "bytes" | "depth" | "keys";
  /** The value that exceeded the limit: `data.cart[3]`. Undefined if only the total size is known. */
  readonly path: string | undefined;

  constructor(limit: "bytes" | "depth" | "keys", message: string, path?: string) {
    super(message);
    this.limit = limit;
    this.path = path;
  }
}

/** The data did not fit the schema on save. `issues` are those of Standard Schema. */
export class SchemaError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_SCHEMA";
  readonly issues: readonly unknown[];

  constructor(message: string, issues: readonly unknown[]) {
    super(message);
    this.issues = issues;
  }
}

/**
 * Concurrent changes could not be merged: other requests kept changing the session until the retries ran out. Nothing of
 * this commit was stored. `revokeAll` throws this when new sessions of the user keep appearing.
 */
export class ConflictError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_CONFLICT";
  static override status = 409;
}

/** `sessions.update` found that another request destroyed, revoked or regenerated the session, or that it expired. */
export class SessionEndedError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_ENDED";
  static override status = 409;
}

/**
 * A login was refused, because the user has as many sessions as `maxSessions` allows. Nothing was stored, and the session
 * is what it was before the login.
 */
export class TooManySessionsError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_TOO_MANY_SESSIONS";
  static override status = 409;
}

export interface StoreErrorOptions extends ErrorOptions {
  /** `none` unless given. */
  readonly outcome?: "none" | "unknown";
  readonly changed?: number;
  readonly unreachable?: readonly string[];
  readonly mayBeOneRow?: boolean;
}

/**
 * A store operation failed. Sessions fail closed: nothing is served from memory instead, and the failure is not
 * cached.
 */
export class StoreError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_STORE";
  static override status = 503;
  /**
   * Whether a failed write took effect. `none`: it was not applied. `unknown`: the response was lost, so it may have
   * been applied. Committing again is safe in both cases, because the row's version reveals it. An operation of several
   * statements (`revokeAll`, `expire`, `reseal`) that failed partway is also `unknown`, and `changed` counts the rows
   * affected before the failure.
   */
  readonly outcome: "none" | "unknown";
  /**
   * The number of sessions that an operation of several statements is known to have changed before it failed. Undefined
   * if no statement before the failing one changed anything.
   */
  readonly changed: number | undefined;
  /**
   * Whether a single row of a batch may have caused the failure, such as a locked row. The members of the batch are then
   * retried without it. By default true for StoreError itself and false for its subclasses; always false if the outcome
   * is `unknown`.
   */
  readonly mayBeOneRow: boolean;

  /**
   * The shards that an operation over all of them did not reach, by the database's names. What the others hold is done;
   * calling again does the rest. Undefined for any other failure.
   */
  readonly unreachable: readonly string[] | undefined;

  constructor(message: string, options?: StoreErrorOptions) {
    super(message, options);
    this.outcome = options?.outcome ?? "none";
    this.changed = options?.changed;
    this.unreachable = options?.unreachable;
    const mayBeOneRow = options?.mayBeOneRow ?? this.code === StoreError.code;
    this.mayBeOneRow = mayBeOneRow && this.outcome === "none";
  }
}

/** The store did not answer within `storeTimeout`. */
export class StoreTimeoutError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_TIMEOUT";
}

/** Load shedding: the queue for the store holds `maxQueue` operations, so this one was rejected without being sent. */
export class StoreOverloadedError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_OVERLOADED";
}

/** Too many concurrent requests in this process change one session. This change was not stored. Other sessions are unaffected. */
export class SessionBusyError extends StoreError {
  static override code = "ERR_STORED_SESSION_BUSY";
}

/** The connection to the database failed or could not be established. */
export class StoreUnavailableError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_UNAVAILABLE";
}

/**
 * The driver threw an error that is neither a database error nor a connection failure, such as a TypeError in a custom
 * type parser. This is not an outage, so `status` is 500. The driver's error is the `cause`.
 */
export class StoreDriverError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_DRIVER";
  static override status = 500;
}

/**
 * A setting of the application's pool, connection or handle changes what statements do or return, so results cannot be
 * trusted. The message names the setting. This is not an outage, so `status` is 500.
 */
export class StoreSettingsError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_SETTINGS";
  static override status = 500;
}

/** The database rejects writes: it is a standby, the file or role is read-only, or the disk is full. */
export class StoreReadOnlyError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_READ_ONLY";
}

/**
 * The tables do not exist. Run `migrate(store)`; no restart is needed. To recreate tables that were dropped after a
 * migration, run `stored-session migrate`.
 */
export class NotMigratedError extends StoreError {
  static override code = "ERR_STORED_SESSION_NOT_MIGRATED";
}

/** A table of that name exists with a different schema, or the file is not a SQLite database. */
export class TableError extends StoreError {
  static override code = "ERR_STORED_SESSION_TABLE";
}

/** The migration journal does not match this version of the package or the existing tables. */
export class MigrationError extends StoreError {
  static override code = "ERR_STORED_SESSION_MIGRATION";
}

/** The audit trail is damaged, or cannot be used in this way. */
export class AuditError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_AUDIT";
}

/** The store or its session manager is closed. */
export class ClosedError extends StoreError {
  static override code = "ERR_STORED_SESSION_CLOSED";
}
