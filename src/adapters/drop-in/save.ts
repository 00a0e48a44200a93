import type { Content } from "../../codec/codec.ts";
import { userAfter, userOfStored } from "../../session/identity.ts";
import type { Settings } from "../../session/settings.ts";
import type { Baseline } from "./baseline.ts";

/** One save by a request. */
export interface Save {
  /** What the request knew to be stored before. */
  readonly base: Content;
  readonly mine: Content;
  /** The bytes of `mine`. */
  readonly plaintext: Uint8Array;
  readonly baseline: Baseline;
  /** When the session ends; null leaves that as it is stored. */
  readonly expiresAt: number | null;
  /** Keys of the data that say when the session ends. They are merged as one value. */
  readonly own: readonly string[];
}

/** A save of `data`, measured against a baseline. */
export function saveOf(
  settings: Settings,
  data: Record<string, unknown>,
  baseline: Baseline,
  { expiresAt, own }: Pick<Save, "expiresAt" | "own">,
): Save {
  let decoded: Content | null = null;
  return {
    get base() {
      return (decoded ??= settings.format.decode(baseline.plaintext)); // which most saves need not look at
    },
    ...contentOf(settings, data, baseline),
    baseline,
    expiresAt,
    own,
  };
}

/** The content and the bytes of what an application's session holds. */
export function contentOf(
  settings: Settings,
  data: Record<string, unknown>,
  known: Baseline | null,
): { mine: Content; plaintext: Uint8Array } {
  const { format } = settings;
  // Where nobody was logged in, which most rows show, what is stored need not be looked at.
  const base = known === null || known.row.userRef === null ? null : format.decode(known.plaintext);
  const mine: Content = { data, user: userOfData(settings, data, base), flash: {} };
  return { mine, plaintext: format.encode(mine, known?.plaintext ?? null) };
}

/**
 * Who is logged in with this data, by the rule of our own sessions: whom `userOf` finds, or else who was stored with the
 * session, while nothing that `userOf` reads was changed.
 * @param base what was stored; null for nothing
 */
export function userOfData(
  { userOf }: Settings,
  data: Record<string, unknown>,
  base: Content | null,
): string | undefined {
  return userOf === undefined ? base?.user : userAfter(userOf, data, base);
}

/** Who was logged in in a session that is stored. */
export function storedUser({ userOf }: Settings, content: Content): string | undefined {
  return userOfStored(userOf, content);
}
