import { createHash, createPublicKey, verify, type KeyObject } from "node:crypto";

/** Algorithms that browsers sign proofs with. */
export type Algorithm = "ES256" | "RS256";

/** The DER bytes of a public key in a proof. Null unless it is a P-256 key, or an RSA key of 2,048 to 4,096 bits. */
export function publicKeyOf(jwk: unknown): Uint8Array | null {
  if (typeof jwk !== "object" || jwk === null) return null;
  const { kty, crv, x, y, n, e } = jwk as Readonly<Record<string, unknown>>;
  try {
    // Only the public members: a browser that sends a private key as well is broken, and it is not kept.
    const key = createPublicKey({ key: { kty, crv, x, y, n, e } as never, format: "jwk" });
    return algorithmOf(key) === null ? null : new Uint8Array(key.export({ type: "spki", format: "der" }));
  } catch {
    return null;
  }
}

/** Whether the key made the signature with this algorithm. Null if the algorithm is not that of the key. */
export function isSignedBy(
  der: Uint8Array,
  algorithm: Algorithm,
  message: string,
  signature: Uint8Array,
): boolean | null {
  const key = createPublicKey({ key: Buffer.from(der), type: "spki", format: "der" });
  if (algorithmOf(key) !== algorithm) return null;
  return verify("sha256", Buffer.from(message), { key, dsaEncoding: "ieee-p1363" }, signature);
}

/** The JWK thumbprint of a public key (RFC 7638), in base64url. Names the key; not secret. */
export function thumbprintOf(der: Uint8Array): string {
  const key = createPublicKey({ key: Buffer.from(der), type: "spki", format: "der" });
  const { crv, e, kty, n, x, y } = key.export({ format: "jwk" });
  const members = kty === "EC" ? { crv, kty, x, y } : { e, kty, n }; // in the order of their names
  return createHash("sha256").update(JSON.stringify(members)).digest("base64url");
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): Algorithm | null {
  const { namedCurve, modulusLength = 0, publicExponent } = asymmetricKeyDetails;
  if (asymmetricKeyType === "ec") return namedCurve === "prime256v1" ? "ES256" : null;
  const isUsable = modulusLength >= 2_048 && modulusLength <= 4_096 && publicExponent === 65_537n;
  return asymmetricKeyType === "rsa" && isUsable ? "RS256" : null;
}
