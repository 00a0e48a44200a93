/** Converts rows from what the statements return (`texts.ts`), and to what they accept. */
import { asBuffer, asBytes } from "../../shared/bytes.ts";
import { bucketOf } from "../../store/expiry-bucket.ts";
import { boundedOf, integerOf, misread, textIn } from "../columns.ts";
import type { SqlValue } from "../values.ts";
import type { RowInfo, SessionRow } from "../../store/row.ts";

export function leftOut(row: Record<string, unknown>): { id: Uint8Array; bytes: number } | null {
  const text = textIn(row, "row");
  if (!text.includes("!")) return null;
  const columns = text.split(" ");
  return { id: bytesOf(columns[5]!), bytes: integerOf(columns[6]!.slice(1), "bytes") };
}

/** Whether the data was left out because it is that of a known row. */
export function isUnchanged(row: Record<string, unknown>): boolean {
  return textIn(row, "row").includes(" ! ");
}

export function decode(row: Record<string, unknown>): SessionRow {
  const columns = columnsOf(row);
  return { ...metaOf(columns), data: bytesOf(columns[6]!) };
}

export function decodeInfo(row: Record<string, unknown>): RowInfo {
  const columns = columnsOf(row);
  const [bytes, head = ""] = columns[6]!.split(":");
  return { ...metaOf(columns), bytes: integerOf(bytes, "bytes"), head: bytesOf(head) };
}

function columnsOf(row: Record<string, unknown>): string[] {
  const text = textIn(row, "row");
  const columns = text.split(" ");
  if (columns.length !== 9) throw misread("row", "nine values", text);
  return columns;
}

function metaOf(columns: readonly string[]): Omit<SessionRow, "data"> {
  const integer = (place: number, name: string): number => boundedOf(columns[place], name);
  return {
    id: bytesOf(columns[5]!),
    version: integer(0, "version"),
    userRef: columns[7] === "-" ? null : bytesOf(columns[7]!),
    createdAt: integer(1, "created_at"),
    updatedAt: integer(2, "updated_at"),
    absoluteExpiresAt: integer(3, "absolute_expires_at"),
    expiresAt: integer(4, "expires_at"),
    client: columns[8] === "-" ? null : bytesOf(columns[8]!),
  };
}

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
