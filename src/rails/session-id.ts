import { createHash } from "node:crypto";
import { randomBytes } from "../sealing/random.ts";

const PUBLIC_ID = /^[0-9a-f]{32}$/;

/** Creates a public id, the value of the cookie: 32 lowercase hexadecimal characters from 16 random bytes. */
export function mintPublicId(): string {
  return Buffer.from(randomBytes(16)).toString("hex");
}

/**
 * Whether a cookie's value is an id created by a Rails session store: 32 lowercase hexadecimal characters.
 *
 * Rails looks up any text and adopts an id that does not exist. Here, anything else is not a session: no statement is
 * sent and nothing is created (R3, R35).
 */
export function isPublicId(value: string): boolean {
  return PUBLIC_ID.test(value);
}

/**
 * The `sid` column of a public id: `2::` and the lowercase hexadecimal SHA-256 of its bytes, 67 characters. Text is
 * encoded as UTF-8.
 */
export function privateId(publicId: string | Uint8Array): string {
  return `2::${createHash("sha256").update(publicId).digest("hex")}`;
}
