import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";

/** What a test changes in a proof. */
export interface ProofChanges {
  readonly header?: Readonly<Record<string, unknown>>;
  readonly payload?: Readonly<Record<string, unknown>>;
}

/** A browser's key, in software: signs proofs as Chromium does (w3c/webappsec-dbsc). */
export class SoftwareDevice {
  readonly algorithm: "ES256" | "RS256";
  readonly jwk: Readonly<Record<string, unknown>>;
  readonly #key: KeyObject;

  constructor(algorithm: "ES256" | "RS256" = "ES256", options: { curve?: string; bits?: number } = {}) {
    this.algorithm = algorithm;
    const { publicKey, privateKey } =
      algorithm === "ES256"
        ? generateKeyPairSync("ec", { namedCurve: options.curve ?? "P-256" })
        : generateKeyPairSync("rsa", { modulusLength: options.bits ?? 2_048 });
    this.jwk = publicKey.export({ format: "jwk" }) as Record<string, unknown>;
    this.#key = createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" }));
  }

  /** The proof of a registration: its header has the public key. */
  registration(challenge: string, { header, payload }: ProofChanges = {}): string {
    return this.proof(challenge, { header: { jwk: this.jwk, ...header }, ...(payload && { payload }) });
  }

  /** The proof of a refresh. */
  proof(challenge: string, { header, payload }: ProofChanges = {}): string {
    const parts = [
      { alg: this.algorithm, typ: "dbsc+jwt", ...header },
      { jti: challenge, ...payload },
    ];
    const message = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    return `${message}.${this.signature(message).toString("base64url")}`;
  }

  signature(message: string): Buffer {
    return sign("sha256", Buffer.from(message), { key: this.#key, dsaEncoding: "ieee-p1363" });
  }
}

/** The challenge in a `Secure-Session-Registration` or `Secure-Session-Challenge` header. */
export function challengeIn(header: string | null | undefined): string {
  const challenge = /(?:^|challenge=)"([\w-]+)"/.exec(header ?? "")?.[1];
  if (challenge === undefined) throw new Error(`There is no challenge in ${JSON.stringify(header)}.`);
  return challenge;
}
