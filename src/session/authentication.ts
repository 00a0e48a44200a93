import type { Authentication } from "../codec/authentication.ts";
import type { Content } from "../codec/codec.ts";
import type { Settings } from "./settings.ts";
import { clockTolerance } from "./lifetime.ts";
import { milliseconds, type Duration } from "../shared/duration.ts";
import type { SessionState } from "./state.ts";

/** How a user proved who they are. `level` and `method` are kept with the session, all of it in the audit trail. */
export interface LoginProof {
  /** Such as "password", "passkey" or "oidc". At most 64 characters. */
  readonly method?: string;
  /** The assurance level, as the application names it: "aal2". At most 64 characters. */
  readonly level?: string;
  /** Such as ["password", "totp"]. */
  readonly factors?: readonly string[];
}

/** What `session.login` takes besides the user. */
export interface LoginOptions extends LoginProof {
  /** Finds this session by `sessions.revokeByLink` later. Kept, encrypted, until the next login. */
  readonly links?: SessionLinks | undefined;
}

/**
 * Names and values that sessions are found by, such as `{ idp: "https://idp.example|08a5019c" }`. At most 8; a name is 1 to 64
 * letters, digits, "_", "-" and ".", a value 1 to 512 characters.
 */
export type SessionLinks = Readonly<Record<string, string>>;

/** What a fresh authentication has to be, besides recent. */
export interface FreshRequirement {
  /** The level, or the levels of which any is enough. Default: any level, and none. */
  readonly level?: string | readonly string[];
}

const longestName = 64;

/** @throws {TypeError} `level` or `method` is not text of 1 to 64 characters */
export function proofOf(call: string, proof: LoginProof | undefined): LoginProof {
  const { method, level, factors } = proof ?? {};
  for (const [name, value] of Object.entries({ method, level })) {
    if (value === undefined || isName(value)) continue;
    throw new TypeError(`${call}: \`${name}\` must be a string of 1 to ${longestName} characters.`);
  }
  return {
    ...(method !== undefined && { method }),
    ...(level !== undefined && { level }),
    ...(factors && { factors }),
  };
}

function isName(value: unknown, longest: number = longestName): boolean {
  return typeof value === "string" && value !== "" && value.length <= longest && value.isWellFormed();
}

/** The part of a proof that is sealed with the session. */
export function authenticationOf(
  { level, method }: LoginProof,
  at: number,
  links: SessionLinks | undefined,
): Authentication {
  return {
    at,
    ...(level !== undefined && { level }),
    ...(method !== undefined && { method }),
    ...(links && { links }),
  };
}

/** @throws {TypeError} the links are not valid, or cannot be kept */
export function linksOf(call: string, links: SessionLinks, { store, format }: Settings): SessionLinks {
  const entries = typeof links === "object" ? Object.entries(links ?? {}) : [];
  const isValid = ([name, value]: [string, unknown]): boolean =>
    /^[\w.-]{1,64}$/.test(name) && isName(value, 512);
  if (entries.length < 1 || entries.length > 8 || !entries.every(isValid)) {
    throw new TypeError(
      `${call}: \`links\` takes 1 to 8 strings of at most 512 characters, under names of letters, digits, "_", "-" and ".".`,
    );
  }
  if (store.links === undefined || format.linkRefs === undefined) {
    throw new TypeError(
      `${call}: this store or format keeps no links. Use a store of this package, and not Rails mode.`,
    );
  }
  return Object.fromEntries(entries);
}

/** Whether the stored session has links. */
export function hasLinks({ plaintext, settings }: SessionState): boolean {
  return plaintext !== null && settings.format.linksOf?.(plaintext) !== undefined;
}

/** @throws {TypeError} the session cannot keep an authentication */
export function assertKept({ settings }: SessionState, call: string): void {
  if (settings.format.keepsAuthentication === true) return;
  throw new TypeError(
    `${call} does not exist in this format: a row of Rails mode has no place for the time and level of an authentication. Keep sessions in the native format to use it.`,
  );
}

/** When the user of a session last proved who they are, in milliseconds; undefined if nobody has. */
export function authenticatedAt(state: SessionState): number | undefined {
  const { user, authentication }: Content = state.content;
  if (user === undefined) return undefined;
  // 0: another client uses the session, and the user has to prove who they are again.
  if (authentication !== undefined) return authentication.at || undefined;
  // Every login begins a row of its own, so a row is as old as its login, or older where the user was found later.
  const { stored } = state;
  return stored === null || state.intent === "login" ? state.startedAt : stored.row.createdAt;
}

/** @throws {TypeError} `within` is not a duration */
export function isFresh(state: SessionState, within: Duration, { level }: FreshRequirement = {}): boolean {
  const length = windowOf("session.isFresh", within);
  const at = authenticatedAt(state);
  if (at === undefined) return false;
  const age = state.settings.clock() - at;
  if (age > length || age < -clockTolerance) return false;
  return level === undefined || [level].flat().includes(state.content.authentication?.level ?? "");
}

/** @throws {TypeError} `within` is not a duration */
export function windowOf(call: string, within: Duration): number {
  const length = milliseconds(within);
  if (length !== null) return length;
  throw new TypeError(`${call} takes a duration: milliseconds, or text such as "5 min".`);
}
