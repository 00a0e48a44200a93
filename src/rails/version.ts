import { createHash } from "node:crypto";
import { randomBytes } from "../sealing/random.ts";
import { IV_BYTES } from "./encrypted-message.ts";

/**
 * The gem's table has no version column and needs none: a version is 53 random bits, and so are 53 bits of a row's iv.
 * Deriving one from the other identifies a write of unknown outcome when its row is read.
 */
export function ivOf(version: number): Uint8Array {
  const iv = Buffer.from(randomBytes(IV_BYTES));
  const high = Math.floor(version / 2 ** 48);
  iv[0] = (iv.readUInt8(0) & 0xe0) | high;
  iv.writeUIntBE(version - high * 2 ** 48, 1, 6);
  return iv;
}

const SIGNATURE_AND_P = Buffer.from("cc8082a170", "hex");
const H = Buffer.from("a168", "hex");
const SYMBOL_IV = Buffer.from("d5006976c40c", "hex");

/**
 * The version of a row's `data`: 53 bits of the iv if the message has the form that Rails writes, otherwise 53 bits of
 * its hash. 0 for an empty session.
 */
export function versionOf(data: Uint8Array): number {
  if (data.length === 0) return 0;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  const iv = ivIn(bytes) ?? createHash("sha256").update(bytes).digest();
  return (iv.readUInt8(0) & 0x1f) * 2 ** 48 + iv.readUIntBE(1, 6);
}

function ivIn(bytes: Buffer): Buffer | null {
  if (bytes.length < 40 || !startsWith(bytes, SIGNATURE_AND_P, 0)) return null;
  const after = endOfBinary(bytes, SIGNATURE_AND_P.length);
  // `h`, the header of a map of at most 15 headers, then the symbol `iv` and twelve bytes.
  if (after === null || !startsWith(bytes, H, after) || ((bytes[after + 2] ?? 0) & 0xf0) !== 0x80)
    return null;
  const start = after + 3 + SYMBOL_IV.length;
  return startsWith(bytes, SYMBOL_IV, after + 3) && start + IV_BYTES <= bytes.length
    ? bytes.subarray(start, start + IV_BYTES)
    : null;
}

function endOfBinary(bytes: Buffer, at: number): number | null {
  switch (bytes[at]) {
    case 0xc4:
      return at + 2 + bytes.readUInt8(at + 1);
    case 0xc5:
      return at + 3 + bytes.readUInt16BE(at + 1);
    case 0xc6:
      return at + 5 + bytes.readUInt32BE(at + 1);
    default:
      return null;
  }
}

function startsWith(bytes: Buffer, start: Buffer, at: number): boolean {
  return start.equals(bytes.subarray(at, at + start.length));
}
