import type { Reader } from "./reader.ts";

/** How the user of a session last proved who they are. Sealed with the session. */
export interface Authentication {
  /** When, in milliseconds since the epoch. */
  readonly at: number;
  /** The assurance level, as the application names it. Never empty. */
  readonly level?: string;
  /** Such as "password" or "passkey". Never empty. */
  readonly method?: string;
  /** Values by the names of the login's links. Neither is empty. */
  readonly links?: Readonly<Record<string, string>>;
}

export function isSameAuthentication(a: Authentication | undefined, b: Authentication | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b); // made and read with their keys in one order
}

/**
 * @param format of the content: with 3 there are links, with 4 there may be
 * @throws {RefusedError} reason "decode"
 */
export function readAuthentication(
  reader: Reader,
  before: Authentication | undefined,
  format: number,
): Authentication {
  if (before !== undefined) throw reader.refusal("a key is duplicated");
  const { at, links, ...texts } = reader.map();
  if (format === 3 || links !== undefined ? format < 3 || !isLinks(links) : false)
    throw reader.refusal("the links are not valid");
  if (!Number.isSafeInteger(at) || (at as number) < 0) throw reader.refusal("the time is not valid");
  for (const [name, value] of Object.entries(texts)) {
    if ((name !== "level" && name !== "method") || typeof value !== "string" || value === "")
      throw reader.refusal("the authentication is not valid");
  }
  return { at: at as number, ...texts, ...(isLinks(links) && { links }) };
}

function isLinks(links: unknown): links is Record<string, string> {
  const values = Object.values(Object(links) as object);
  return values.length > 0 && values.every((value) => typeof value === "string" && value !== "");
}
