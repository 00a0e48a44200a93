/** Converts rows from what the statements return (`texts.ts`), and to what they accept. */
import { asBuffer, asBytes } from "../../shared/bytes.ts";
import { bucketOf } from "../../store/expiry-bucket.ts";
import { boundedOf, integerOf, LATEST, misread, textIn } from "../columns.ts";
import type { SqlValue } from "../values.ts";
import type { RowInfo, SessionRow } from "../../store/row.ts";

const COLUMNS = 9;

/** Where each column begins in the text that {@link locate} was given last. Shared by all calls, which are synchronous. */
const starts = new Int32Array(COLUMNS + 1);

/** Where bytes are decoded that are only compared. */
const scratch = Buffer.allocUnsafeSlow(4_096);

export function leftOut(row: Record<string, unknown>): { id: Uint8Array; bytes: number } | null {
  const text = textIn(row, "row");
  if (!text.includes("!")) return null;
  locate(text);
  return { id: bytesAt(text, 5), bytes: integerOf(textAt(text, 6).slice(1), "bytes") };
}

/** Whether the data was left out because it is that of a known row. */
export function isUnchanged(row: Record<string, unknown>): boolean {
  return textIn(row, "row").includes(" ! ");
}

/** @param known see {@link Dialect.decode} */
export function decode(row: Record<string, unknown>, known: SessionRow | null = null): SessionRow {
  const text = textIn(row, "row");
  locate(text);
  return {
    id: bytesAt(text, 5, known?.id),
    version: integerAt(text, 0, "version"),
    userRef: bytesOrNullAt(text, 7, known?.userRef),
    createdAt: integerAt(text, 1, "created_at"),
    updatedAt: integerAt(text, 2, "updated_at"),
    absoluteExpiresAt: integerAt(text, 3, "absolute_expires_at"),
    expiresAt: integerAt(text, 4, "expires_at"),
    client: bytesOrNullAt(text, 8),
    data: bytesAt(text, 6, known?.data),
  };
}

export function decodeInfo(row: Record<string, unknown>): RowInfo {
  const { data: _, ...meta } = decode(row);
  const [bytes, head = ""] = textAt(textIn(row, "row"), 6).split(":");
  return { ...meta, bytes: integerOf(bytes, "bytes"), head: bytesOf(head) };
}

function locate(text: string): void {
  let at = 0;
  for (let place = 1; place < COLUMNS; place++) {
    at = text.indexOf(" ", at) + 1;
    if (at === 0) throw misread("row", "nine values", text);
    starts[place] = at;
  }
  if (text.includes(" ", at)) throw misread("row", "nine values", text);
  starts[COLUMNS] = text.length + 1;
}

function textAt(text: string, place: number): string {
  return text.slice(starts[place], starts[place + 1]! - 1);
}

/** Reads digits where they are: a pattern and a conversion of the column's text take four times as long. */
function integerAt(text: string, place: number, name: string): number {
  const end = starts[place + 1]! - 1;
  let value = 0;
  for (let at = starts[place]!; at < end; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return boundedOf(textAt(text, place), name);
    value = value * 10 + digit;
  }
  return value > 0 && value <= LATEST ? value : boundedOf(textAt(text, place), name);
}

function bytesOrNullAt(text: string, place: number, known?: Uint8Array | null): Uint8Array | null {
  return text.charCodeAt(starts[place]!) === DASH ? null : bytesAt(text, place, known);
}

/** @param known is returned if it holds the same bytes, so that none are allocated */
function bytesAt(text: string, place: number, known?: Uint8Array | null): Uint8Array {
  const base64 = textAt(text, place);
  if (known && known.length < scratch.length) {
    const { length } = known;
    if (scratch.write(base64, 0, "base64") === length && scratch.compare(known, 0, length, 0, length) === 0)
      return known;
  }
  return bytesOf(base64);
}

/** Stands for NULL, and never begins base64. */
const DASH = 45;

function bytesOf(base64: string): Uint8Array {
  return asBytes(Buffer.from(base64, "base64"));
}

/** In the order of the columns of an insert. */
export function rowValues(row: SessionRow): SqlValue[] {
  return [
    asBuffer(row.id),
    asBuffer(row.data),
    row.version,
    row.userRef && asBuffer(row.userRef),
    row.createdAt,
    row.updatedAt,
    row.absoluteExpiresAt,
    row.expiresAt,
    bucketOf(row.expiresAt),
    row.client && asBuffer(row.client),
  ];
}
