import { OptionsError } from "../../errors.ts";
import { reasonOf } from "../../shared/reason.ts";
import { SeenTokens } from "./seen-tokens.ts";

/** The member of `events` that makes a token a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4). */
const EVENT = "http://schemas.openid.net/event/backchannel-logout";

/** Asymmetric algorithms only: with `HS256`, a public key could be used as the secret. */
export const ALGORITHMS: readonly string[] = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/** Milliseconds between two requests for the keys when a token names one that is not among them. */
const COOLDOWN = 5_000;
const KEYS_TIMEOUT = 5_000;

/** The claims of a logout token that was verified. */
export interface LogoutClaims {
  readonly iss: string;
  /** The user at the provider. Present unless `sid` is. */
  readonly sub?: string | undefined;
  /** The session at the provider. */
  readonly sid?: string | undefined;
  /** When it was issued, in seconds since the epoch. */
  readonly iat: number;
  readonly jti: string;
}

/** Why a logout token was refused. */
export type LogoutTokenProblem =
  | "malformed"
  | "type"
  | "algorithm"
  | "key"
  | "signature"
  | "issuer"
  | "audience"
  | "time"
  | "claims"
  | "event"
  | "nonce"
  | "subject"
  | "replay";

export class LogoutTokenError extends Error {
  override readonly name = "LogoutTokenError";
  readonly reason: LogoutTokenProblem;

  constructor(reason: LogoutTokenProblem, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}

/** The keys of the provider could not be fetched. Trying again later may help. */
export class KeysUnavailableError extends Error {
  override readonly name = "KeysUnavailableError";
}

/** Keys of a provider: a JSON Web Key Set, or where it is. */
export type KeySource = URL | { readonly keys: readonly object[] };

export interface VerifierOptions {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly keys: KeySource;
  readonly algorithms: readonly string[];
  /** Milliseconds. */
  readonly clockTolerance: number;
  readonly maxAge: number;
  readonly clock: () => number;
}

type Jose = typeof import("jose");
type GetKey = Parameters<Jose["jwtVerify"]>[1];

/** Verifies logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.6). */
export class LogoutTokens {
  readonly #options: VerifierOptions;
  readonly #jose: Promise<Jose>;
  readonly #seen: SeenTokens;
  #keys: GetKey | null = null;

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#seen = new SeenTokens(options.clock);
    this.#jose = import("jose").catch((cause: unknown) => {
      const problem = `backChannelLogout verifies tokens with the package "jose", which cannot be loaded. Run "npm install jose". In a bundle, keep "jose" external or bundle it. Cause: ${reasonOf(cause)}`;
      process.emitWarning(problem, { code: "STORED_SESSION_JOSE_MISSING" });
      throw Object.assign(new OptionsError([problem]), { cause });
    });
    this.#jose.catch(() => {}); // each request reports it too
  }

  /**
   * @throws {LogoutTokenError} the token is not valid
   * @throws {KeysUnavailableError} the provider's keys could not be fetched
   */
  async verify(token: string): Promise<LogoutClaims> {
    const jose = await this.#jose;
    const { issuer, audience, algorithms, clockTolerance, maxAge, clock } = this.#options;
    this.#keys ??= keysOf(jose, this.#options.keys);
    const { payload, protectedHeader } = await jose
      .jwtVerify(token, this.#keys, {
        issuer,
        audience: [...audience],
        algorithms: [...algorithms],
        clockTolerance: clockTolerance / 1_000,
        maxTokenAge: maxAge / 1_000,
        currentDate: new Date(clock()),
        requiredClaims: ["iss", "aud", "iat", "jti"],
      })
      .catch((error: unknown) => {
        throw error instanceof KeysUnavailableError ? error : problemIn(error);
      });
    const { typ } = protectedHeader;
    // Explicit typing is recommended, and many providers leave it out. An access token ("at+jwt") is none of these.
    if (typ !== undefined && !/^(?:application\/)?(?:jwt|logout\+jwt)$/i.test(typ))
      throw new LogoutTokenError("type", "The token is of another type.");
    const claims = claimsOf(payload);
    if (this.#seen.has(keyOf(claims)))
      throw new LogoutTokenError("replay", "A token with this `jti` was received before.");
    return claims;
  }

  /** Refuses the token from now on. Call it once its sessions are ended: a provider may repeat one that failed. */
  used(claims: LogoutClaims): void {
    const { maxAge, clockTolerance } = this.#options;
    this.#seen.add(keyOf(claims), claims.iat * 1_000 + maxAge + clockTolerance);
  }
}

function keysOf(jose: Jose, keys: KeySource): GetKey {
  if (!(keys instanceof URL)) return jose.createLocalJWKSet(keys as never);
  const remote = jose.createRemoteJWKSet(keys, {
    cooldownDuration: COOLDOWN,
    timeoutDuration: KEYS_TIMEOUT,
  });
  return async (header, token) => {
    try {
      return await remote(header, token);
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (/^ERR_JWKS_(?:NO|MULTIPLE)_MATCHING_KEYS?$|^ERR_JOSE_NOT_SUPPORTED$/.test(code)) throw error;
      throw new KeysUnavailableError(`The keys at ${keys.href} cannot be fetched: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  };
}

const byClaim: Readonly<Record<string, LogoutTokenProblem>> = {
  iss: "issuer",
  aud: "audience",
  iat: "time",
  exp: "time",
  nbf: "time",
};

const byCode: Readonly<Record<string, LogoutTokenProblem>> = {
  ERR_JWT_EXPIRED: "time",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "signature",
  ERR_JOSE_ALG_NOT_ALLOWED: "algorithm",
  ERR_JOSE_NOT_SUPPORTED: "algorithm",
  ERR_JWKS_NO_MATCHING_KEY: "key",
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: "key",
};

/** Anything that jose throws about a token. Its messages name claims, and no value. */
function problemIn(error: unknown): LogoutTokenError {
  const { code = "", claim = "" } = error as { code?: string; claim?: string };
  const isClaim = code === "ERR_JWT_CLAIM_VALIDATION_FAILED";
  const reason = isClaim ? (byClaim[claim] ?? "claims") : (byCode[code] ?? "malformed");
  return new LogoutTokenError(reason, `The token is not valid: ${reasonOf(error)}.`, error);
}

/** What jose does not check (§2.6, steps 4 to 7). */
function claimsOf(payload: Readonly<Record<string, unknown>>): LogoutClaims {
  const { iss, sub, sid, iat, jti, events } = payload;
  // A `sub` has at most 255 characters (OpenID Connect Core §2), and no link has more than 512.
  const isText = (value: unknown): value is string =>
    typeof value === "string" && value !== "" && value.length <= 255 && value.isWellFormed();
  // Prohibited, so that a logout token never passes for an ID token, and the other way round.
  if ("nonce" in payload) throw new LogoutTokenError("nonce", "A logout token has no `nonce`.");
  const event: unknown = typeof events === "object" && events !== null ? Reflect.get(events, EVENT) : null;
  if (typeof event !== "object" || event === null || Array.isArray(event))
    throw new LogoutTokenError("event", `\`events\` does not have the member ${EVENT}.`);
  if (!isText(iss) || !isText(jti) || typeof iat !== "number")
    throw new LogoutTokenError("claims", "`iss` or `jti` is not text of at most 255 characters.");
  const isWrong = [sub, sid].some((value) => value !== undefined && !isText(value));
  if (isWrong || (sub === undefined && sid === undefined))
    throw new LogoutTokenError(
      "subject",
      "The token needs a `sub` or a `sid`, text of at most 255 characters.",
    );
  return { iss, jti, iat, ...(isText(sub) && { sub }), ...(isText(sid) && { sid }) };
}

function keyOf({ iss, jti }: LogoutClaims): string {
  return JSON.stringify([iss, jti]);
}
