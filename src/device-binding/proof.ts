import type { DeviceRefusal } from "../telemetry/device-refusals.ts";
import type { Algorithm } from "./public-key.ts";

/** A signed proof of a device (a JWT of the type `dbsc+jwt`). Parsed, not verified. */
export interface Proof {
  readonly algorithm: Algorithm;
  /** The challenge that it answers. */
  readonly challenge: string;
  /** The public key, as a JWK: of a registration. */
  readonly jwk: unknown;
  /** The binding that it is for, if it says so. */
  readonly subject: unknown;
  /** The text that is signed. */
  readonly message: string;
  readonly signature: Uint8Array;
}

/** A proof of an RSA key of 4,096 bits takes about 2,300. */
const longestProof = 8_192;

/** Parses the value of `Secure-Session-Response`. */
export function parseProof(text: string): Proof | DeviceRefusal {
  if (text.length > longestProof) return "device_proof_too_large";
  const parts = text.split(".");
  const [header, payload, signature] = parts.map(decoded);
  if (parts.length !== 3 || !header || !payload || !signature) return "device_proof_malformed";
  const { typ, alg, jwk, crit } = objectIn(header);
  const { jti, sub, key } = objectIn(payload);
  if (typ !== "dbsc+jwt" || crit !== undefined || typeof jti !== "string") return "device_proof_malformed";
  if (alg !== "ES256" && alg !== "RS256") return "device_proof_algorithm";
  return {
    algorithm: alg,
    challenge: jti,
    jwk: jwk ?? key, // Chromium sends it in the header, the specification says in the payload
    subject: sub,
    message: `${parts[0]}.${parts[1]}`,
    signature,
  };
}

/** The bytes of canonical base64url: not empty, no padding, no spare bits, no other characters. */
function decoded(part: string): Buffer | null {
  const bytes = Buffer.from(part, "base64url");
  return part !== "" && bytes.toString("base64url") === part ? bytes : null;
}

/** The members of a JSON object; none if the text is anything else. */
function objectIn(json: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(json.toString());
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
