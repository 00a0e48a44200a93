/** What lies between the layers: rows of bytes and plain numbers, and the questions asked of a table of them. */

/** One session as the database holds it. The bytes of `data` and `client` mean nothing to a store. */
export interface SessionRow {
  /** Primary key. 32 bytes, unless a format of another table says otherwise. */
  readonly id: Uint8Array;
  /** The sealed session. */
  readonly data: Uint8Array;
  /** Integer from 0 to 2^53 - 1 that no other write of this row shares. */
  readonly version: number;
  /** Blind index of the user, 32 bytes; null when nobody is logged in. */
  readonly userRef: Uint8Array | null;
  readonly createdAt: number;
  /** Time of the last write or touch. */
  readonly updatedAt: number;
  readonly absoluteExpiresAt: number;
  /** Never later than `absoluteExpiresAt`. {@link NEVER} in both where the table stores no end. */
  readonly expiresAt: number;
  /** Sealed address and user agent; null when there is none. */
  readonly client: Uint8Array | null;
}

/** A row without its data, which may be large: what lists and counts are made of. */
export interface RowInfo extends Omit<SessionRow, "data"> {
  /** Length of the data. */
  readonly bytes: number;
  /** The first {@link HEAD_BYTES} of the data, or all of it: an envelope names its key there. */
  readonly head: Uint8Array;
}

/** No less than a sealed envelope has beside its content. */
export const HEAD_BYTES = 64;

export function infoOfRow({ data, ...rest }: SessionRow): RowInfo {
  return { ...rest, bytes: data.length, head: data.subarray(0, HEAD_BYTES) };
}

/** The end of a row of a table that stores none: there, the manager's limits and the other two times decide. */
export const NEVER: number = Number.MAX_SAFE_INTEGER;

/** A conditional write: `next` takes the place of the row that still has the `version` of `loaded`. */
export interface RowUpdate {
  /** The row as it was read. A store without a version column compares the stored `data` instead. */
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
  /** Rows with `expiresAt <= before` go. */
  readonly before: number;
  /** When given, rows with `createdAt < createdBefore` go as well. */
  readonly createdBefore?: number;
  /** When given, rows with `updatedAt < updatedBefore` go as well. */
  readonly updatedBefore?: number;
  /** The manager's limits in milliseconds, for a store whose table has no expiry columns. */
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
  /** At most this many rows are deleted by one call. */
  readonly limit: number;
  /** How many rows it should look at, where the caller knows how many of them are due. */
  readonly scan?: number;
  /** Where the call before stopped; null to begin. Opaque to the caller. */
  readonly cursor: ExpireCursor | null;
}

/** Rows that a clock which was ahead has left behind. */
export interface FutureQuery {
  /** Rows with `createdAt > createdAfter` go, of those with `expiresAt > expiresAfter`. */
  readonly createdAfter: number;
  /** Lets a store look by the index over `expiresAt`. It may pass over rows that end on the same day. */
  readonly expiresAfter: number;
  /** At most this many rows are deleted by one call. */
  readonly limit: number;
}

export type ExpireCursor = {
  readonly bucket: number;
  readonly id: Uint8Array;
  /** The bucket that the run began with, for a store that tells how far it is. */
  readonly from?: number;
};

export interface ExpireResult {
  readonly deleted: number;
  /** Pass it to the next call; null when the end was reached. */
  readonly cursor: ExpireCursor | null;
  /** From 0 to 1, how far the run is, where the store knows that. It never goes back. */
  readonly fraction?: number;
}
