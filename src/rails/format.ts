import type { Content } from "../codec/codec.ts";
import { ValueError } from "../errors.ts";
import type { SessionFormat } from "../session/format.ts";
import { RailsEncryption } from "./encryption.ts";
import { flashesOf, withFlashes } from "./flash.ts";
import { defaultLimits, type RubyLimits } from "./messagepack.ts";
import type { RailsKeyOptions, RailsFormatOptions as EncryptionOptions } from "./options.ts";
import { decodeSession, encodeSession, sameRuby, sessionObject } from "./session-bytes.ts";
import { mintRailsToken, readRailsToken } from "./token.ts";
import { ivOf } from "./version.ts";

export type { RailsKeyOptions };

/** The keys and formats of the Rails application beside this one, and where its sessions name their user. */
export interface RailsFormatOptions extends EncryptionOptions {
  /**
   * The user of a session, read from its data: `(data) => data["user_id"] && String(data["user_id"])`. Rails keeps
   * it in the data and nowhere else, so `session.user` comes from here, and `session.login(user)` needs that the
   * application puts the user where Rails looks. Without it nobody is ever logged in as far as `session.user` tells.
   */
  readonly userOf?: (data: Readonly<Record<string, unknown>>) => string | null | undefined;
}

/** An empty session, which Rails stores as SQL NULL. */
const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * Tokens and rows of a Rails application with the `stored_session` gem: for
 * `createSessionManager({ store: railsStore(…), format: railsFormat(…) })`.
 *
 * Keys are derived once, here: 12 ms each or so.
 * @throws {OptionsError} with every problem at once
 */
export function railsFormat(options: RailsFormatOptions): SessionFormat {
  const { userOf, ...keys } = { ...options };
  if (userOf !== undefined && typeof userOf !== "function") {
    throw new TypeError("railsFormat: `userOf` is a function from a session's data to its user.");
  }
  const encryption = new RailsEncryption(keys);
  const limits: RubyLimits = { ...defaultLimits, maxBytes: encryption.maxBytes };
  const userIn = (data: Readonly<Record<string, unknown>>): string | undefined => userOf?.(data) || undefined;

  const decode = (plaintext: Uint8Array): Content => {
    const data = plaintext.length === 0 ? {} : sessionObject(decodeSession(plaintext, limits));
    return { data, user: userIn(data), flash: Object.fromEntries(flashesOf(data)) };
  };
  const bytesOf = (data: Readonly<Record<string, unknown>>, loaded: Uint8Array | null): Uint8Array =>
    encodeSession(data, loaded === null || loaded.length === 0 ? null : loaded, limits) ?? EMPTY;

  return {
    opensWithoutToken: true,
    mint: mintRailsToken,
    read: readRailsToken,
    refresh: (token) => token,
    userRefs: () => [],
    encode(content, loaded) {
      const before = loaded === null ? null : decode(loaded);
      foldFlash(content, before);
      assertUser(content, before, userIn);
      const bytes = bytesOf(content.data, loaded);
      if (before === null || loaded === null || Buffer.compare(bytes, loaded) === 0) return bytes;
      // Another writer's form of the very same session is no change, and is left as it is.
      return Buffer.compare(bytes, bytesOf(before.data, loaded)) === 0 ? loaded : bytes;
    },
    decode,
    same: (a, b) => sameRuby(a, b, limits),
    seal: (plaintext, row) =>
      plaintext.length === 0 ? EMPTY : encryption.seal(plaintext, { iv: ivOf(row.version) }),
    open: (row) => (row.data.length === 0 ? EMPTY : encryption.open(row.data)),
    sealClient: () => null,
    openClient: () => null,
    isCurrent: (row) => row.data.length === 0 || encryption.isCurrent(row.data),
  };
}

/** What `session.flash` and `session.takeFlash` did becomes Rails' own flash, in `data` as Rails has it. */
function foldFlash(content: Content, before: Content | null): void {
  const { flash, data } = content;
  const names = new Set([...Object.keys(flash), ...Object.keys(before?.flash ?? {})]);
  const changed = [...names].some((name) => {
    const had = before !== null && Object.hasOwn(before.flash, name);
    return had !== Object.hasOwn(flash, name) || !sameRuby(before?.flash[name], flash[name]);
  });
  if (changed) withFlashes(data, Object.entries(flash));
}

/**
 * Rails looks for the user in the data alone: a login that is not there would be none at the next request.
 * @throws {ValueError}
 */
function assertUser(
  content: Content,
  before: Content | null,
  userIn: (data: Readonly<Record<string, unknown>>) => string | undefined,
): void {
  const { user, data } = content;
  if (user === undefined || user === before?.user || user === userIn(data)) return;
  throw new ValueError(
    "user",
    "In Rails mode a login must stand in the session's data, where Rails looks for it: after session.login(user) set what your Rails application sets (session.data.user_id = …), and give railsFormat the `userOf` that reads it.",
  );
}
