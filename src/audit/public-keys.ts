/** The Ed25519 keys that checkpoints are signed with, each derived from a key of the ring. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { label } from "../sealing/label.ts";
import type { Key, KeyRing } from "../sealing/keyring.ts";

const SIGNING = label("audit-signing");
const PUBLIC_PREFIX = "sspk1_";
/** RFC 8410: the beginning of an Ed25519 key in DER. */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
export const SPKI: Buffer = Buffer.from("302a300506032b6570032100", "hex");

const pairs = new WeakMap<Key, { readonly secret: KeyObject; readonly open: Uint8Array }>();

export function pairOf(key: Key): { readonly secret: KeyObject; readonly open: Uint8Array } {
  let pair = pairs.get(key);
  if (pair === undefined) {
    const seed = key.audit.of(SIGNING).subarray(0, 32);
    const secret = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
    const spki = createPublicKey(secret).export({ format: "der", type: "spki" });
    pairs.set(key, (pair = { secret, open: new Uint8Array(spki.subarray(SPKI.length)) }));
  }
  return pair;
}

/** The public keys of a ring as text, newest first: `sspk1_`, the key id, "_" and 43 characters of base64url. */
export function publicKeysOf(keys: KeyRing): string[] {
  return keys.keys.map(
    (key) => `${PUBLIC_PREFIX}${key.name}_${Buffer.from(pairOf(key).open).toString("base64url")}`,
  );
}
