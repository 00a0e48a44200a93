import { createCipheriv, createDecipheriv, createSecretKey, timingSafeEqual } from "node:crypto";

/** Bytes of the tag, which follows the ciphertext. */
export const TAG_BYTES = 16;
/** Bytes of the commitment to a message key. */
export const COMMITMENT_BYTES = 16;

const KEY_BYTES = 32;
const CIPHER = "aes-256-gcm";
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES } as const;
// Each message has its own key, derived with a random salt, so a constant nonce is safe (R21).
const NONCE = new Uint8Array(12);

/** The commitment in the derived bytes of a message: they are its key (32 bytes), then its commitment (16 bytes). */
export function commitmentOf(derived: Uint8Array): Uint8Array {
  return derived.subarray(KEY_BYTES, KEY_BYTES + COMMITMENT_BYTES);
}

export function isCommitted(derived: Uint8Array, commitment: Uint8Array): boolean {
  return timingSafeEqual(commitmentOf(derived), commitment);
}

/** Encrypts under the derived bytes of a message. Writes ciphertext and tag to the end of `envelope`, from `at` on. */
export function encryptInto(
  envelope: Uint8Array,
  at: number,
  derived: Uint8Array,
  context: Uint8Array,
  content: Uint8Array,
): void {
  const cipher = createCipheriv(CIPHER, keyOf(derived), NONCE, CIPHER_OPTIONS);
  cipher.setAAD(context);
  envelope.set(cipher.update(content), at);
  cipher.final();
  envelope.set(cipher.getAuthTag(), at + content.length);
}

/**
 * Decrypts what {@link encryptInto} wrote.
 * @throws {Error} the ciphertext, the tag or the context was changed
 */
export function decryptFrom(
  envelope: Uint8Array,
  at: number,
  derived: Uint8Array,
  context: Uint8Array,
): Uint8Array {
  const tagAt = envelope.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, keyOf(derived), NONCE, CIPHER_OPTIONS);
  decipher.setAAD(context);
  decipher.setAuthTag(envelope.subarray(tagAt));
  const content = decipher.update(envelope.subarray(at, tagAt));
  decipher.final();
  return content;
}

function keyOf(derived: Uint8Array): ReturnType<typeof createSecretKey> {
  return createSecretKey(derived.subarray(0, KEY_BYTES));
}
