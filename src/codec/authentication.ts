import type { Reader } from "./reader.ts";

/** How the user of a session last proved who they are. Sealed with the session. */
export interface Authentication {
  /** When, in milliseconds since the epoch. */
  readonly at: number;
  /** The assurance level, as the application names it. Never empty. */
  readonly level?: string;
  /** Such as "password" or "passkey". Never empty. */
  readonly method?: string;
}

export function isSameAuthentication(a: Authentication | undefined, b: Authentication | undefined): boolean {
  return a?.at === b?.at && a?.level === b?.level && a?.method === b?.method;
}

/** @throws {RefusedError} reason "decode" */
export function readAuthentication(reader: Reader, before: Authentication | undefined): Authentication {
  if (before !== undefined) throw reader.refusal("a key is duplicated");
  const { at, ...texts } = reader.map();
  if (!Number.isSafeInteger(at) || (at as number) < 0) throw reader.refusal("the time is not valid");
  for (const [name, value] of Object.entries(texts)) {
    if ((name !== "level" && name !== "method") || typeof value !== "string" || value === "")
      throw reader.refusal("the authentication is not valid");
  }
  return { at: at as number, ...texts };
}
