import "./node-check.ts";
import { printableLines } from "./shared/printable.ts";

/**
 * Every error this package throws on purpose, apart from `TypeError` for misuse by the programmer.
 *
 * Each class has one stable `code`, keeps the `cause`, says in its message what to do, and carries the HTTP
 * `status` that fits it (Express, Koa, Fastify and Hono read that property). Control, format and bidi characters in the
 * message are escaped: it can quote a key that a visitor chose, or what a database said (R50).
 */
export class StoredSessionError extends Error {
  static code = "ERR_STORED_SESSION";
  static status = 500;
  /** Stable, for programs: `ERR_STORED_SESSION_…`. */
  readonly code: string;
  /** The HTTP status that fits when the error reaches a client. */
  readonly status: number;

  constructor(message: string, options?: ErrorOptions) {
    super(printableLines(message), options);
    this.code = new.target.code;
    this.status = new.target.status;
    this.name = new.target.name;
  }

  /** The same as `status`: together with `expose`, the form that Nest, Koa and others know from http-errors. */
  get statusCode(): number {
    return this.status;
  }

  /** Whether the message may be shown to a client: not where the fault is the server's. */
  get expose(): boolean {
    return this.status < 500;
  }
}

/** Options that cannot work. `problems` holds every one of them, a sentence each. */
export class OptionsError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_OPTIONS";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      problems.length === 1
        ? `Stored Session cannot start: ${problems[0]}`
        : `Stored Session cannot start, ${problems.length} problems:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`,
    );
    this.problems = problems;
  }
}

/** Keys that are malformed, missing, duplicated or too many. The message never holds a key. */
export class KeyRingError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_KEYS";
}

/** Why stored bytes were refused. */
export type RefusalReason =
  /** shorter than the smallest envelope */
  | "length"
  /** a suite this version does not know */
  | "suite"
  /** a reserved flag bit is set */
  | "flags"
  /** sealed to the cookie where the configuration says keys, or the other way round */
  | "mode"
  /** the key id names no key of the ring */
  | "key"
  /** the commitment does not match: another row, another version, edited columns, or an edited salt */
  | "commitment"
  /** the ciphertext or its tag was changed */
  | "tag"
  /** inflating failed or passed the limit */
  | "inflate"
  /** the plaintext is not what the codec writes */
  | "decode"
  /** the row's times contradict each other */
  | "times"
  /** the data does not fit the schema, and `upgrade` did not help */
  | "schema";

/** Stored bytes that do not open. The session in them is never read in some other way (R26). */
export class RefusedError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_REFUSED";
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** A value that a session cannot hold. `path` says where: `data.cart[3].price`. */
export class ValueError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_VALUE";
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.path = path;
  }
}

/** A session past one of its limits: bytes, depth or keys. What is stored stays as it was. */
export class LimitError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_LIMIT";
  readonly limit: "bytes" | "depth" | "keys";
  /** The value at which the limit was passed: `data.cart[3]`. Undefined when only the total size is known. */
  readonly path: string | undefined;

  constructor(limit: "bytes" | "depth" | "keys", message: string, path?: string) {
    super(message);
    this.limit = limit;
    this.path = path;
  }
}

/** The session's data does not fit the schema when it is saved. `issues` are those of Standard Schema. */
export class SchemaError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_SCHEMA";
  readonly issues: readonly unknown[];

  constructor(message: string, issues: readonly unknown[]) {
    super(message);
    this.issues = issues;
  }
}

/** Other requests kept changing the session, or `onConflict` refused to choose. Nothing of this commit is stored. */
export class ConflictError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_CONFLICT";
  static override status = 409;
}

/** `sessions.update` found that the session was destroyed, revoked, expired or given a new id meanwhile. */
export class SessionEndedError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_ENDED";
  static override status = 409;
}

export interface StoreErrorOptions extends ErrorOptions {
  /** `none` unless given. */
  readonly outcome?: "none" | "unknown";
  readonly changed?: number;
  readonly mayBeOneRow?: boolean;
}

/**
 * The store could not do what was asked. Down is down: nothing is answered from memory and nothing about the
 * failure is cached.
 */
export class StoreError extends StoredSessionError {
  static override code = "ERR_STORED_SESSION_STORE";
  static override status = 503;
  /**
   * What is known about a write that failed: `none`, it was not applied; `unknown`, the answer was lost, so it
   * may have been. Committing again is safe in both cases, because the row's version tells. An operation of several
   * statements, such as `revokeAll`, `expire` or `reseal`, that failed after some of them took effect is `unknown` as
   * well, and `changed` tells how far it got.
   */
  readonly outcome: "none" | "unknown";
  /**
   * How many sessions an operation of several statements had changed for certain before it failed. Undefined when no
   * statement before the failing one changed anything.
   */
  readonly changed: number | undefined;
  /**
   * Whether one row of a batch may be the cause, such as one that somebody has locked: the others are then sent
   * without it. True for an error of this class itself, and never where the outcome is `unknown`.
   */
  readonly mayBeOneRow: boolean;

  constructor(message: string, options?: StoreErrorOptions) {
    super(message, options);
    this.outcome = options?.outcome ?? "none";
    this.changed = options?.changed;
    const mayBeOneRow = options?.mayBeOneRow ?? this.code === StoreError.code;
    this.mayBeOneRow = mayBeOneRow && this.outcome === "none";
  }
}

/** The store did not answer within `storeTimeout`. */
export class StoreTimeoutError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_TIMEOUT";
}

/** More operations wait for the store than `maxQueue` allows; this one was not sent. */
export class StoreOverloadedError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_OVERLOADED";
}

/** Too many requests of this process change one session at once; this change was not stored. Others are not affected. */
export class SessionBusyError extends StoreError {
  static override code = "ERR_STORED_SESSION_BUSY";
}

/** The connection broke or nobody answers. */
export class StoreUnavailableError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_UNAVAILABLE";
}

/**
 * The database driver failed with an error that is neither the database's answer nor a broken connection, such as a
 * TypeError of a type parser. It is no outage, so its `status` is 500. The driver's error is the `cause`.
 */
export class StoreDriverError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_DRIVER";
  static override status = 500;
}

/**
 * A setting of the pool, connection or handle that the application owns changes what statements do or return, so the
 * result cannot be trusted. The message names the setting. It is no outage, so its `status` is 500.
 */
export class StoreSettingsError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_SETTINGS";
  static override status = 500;
}

/** The database takes no writes: a standby, a read-only file or role, or a full disk. */
export class StoreReadOnlyError extends StoreError {
  static override code = "ERR_STORED_SESSION_STORE_READ_ONLY";
}

/**
 * The tables are missing. Run `migrate(store)` once; the next call after that works, nothing is remembered. Tables that
 * got lost afterwards only the command `stored-session migrate` makes again.
 */
export class NotMigratedError extends StoreError {
  static override code = "ERR_STORED_SESSION_NOT_MIGRATED";
}

/** A table of that name exists with another shape, or the file is no database. */
export class TableError extends StoreError {
  static override code = "ERR_STORED_SESSION_TABLE";
}

/** The migration journal disagrees with this version of the package, or with the tables there are. */
export class MigrationError extends StoreError {
  static override code = "ERR_STORED_SESSION_MIGRATION";
}

/** The store, or the manager over it, was closed. */
export class ClosedError extends StoreError {
  static override code = "ERR_STORED_SESSION_CLOSED";
}
