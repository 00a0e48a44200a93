/**
 * Sealing of the content of events and of the keys that it is sealed under. As the envelope of a session (docs/formats.md):
 * each message has a key of its own and a commitment to it, from HKDF over a context and a random salt.
 */
import { createCipheriv, createDecipheriv, timingSafeEqual } from "node:crypto";
import { RefusedError } from "../errors.ts";
import type { Hmac } from "../sealing/hmac.ts";
import { randomBytes } from "../sealing/random.ts";

const VERSION = 1;
const SALT_AT = 5;
const COMMITMENT_AT = SALT_AT + 16;
const CIPHERTEXT_AT = COMMITMENT_AT + 16;
const TAG_BYTES = 16;
const OVERHEAD = CIPHERTEXT_AT + TAG_BYTES;
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES } as const;
// Each message has its own key, derived with a random salt, so a constant nonce is safe (R21).
const NONCE = new Uint8Array(12);

/** @param keyId names a key of the ring: that which sealed, or whose MAC is beside it */
export function sealBytes(
  secret: Hmac,
  keyId: number,
  context: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const sealed = Buffer.alloc(OVERHEAD + plaintext.length);
  sealed[0] = VERSION;
  sealed.writeUInt32BE(keyId, 1);
  sealed.set(randomBytes(16), SALT_AT);
  const { key, commitment } = derive(secret, context, sealed);
  sealed.set(commitment, COMMITMENT_AT);
  const cipher = createCipheriv("aes-256-gcm", key, NONCE, CIPHER_OPTIONS);
  cipher.setAAD(context);
  sealed.set(cipher.update(plaintext), CIPHERTEXT_AT);
  cipher.final();
  sealed.set(cipher.getAuthTag(), sealed.length - TAG_BYTES);
  return new Uint8Array(sealed);
}

/** @throws {RefusedError} bytes that were not sealed under this key for this context */
export function openBytes(secret: Hmac, context: Uint8Array, sealed: Uint8Array): Uint8Array {
  if (sealed.length < OVERHEAD) throw refused("length", "is too short");
  if (sealed[0] !== VERSION) throw refused("suite", "has an unknown version");
  const { key, commitment } = derive(secret, context, sealed);
  if (!timingSafeEqual(commitment, sealed.subarray(COMMITMENT_AT, CIPHERTEXT_AT))) {
    throw refused("commitment", "belongs to another place, or was edited");
  }
  const decipher = createDecipheriv("aes-256-gcm", key, NONCE, CIPHER_OPTIONS);
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plaintext = decipher.update(sealed.subarray(CIPHERTEXT_AT, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch (cause) {
    throw refused("tag", "was edited", cause);
  }
  return new Uint8Array(plaintext);
}

/** The key id in sealed bytes. Null if they are none. */
export function keyIdOf(sealed: Uint8Array): number | null {
  if (sealed.length < OVERHEAD || sealed[0] !== VERSION) return null;
  return new DataView(sealed.buffer, sealed.byteOffset).getUint32(1);
}

function derive(
  secret: Hmac,
  context: Uint8Array,
  sealed: Uint8Array,
): { key: Uint8Array; commitment: Uint8Array } {
  const salted = Buffer.concat([context, sealed.subarray(0, COMMITMENT_AT), Uint8Array.of(1)]);
  const okm = Uint8Array.prototype.slice.call(secret.of(salted), 0, 48);
  return { key: okm.subarray(0, 32), commitment: okm.subarray(32) };
}

function refused(
  reason: "length" | "suite" | "commitment" | "tag",
  what: string,
  cause?: unknown,
): RefusedError {
  return new RefusedError(reason, `A sealed part of the audit trail ${what}. It is not used.`, { cause });
}
