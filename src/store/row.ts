/** Rows and queries, as passed between the session layer and a store. */

/** A session as stored in the database. `data` and `client` are opaque to a store. */
export interface SessionRow {
  /** Primary key. 32 bytes, unless the format of another table differs. */
  readonly id: Uint8Array;
  /** The sealed session. */
  readonly data: Uint8Array;
  /** Integer from 0 to 2^53 - 1, unique to each write of the row. Used for optimistic locking. */
  readonly version: number;
  /** Blind index of the user, 32 bytes. Null if the session is anonymous. */
  readonly userRef: Uint8Array | null;
  readonly createdAt: number;
  /** Time of the last write or touch. */
  readonly updatedAt: number;
  readonly absoluteExpiresAt: number;
  /** At most `absoluteExpiresAt`. Both are {@link NEVER} if the table has no expiry columns. */
  readonly expiresAt: number;
  /** Encrypted address and user agent. Null if none are stored. */
  readonly client: Uint8Array | null;
  /**
   * Only in a row to write, for a store with {@link SessionStore.links}: blind indexes of the session's links, 32 bytes
   * each. Undefined: the links are left as they are.
   */
  readonly links?: readonly Uint8Array[] | undefined;
}

/** A row without its data, which may be large. Used for lists and statistics. */
export interface RowInfo extends Omit<SessionRow, "data"> {
  /** Length of the data. */
  readonly bytes: number;
  /** The first {@link HEAD_BYTES} bytes of the data, or all of it if shorter. Contains the key id of the envelope. */
  readonly head: Uint8Array;
}

/** At least the overhead of a sealed envelope. */
export const HEAD_BYTES = 64;

export function infoOfRow({ data, ...rest }: SessionRow): RowInfo {
  return { ...rest, bytes: data.length, head: data.subarray(0, HEAD_BYTES) };
}

export function copyOfRow(row: SessionRow): SessionRow {
  return {
    id: new Uint8Array(row.id),
    data: new Uint8Array(row.data),
    version: row.version,
    userRef: row.userRef && new Uint8Array(row.userRef),
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
    absoluteExpiresAt: row.absoluteExpiresAt,
    expiresAt: row.expiresAt,
    client: row.client && new Uint8Array(row.client),
  };
}

/** Expiry time in tables without expiry columns. The manager's timeouts and the other two times decide there. */
export const NEVER: number = Number.MAX_SAFE_INTEGER;

/** A row that a change has deleted. */
export type EndedRow = Pick<
  SessionRow,
  "id" | "userRef" | "createdAt" | "updatedAt" | "absoluteExpiresAt" | "expiresAt"
>;

/** A conditional write: `next` replaces the row if it still has the `version` of `loaded`. */
export interface RowUpdate {
  /** The row as read. A store without a version column compares the stored `data` instead. */
  readonly loaded: SessionRow;
  /** Same `id`, `createdAt` and `absoluteExpiresAt` as `loaded`. */
  readonly next: SessionRow;
}

export interface RowTouch {
  readonly id: Uint8Array;
  readonly updatedAt: number;
  /** Capped by the store at the row's own `absoluteExpiresAt`. */
  readonly expiresAt: number;
}

export interface ExpireQuery {
  /** Delete rows with `expiresAt <= before`. */
  readonly before: number;
  /** If set, also delete rows with `createdAt < createdBefore`. */
  readonly createdBefore?: number;
  /** If set, also delete rows with `updatedAt < updatedBefore`. */
  readonly updatedBefore?: number;
  /** The manager's timeouts in milliseconds, for a store whose table has no expiry columns. */
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
  /** Maximum number of rows deleted by one call. */
  readonly limit: number;
  /** Suggested number of rows to examine, from the share of expired rows in earlier calls. */
  readonly scan?: number;
  /** Where the previous call stopped; null to start. Opaque to the caller. */
  readonly cursor: ExpireCursor | null;
}

/** Selects rows that were written while a clock ran ahead. */
export interface FutureQuery {
  /** Delete rows with `createdAt > createdAfter` and `expiresAt > expiresAfter`. */
  readonly createdAfter: number;
  /** Lets a store use the index on `expiresAt`. It may skip rows that expire on the same day. */
  readonly expiresAfter: number;
  /** Maximum number of rows deleted by one call. */
  readonly limit: number;
}

export type ExpireCursor = {
  readonly bucket: number;
  readonly id: Uint8Array;
  /** The first bucket of the run, for a store that reports progress. */
  readonly from?: number;
};

export interface ExpireResult {
  readonly deleted: number;
  /** Pass this to the next call. Null when the run is finished. */
  readonly cursor: ExpireCursor | null;
  /** Progress of the run from 0 to 1, if the store knows it. Never decreases. */
  readonly fraction?: number;
}
