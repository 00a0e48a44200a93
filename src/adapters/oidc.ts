import { OptionsError, StoredSessionError } from "../errors.ts";
import { settingsOf, type SessionManager } from "../manager.ts";
import type { SessionLinks } from "../session/authentication.ts";
import { milliseconds, type Duration } from "../shared/duration.ts";
import { assertOptions, durationFrom, isAnything, isFunction, isText } from "../shared/option-checks.ts";
import { assertManager } from "./assert-manager.ts";
import type { NodeRequest, NodeResponse } from "./node/request-types.ts";
import { FormError } from "./form.ts";
import { parsedToken, tokenIn } from "./oidc/form.ts";
import {
  ALGORITHMS,
  KeysUnavailableError,
  LogoutTokenError,
  LogoutTokens,
  type KeySource,
  type LogoutClaims,
} from "./oidc/logout-token.ts";

export { KeysUnavailableError, LogoutTokenError } from "./oidc/logout-token.ts";
export type { LogoutClaims, LogoutTokenProblem } from "./oidc/logout-token.ts";

export interface BackChannelLogoutOptions {
  /** The manager whose sessions end. */
  readonly sessions: SessionManager<any>;
  /** The provider's issuer, exactly as in its ID tokens: "https://idp.example". */
  readonly issuer: string;
  /** The client id of this application at the provider, or several. */
  readonly clientId: string | readonly string[];
  /** Where the provider publishes its keys: `jwks_uri` of its metadata. https, or http on this machine. */
  readonly jwksUri?: string | URL;
  /** The provider's keys, in place of `jwksUri`: a JSON Web Key Set. */
  readonly jwks?: { readonly keys: readonly object[] };
  /**
   * The link that `session.login` was given for the session at the provider. Default: that of {@link oidcLinks}, by `sid` if
   * the token has one, and otherwise by `sub`.
   */
  readonly link?: (claims: LogoutClaims) => SessionLinks;
  /** Accepted signature algorithms. Default: RS, PS and ES with SHA-2, and EdDSA. */
  readonly algorithms?: readonly string[];
  /** How far the clocks of the provider and this server may differ. Default "10 s". */
  readonly clockTolerance?: Duration;
  /** How long after its issue a token is accepted, even if it names a later end. Default "5 min". */
  readonly maxAge?: Duration;
  /** Called when a request is refused or fails, for your log. The error has no token and no claim in its message. */
  readonly onError?: (error: unknown) => void;
}

/** A handler for the `backchannel_logout_uri` of this application. */
export interface BackChannelLogout {
  (request: Request): Promise<Response>;
  /** The same for `node:http`, Express and other frameworks with Node's request and response. */
  node(request: NodeRequest, response: NodeResponse, next?: (error?: unknown) => void): Promise<void>;
}

/**
 * The links of a login by OpenID Connect, from the claims of the ID token: `session.login(user, { links: oidcLinks(claims) })`.
 * "oidc.sub" finds all sessions of the user at the provider, and "oidc.sid" those of one session there.
 */
export function oidcLinks(claims: {
  readonly iss: string;
  readonly sub?: string | undefined;
  readonly sid?: unknown;
}): Record<string, string> {
  const { iss, sub, sid } = claims;
  return {
    ...(typeof sub === "string" && { "oidc.sub": `${iss}|${sub}` }),
    ...(typeof sid === "string" && { "oidc.sid": `${iss}|${sid}` }),
  };
}

/**
 * Ends the sessions of users who log out at their identity provider: a receiver of logout tokens (OpenID Connect
 * Back-Channel Logout 1.0). Needs the package `jose`.
 *
 * Sessions whose user logged in after the token was issued stay. Answers 200 when the sessions have ended, 400 to a token
 * that is not valid, and 503 while the store or the provider's keys are unavailable, so that the provider tries again.
 *
 * ```ts
 * const logout = backChannelLogout({ sessions, issuer, clientId, jwksUri });
 * app.post("/backchannel-logout", logout.node); // or: return logout(request)
 * ```
 * @throws {TypeError} {OptionsError} the options are not valid
 */
export function backChannelLogout(options: BackChannelLogoutOptions): BackChannelLogout {
  const { sessions, link = linkOf, onError } = options;
  assertManager(sessions);
  const { clock, audit } = settingsOf(sessions as SessionManager<never>);
  const tolerance = milliseconds(options.clockTolerance ?? "10 s") ?? 0;
  const tokens = new LogoutTokens(verifierOf(options, tolerance, clock));

  /** @param method of the request; the token is read only from a POST */
  const answer = async (method: string, token: () => string | Promise<string>): Promise<Answer> => {
    if (method !== "POST") return refusal(405, "Logout tokens are sent by POST.", { allow: "POST" });
    try {
      const claims = await tokens.verify(await token());
      await sessions.revokeByLink(link(claims), {
        // `iat` has whole seconds: a login within that second may have come before the logout.
        loggedInUntil: new Date(claims.iat * 1_000 + 999 + tolerance),
        by: claims.iss,
        reason: "back-channel logout",
      });
      tokens.used(claims);
      return { status: 200, headers: noStore, body: "" };
    } catch (error) {
      onError?.(error);
      if (error instanceof LogoutTokenError) audit?.refusals.refused(`logout token: ${error.reason}`);
      return failureOf(error);
    }
  };

  const handler = async (request: Request): Promise<Response> => {
    const type = request.headers.get("content-type");
    const { status, headers, body } = await answer(request.method, () =>
      tokenIn(type, (request.body ?? []) as AsyncIterable<Uint8Array>),
    );
    return new Response(body === "" ? null : body, { status, headers });
  };
  const node: BackChannelLogout["node"] = async (request, response, next) => {
    const parsed = bodyOf(request);
    const type = request.headers["content-type"] ?? null;
    try {
      const { status, headers, body } = await answer(request.method ?? "", () =>
        parsed === undefined ? tokenIn(type, request) : parsedToken(type, parsed),
      );
      response.statusCode = status;
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      // What was not read of a body that is too large does not come before the next request.
      if (status === 413 && request.httpVersionMajor < 2) response.setHeader("connection", "close");
      response.end(body);
    } catch (error) {
      if (next === undefined) throw error;
      next(error);
    }
  };
  return Object.assign(handler, { node });
}

/** What a middleware made of the body. Undefined if none read it: some leave an empty object in its place. */
function bodyOf(request: NodeRequest): unknown {
  const { body } = request as { body?: unknown };
  const isEmpty = typeof body === "object" && body !== null && Object.keys(body).length === 0;
  return isEmpty && !request.readableEnded ? undefined : body;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** §2.8: an answer must not be kept by a cache. */
const noStore: Readonly<Record<string, string>> = { "cache-control": "no-store" };

/** The error format of §2.8. */
function refusal(
  status: number,
  description: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const error = status === 503 ? "temporarily_unavailable" : "invalid_request";
  return {
    status,
    headers: { ...noStore, "content-type": "application/json", ...headers },
    body: JSON.stringify({ error, error_description: description }),
  };
}

/** @throws what is not the fault of the request, and not temporary */
function failureOf(error: unknown): Answer {
  if (error instanceof FormError) return refusal(error.status, error.message);
  if (error instanceof LogoutTokenError) return refusal(400, error.message);
  const isTemporary = error instanceof StoredSessionError && !(error instanceof OptionsError);
  if (isTemporary || error instanceof KeysUnavailableError) {
    return refusal(503, "Sessions cannot be ended at the moment. Send the token again.", {
      "retry-after": "5",
    });
  }
  throw error;
}

function linkOf({ iss, sub, sid }: LogoutClaims): SessionLinks {
  return oidcLinks(sid === undefined ? { iss, sub } : { iss, sid });
}

function verifierOf(options: BackChannelLogoutOptions, clockTolerance: number, clock: () => number) {
  const { issuer, clientId, jwksUri, jwks, algorithms = ALGORITHMS, maxAge = "5 min" } = options;
  assertOptions("backChannelLogout", options, {
    sessions: isAnything,
    issuer: isText,
    clientId: isAnything,
    jwksUri: isAnything,
    jwks: isAnything,
    link: isFunction,
    algorithms: isAnything,
    clockTolerance: durationFrom(0, 600_000),
    maxAge: durationFrom(1_000, 86_400_000),
    onError: isFunction,
  });
  const audience = [clientId].flat();
  const problems: string[] = [];
  if (!issuer || issuer.length > 255)
    problems.push(
      "backChannelLogout: `issuer` must be the `iss` of the provider's ID tokens, at most 255 characters.",
    );
  if (audience.length === 0 || !audience.every((one) => typeof one === "string" && one !== ""))
    problems.push("backChannelLogout: `clientId` must be the client id of this application, or several.");
  if (
    !Array.isArray(algorithms) ||
    algorithms.length === 0 ||
    !algorithms.every((one) => ALGORITHMS.includes(one))
  )
    problems.push(`backChannelLogout: \`algorithms\` takes some of ${ALGORITHMS.join(", ")}.`);
  const keys = (jwksUri === undefined) === (jwks === undefined) ? null : keysFrom(jwksUri, jwks);
  if (keys === null) {
    problems.push(
      "backChannelLogout: pass either `jwksUri`, an https URL (http only on this machine), or `jwks`, an object with `keys`.",
    );
  }
  if (keys === null || problems.length > 0) throw new OptionsError(problems);
  return { issuer, audience, keys, algorithms, clockTolerance, maxAge: milliseconds(maxAge)!, clock };
}

/** Null if they are not valid. Keys that are fetched over plain http could be anybody's. */
function keysFrom(
  jwksUri: BackChannelLogoutOptions["jwksUri"],
  jwks: BackChannelLogoutOptions["jwks"],
): KeySource | null {
  if (jwksUri === undefined) return Array.isArray(jwks?.keys) ? jwks! : null;
  const url = URL.parse(String(jwksUri));
  const isLocal = url !== null && /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
  return url?.protocol === "https:" || (isLocal && url.protocol === "http:") ? url : null;
}
