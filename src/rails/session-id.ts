import { createHash } from "node:crypto";
import { randomBytes } from "../sealing/random.ts";

const PUBLIC_ID = /^[0-9a-f]{32}$/;

/** A new public id, as the cookie holds it: 32 lower-case hex characters from 16 random bytes. */
export function mintPublicId(): string {
  return Buffer.from(randomBytes(16)).toString("hex");
}

/**
 * Whether a cookie's value is an id that a session store of Rails made: 32 lower-case hex characters.
 *
 * Rails itself looks any text up and adopts what it does not find. Here anything else is no session: it asks no
 * store and creates nothing (R3, R35).
 */
export function isPublicId(value: string): boolean {
  return PUBLIC_ID.test(value);
}

/**
 * The `sid` column of a public id: `2::` and the lower-case hex SHA-256 of its bytes, 67 characters.
 * Text counts as its UTF-8 bytes.
 */
export function privateId(publicId: string | Uint8Array): string {
  return `2::${createHash("sha256").update(publicId).digest("hex")}`;
}
