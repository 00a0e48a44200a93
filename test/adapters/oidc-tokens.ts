/** A provider's keys, and the logout tokens that it signs. */
import { randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT, type JWK } from "jose";

export const issuer = "https://idp.example";
export const clientId = "shop";
export const EVENT = "http://schemas.openid.net/event/backchannel-logout";

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: Parameters<SignJWT["sign"]>[0];
  readonly jwk: JWK;
}

export async function signingKey(kid: string = randomUUID(), alg = "ES256"): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

/** A valid token for `sid`, with other claims on top. Undefined removes a claim. */
export function tokenOf(
  key: SigningKey,
  now: number,
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  const iat = Math.floor(now / 1_000);
  const all = { iss: issuer, aud: clientId, iat, exp: iat + 120, jti: randomUUID(), events: { [EVENT]: {} } };
  const payload = Object.fromEntries(
    Object.entries({ ...all, ...claims }).filter(([, value]) => value !== undefined),
  );
  return new SignJWT(payload)
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: "logout+jwt", ...header })
    .sign(key.privateKey);
}
