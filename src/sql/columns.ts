import { StoreSettingsError } from "../errors.ts";
import type { RowInfo, SessionRow } from "../store/row.ts";

type Row = Readonly<Record<string, unknown>>;

/**
 * Reads the columns of a result. Every value that a driver returns passes through here: settings of the application's
 * own pool or handle can change how values arrive, and a misread value could pass for "no such session" (promise 8).
 */
export function bytesIn(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw misread(column, "bytes", value);
  // A plain Uint8Array, because `slice` of a Buffer shares memory instead of copying.
  return Buffer.isBuffer(value) ? new Uint8Array(value.buffer, value.byteOffset, value.length) : value;
}

/** @throws {StoreSettingsError} the value is neither bytes nor null */
export function bytesOrNullIn(row: Row, column: string): Uint8Array | null {
  return row[column] === null ? null : bytesIn(row, column);
}

/** Drivers return a large integer as a number, a bigint or digits. */
export function integerIn(row: Row, column: string): number {
  return integerOf(row[column], column);
}

/**
 * The latest time that a Date can hold, in milliseconds since the epoch. The earliest is its negative (ECMA-262
 * §21.4.1.1).
 */
export const LATEST = 8_640_000_000_000_000;

/**
 * Clamps a time or version to its valid range. No store writes a value outside it, so the row was edited: only that row
 * must be refused, without failing a statement that reads other rows too.
 */
export function boundedIn(row: Row, column: string): number {
  return boundedOf(row[column], column);
}

export function boundedOf(value: unknown, column: string): number {
  return within(value, column, column === "version" ? Number.MAX_SAFE_INTEGER : LATEST);
}

/** The same for a sum of counts. */
export function boundedCountIn(row: Row, column: string): number {
  return within(row[column], column, Number.MAX_SAFE_INTEGER);
}

function within(value: unknown, column: string, most: number): number {
  const number = typeof value === "bigint" || isDigits(value) ? Number(value) : value;
  if (!Number.isInteger(number)) return integerOf(value, column);
  return Math.min(Math.max(number as number, -most), most);
}

function isDigits(value: unknown): value is string {
  return typeof value === "string" && /^-?\d+$/.test(value);
}

export function integerOf(value: unknown, column: string): number {
  const isNumeric = typeof value === "number" || typeof value === "bigint" || isDigits(value);
  const number = isNumeric ? Number(value) : NaN;
  if (!Number.isSafeInteger(number)) throw misread(column, "an integer", value);
  return number;
}

/** Reads text, which some settings return as bytes. */
export function textIn(row: Row, column: string): string {
  const value = row[column];
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  throw misread(column, "text", value);
}

/** Reads a row whose columns are named as in the table. */
export function rowIn(row: Row): SessionRow {
  return { ...metaIn(row), data: bytesIn(row, "data") };
}

/** Like {@link rowOf}, with `bytes` and `head` instead of `data`. */
export function rowInfoIn(row: Row): RowInfo {
  return { ...metaIn(row), bytes: integerIn(row, "bytes"), head: bytesIn(row, "head") };
}

function metaIn(row: Row): Omit<SessionRow, "data"> {
  return {
    id: bytesIn(row, "id"),
    version: boundedIn(row, "version"),
    userRef: bytesOrNullIn(row, "user_ref"),
    createdAt: boundedIn(row, "created_at"),
    updatedAt: boundedIn(row, "updated_at"),
    absoluteExpiresAt: boundedIn(row, "absolute_expires_at"),
    expiresAt: boundedIn(row, "expires_at"),
    client: bytesOrNullIn(row, "client"),
  };
}

/** Whether a row came with a mark in the place of its data, which is that of a known row: see {@link SAME}. */
export function isUnchanged(row: Row): boolean {
  return row["data"] !== null && bytesIn(row, "data").length !== integerIn(row, "bytes");
}

/** A mark in the place of data that is longer. Not an empty one, which MariaDB's EMPTY_STRING_IS_NULL turns into NULL. */
export const SAME = "x'00'";

/** Reads a boolean result, whatever the driver makes of 1 and 0. */
export function flagIn(row: Row, column: string): boolean {
  const value = row[column];
  return typeof value === "boolean" ? value : integerOf(value, column) !== 0;
}

/** Returns the rows of a result. Anything but objects keyed by column name is caused by a driver setting. */
export function rowsOf(answer: unknown): Record<string, unknown>[] {
  if (!Array.isArray(answer)) throw misread(null, "rows", answer);
  const first: unknown = answer[0];
  if (answer.length > 0 && (typeof first !== "object" || first === null || Array.isArray(first)))
    throw misread(null, "objects", first);
  return answer as Record<string, unknown>[];
}

/** Returns the number of affected rows. */
export function changesOf(value: unknown): number {
  return integerOf(value, "affected rows");
}

export function misread(column: string | null, expected: string, value: unknown): StoreSettingsError {
  const what = column === null ? "The database's result" : `The column "${column}" of a result`;
  return new StoreSettingsError(
    `${what} arrived as ${kindOf(value)}, where the store expects ${expected}. A setting of the pool or handle that was given to the store changes what arrives: with mysql2 typeCast, rowsAsArray or nestTables; with pg types or rowMode; with SQLite raw, pluck, safeIntegers, readBigInts, returnArrays or PRAGMA full_column_names. Remove it, or give the store a URL or a pool of its own.`,
  );
}

/** Describes the type only: the value may be a session's. */
function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "NULL";
  if (Array.isArray(value)) return "an array";
  if (value instanceof Uint8Array) return "bytes";
  return typeof value === "object" ? "an object" : typeof value === "string" ? "text" : `a ${typeof value}`;
}
