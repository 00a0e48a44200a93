import { NEVER, type SessionRow } from "../store/row.ts";
import type { RailsWrite } from "./statements.ts";
import { timeOf } from "./times.ts";
import { versionOf } from "./version.ts";

const SID = /^2::[0-9a-f]{64}$/;
/** MessagePack never starts with this byte, so a row that holds it is refused. */
const REFUSED = Uint8Array.of(0xc1);

/** The `sid` of a row id, or null if the id is not a private session id of Rails. */
export function sidOf(id: unknown): string | null {
  if (!(id instanceof Uint8Array) || id.length !== 67) return null;
  const sid = new TextDecoder().decode(id);
  return SID.test(sid) ? sid : null;
}

/** @throws {TypeError} the id is not a private session id of Rails */
export function writeOf(row: SessionRow): RailsWrite {
  const sid = sidOf(row.id);
  if (sid === null) throw new TypeError("A row id must be the 67 bytes of a private session id of Rails.");
  return { sid, data: row.data, createdAt: row.createdAt, updatedAt: row.updatedAt };
}

export function decode(row: Record<string, unknown>): SessionRow {
  const data = dataOf(row["data"]);
  return {
    id: new TextEncoder().encode(textOf(row["sid"])),
    data,
    version: versionOf(data),
    userRef: null,
    createdAt: timeOf(textOf(row["created_at"])),
    updatedAt: timeOf(textOf(row["updated_at"])),
    absoluteExpiresAt: NEVER,
    expiresAt: NEVER,
    client: null,
  };
}

/** NULL is an empty session. Empty bytes are invalid and must not be read as one. */
function dataOf(value: unknown): Uint8Array {
  if (value === null) return new Uint8Array(0);
  const bytes = typeof value === "string" ? Buffer.from(value, "base64") : value;
  if (!(bytes instanceof Uint8Array) || bytes.length === 0) return REFUSED.slice();
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Text of a column that some drivers return as bytes. */
export function textOf(value: unknown): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value);
}
