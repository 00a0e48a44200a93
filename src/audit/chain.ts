/** Chains: each event has a hash over the one before it and its own columns, and a MAC of that hash. */
import { hash } from "../sealing/hash.ts";
import { label } from "../sealing/label.ts";
import type { Key } from "../sealing/keyring.ts";
import type { AuditRow } from "../store/audit.ts";

export const HASH_BYTES = 32;
export const MAC_BYTES = 16;
/** What stands in place of a hash before the first event of a chain. */
export const NO_HASH: Uint8Array = new Uint8Array(HASH_BYTES);

const EVENT = label("audit");
const COLUMNS = label("audit-columns");
const MAC = label("audit-mac");
const FIXED_BYTES = 32 + 8 + 4 * 4 + 1 + 32 + 1 + 16 + 4;

/** SHA-256 over all columns of an event but its hash and its MAC. Docs/formats.md gives the layout. */
function digestOf(row: Omit<AuditRow, "hash" | "mac">): Uint8Array {
  const message = Buffer.alloc(COLUMNS.length + FIXED_BYTES + row.body.length);
  message.set(COLUMNS);
  let at = COLUMNS.length;
  message.set(row.position, at);
  at = message.writeBigInt64BE(BigInt(row.at), at + 32);
  for (const code of [row.event, row.outcome, row.device, row.amount]) at = message.writeInt32BE(code, at);
  at = optional(message, at, row.session, 32);
  at = optional(message, at, row.subject, 16);
  at = message.writeUInt32BE(row.body.length, at);
  message.set(row.body, at);
  return hash("sha256", message, "buffer");
}

/** SHA-256 over the hash of the event before and the columns of this one: the link of the chain. */
export function hashOf(previous: Uint8Array, row: Omit<AuditRow, "hash" | "mac">): Uint8Array {
  return new Uint8Array(hash("sha256", Buffer.concat([EVENT, previous, digestOf(row)]), "buffer"));
}

/** Says that a process with the key wrote these columns with this hash, whatever became of the events around it. */
export function macOf(key: Pick<Key, "audit">, row: Omit<AuditRow, "mac">): Uint8Array {
  const message = Buffer.concat([MAC, row.hash, digestOf(row)]);
  return new Uint8Array(key.audit.of(message).subarray(0, MAC_BYTES));
}

/** A byte 1 and the value, or zeros. */
function optional(message: Buffer, at: number, value: Uint8Array | null, length: number): number {
  if (value !== null) {
    message[at] = 1;
    message.set(value, at + 1);
  }
  return at + 1 + length;
}

/** Whether a row has columns that {@link hashOf} can take: a database may hold anything. */
export function isHashable(row: AuditRow): boolean {
  const fits = (bytes: Uint8Array | null, length: number): boolean =>
    bytes === null || bytes.length === length;
  const isCode = (value: number): boolean => Number.isInteger(value) && Math.abs(value) < 2 ** 31;
  return (
    row.position.length === 32 &&
    Number.isSafeInteger(row.at) &&
    [row.event, row.outcome, row.device, row.amount].every(isCode) &&
    fits(row.session, 32) &&
    fits(row.subject, 16) &&
    row.hash.length === HASH_BYTES &&
    row.mac.length === MAC_BYTES
  );
}
