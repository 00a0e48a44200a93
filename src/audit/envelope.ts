/**
 * Sealing of the content of events and of the keys that it is sealed under. As the envelope of a session (docs/formats.md):
 * each message has a key of its own and a commitment to it, from HKDF over a context and a random salt.
 */
import { RefusedError } from "../errors.ts";
import {
  COMMITMENT_BYTES,
  commitmentOf,
  decryptFrom,
  encryptInto,
  isCommitted,
  TAG_BYTES,
} from "../sealing/cipher.ts";
import { SALT_BYTES } from "../sealing/context.ts";
import type { Hmac } from "../sealing/hmac.ts";
import { randomBytes } from "../sealing/random.ts";

const VERSION = 1;
const SALT_AT = 5;
const COMMITMENT_AT = SALT_AT + SALT_BYTES;
const CIPHERTEXT_AT = COMMITMENT_AT + COMMITMENT_BYTES;
const OVERHEAD = CIPHERTEXT_AT + TAG_BYTES;

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
  sealed.set(randomBytes(SALT_BYTES), SALT_AT);
  const derived = derive(secret, context, sealed);
  sealed.set(commitmentOf(derived), COMMITMENT_AT);
  encryptInto(sealed, CIPHERTEXT_AT, derived, context, plaintext);
  return new Uint8Array(sealed);
}

/** @throws {RefusedError} bytes that were not sealed under this key for this context */
export function openBytes(secret: Hmac, context: Uint8Array, sealed: Uint8Array): Uint8Array {
  if (sealed.length < OVERHEAD) throw refused("length", "is too short");
  if (sealed[0] !== VERSION) throw refused("suite", "has an unknown version");
  const derived = derive(secret, context, sealed);
  if (!isCommitted(derived, sealed.subarray(COMMITMENT_AT, CIPHERTEXT_AT)))
    throw refused("commitment", "belongs to another place, or was edited");
  try {
    return new Uint8Array(decryptFrom(sealed, CIPHERTEXT_AT, derived, context));
  } catch (cause) {
    throw refused("tag", "was edited", cause);
  }
}

/** The key id in sealed bytes. Null if they are none. */
export function keyIdOf(sealed: Uint8Array): number | null {
  if (sealed.length < OVERHEAD || sealed[0] !== VERSION) return null;
  return new DataView(sealed.buffer, sealed.byteOffset).getUint32(1);
}

/** Message key and commitment. The next use of `secret` overwrites them. */
function derive(secret: Hmac, context: Uint8Array, sealed: Uint8Array): Uint8Array {
  return secret.of(Buffer.concat([context, sealed.subarray(0, COMMITMENT_AT), Uint8Array.of(1)]));
}

function refused(
  reason: "length" | "suite" | "commitment" | "tag",
  what: string,
  cause?: unknown,
): RefusedError {
  return new RefusedError(reason, `A sealed part of the audit trail ${what}. It is not used.`, { cause });
}
