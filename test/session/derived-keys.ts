import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

export type Purpose = "row" | "seal" | "token" | "user" | "audit";

/** What a written key derives, by the formats and nothing of ours. */
export function derivedKey(written: string, purpose: Purpose): KeyObject {
  const master = Buffer.from(written.slice("ssk1_".length), "base64url");
  const bytes = purpose === "row" || purpose === "seal" ? 64 : 32;
  const info = `stored-session/v1/${purpose}\0`;
  return createSecretKey(Buffer.from(hkdfSync("sha512", master, "stored-session/v1", info, bytes)));
}
