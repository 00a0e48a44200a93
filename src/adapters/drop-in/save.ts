import type { Content } from "../../codec/codec.ts";
import { userAfter, userOfStored } from "../../session/identity.ts";
import type { Settings } from "../../session/settings.ts";
import type { Baseline } from "./baseline.ts";

/** One save by a request. */
export interface Save {
  /** The state that the request knew to be stored. */
  readonly base: Content;
  readonly mine: Content;
  /** The plaintext of `mine`. */
  readonly plaintext: Uint8Array;
  readonly baseline: Baseline;
  /** The end of the session. Null keeps the stored one. */
  readonly expiresAt: number | null;
  /** Keys of `data` that determine the session's end. They are merged as one value. */
  readonly own: readonly string[];
}

/** Creates a save of `data`, compared with a baseline. */
export function saveOf(
  settings: Settings,
  data: Record<string, unknown>,
  baseline: Baseline,
  { expiresAt, own }: Pick<Save, "expiresAt" | "own">,
): Save {
  let decoded: Content | null = null;
  return {
    get base() {
      return (decoded ??= settings.format.decode(baseline.plaintext)); // lazy, because most saves do not need it
    },
    ...contentOf(settings, data, baseline),
    baseline,
    expiresAt,
    own,
  };
}

/** The content and plaintext of an application's session. */
export function contentOf(
  settings: Settings,
  data: Record<string, unknown>,
  known: Baseline | null,
): { mine: Content; plaintext: Uint8Array } {
  const { format } = settings;
  // If nobody was logged in, which most rows show, the stored content is not needed.
  const base = known === null || known.row.userRef === null ? null : format.decode(known.plaintext);
  const mine: Content = { data, user: userOfData(settings, data, base), flash: {} };
  return { mine, plaintext: format.encode(mine, known?.plaintext ?? null) };
}

/**
 * The user of this data, by the rule of first-party sessions: the result of `userOf`, or the stored user if nothing
 * that `userOf` reads was changed.
 * @param base the stored content. Null if there is none
 */
export function userOfData(
  { userOf }: Settings,
  data: Record<string, unknown>,
  base: Content | null,
): string | undefined {
  return userOf === undefined ? base?.user : userAfter(userOf, data, base);
}

/** The user of a stored session. */
export function storedUser({ userOf }: Settings, content: Content): string | undefined {
  return userOfStored(userOf, content);
}
