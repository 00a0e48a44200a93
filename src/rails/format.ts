import type { Content } from "../codec/codec.ts";
import { LimitError, ValueError } from "../errors.ts";
import type { SessionFormat } from "../session/format.ts";
import { userIn } from "../session/hooks.ts";
import { decodeRuby } from "./decode.ts";
import { encodeRuby } from "./encode.ts";
import { RailsEncryption } from "./encryption.ts";
import { FLASH_KEY, flashesOf, withFlashes } from "./flash.ts";
import { defaultLimits, SIGNATURE, type RubyLimits } from "./messagepack.ts";
import type { RailsKeyOptions, RailsFormatOptions as EncryptionOptions } from "./options.ts";
import {
  decodeSession,
  encodeSession,
  sameRuby,
  sessionObject,
  unchangedSession,
  type RailsSession,
} from "./session-bytes.ts";
import { mintRailsToken, readRailsToken } from "./token.ts";
import { ivOf } from "./version.ts";
import { sameBytes } from "../shared/bytes.ts";

export type { RailsKeyOptions };

/** The keys and formats of the Rails application beside this one, and where its sessions name their user. */
export interface RailsFormatOptions extends EncryptionOptions {
  /**
   * The user of a session, read from its data: `({ user_id }) => (user_id === undefined ? undefined : String(user_id))`. Rails keeps
   * it in the data and nowhere else, so `session.user` comes from here, and `session.login(user)` needs that the
   * application puts the user where Rails looks. Without it nobody is ever logged in as far as `session.user` tells.
   *
   * A whole number is its decimal text; null, undefined and "" are nobody. A plain function, not an async one.
   */
  readonly userOf?: (data: Readonly<Record<string, unknown>>) => string | number | bigint | null | undefined;
}

/** An empty session, which Rails stores as SQL NULL. */
const EMPTY: Uint8Array = new Uint8Array(0);
const NOTHING: RailsSession = { entries: new Map(), unnamed: [] };

interface Loaded {
  readonly session: RailsSession;
  readonly user: string | undefined;
}

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
  // Rails wrote these sessions too: what it leaves empty names nobody.
  const orNobody = (data: Readonly<Record<string, unknown>>): unknown => {
    const user: unknown = userOf?.(data);
    return user === "" ? undefined : user;
  };
  const userOfData = (data: Readonly<Record<string, unknown>>): string | undefined => userIn(orNobody, data);

  // What a session was loaded from is needed again at its commit. Its values are the application's by then, so only
  // the raw bytes and the user count.
  const known = new WeakMap<Uint8Array, Loaded>();
  const takeApart = (plaintext: Uint8Array): { session: RailsSession; content: Content } => {
    const session = plaintext.length === 0 ? NOTHING : decodeSession(plaintext, limits);
    const data = sessionObject(session);
    const user = userOfData(data);
    known.set(plaintext, { session, user });
    return { session, content: { data, user, flash: Object.fromEntries(flashesOf(data)) } };
  };
  const loadedFrom = (plaintext: Uint8Array): Loaded => {
    if (!known.has(plaintext)) takeApart(plaintext);
    return known.get(plaintext) as Loaded;
  };

  return {
    opensWithoutToken: true,
    // A message of Rails' is base64.
    maxSealedBytes: Math.ceil((encryption.maxBytes * 4) / 3),
    mint: mintRailsToken,
    read: readRailsToken,
    refresh: (token) => token,
    userRef: () => null,
    userRefs: () => [],
    encode(content, loaded) {
      const before = loaded === null ? null : loadedFrom(loaded);
      agreeOnFlash(content, flashIn(before, limits), limits);
      assertUser(content, before?.user, userOfData);
      const bytes = encodeSession(content.data, before?.session ?? null, limits) ?? EMPTY;
      if (before === null || loaded === null || sameBytes(bytes, loaded)) return bytes;
      // Another writer's form of the very same session is no change, and is left as it is.
      return sameBytes(bytes, unchangedSession(before.session, limits) ?? EMPTY) ? loaded : bytes;
    },
    decode: (plaintext) => takeApart(plaintext).content,
    same(a, b) {
      if (Object.is(a, b)) return true;
      try {
        return sameRuby(a, b, limits);
      } catch (error) {
        // What cannot be stored is told when it is to be: a merge goes on, after a write that was confirmed above all.
        if (error instanceof ValueError || error instanceof LimitError) return false;
        throw error;
      }
    },
    userOf: userOf && userOfData,
    flashInData: {
      key: FLASH_KEY,
      agree: (content, before) => agreeOnFlash(content, before, limits),
      write: (data, flash) => withFlashes(data, Object.entries(flash)),
    },
    seal: (plaintext, row) =>
      plaintext.length === 0 ? EMPTY : encryption.seal(plaintext, { iv: ivOf(row.version) }),
    open: (row) => (row.data.length === 0 ? EMPTY : encryption.open(row.data)),
    sealClient: () => null,
    openClient: () => null,
    isCurrent: (row) => row.data.length === 0 || encryption.isCurrent(row.data),
  };
}

/** The flash as it was loaded, from its bytes. */
function flashIn(before: Loaded | null, limits: RubyLimits): Record<string, unknown> {
  const entry = before?.session.entries.get(FLASH_KEY);
  if (entry === undefined) return {};
  const flash = decodeRuby(Buffer.concat([SIGNATURE, entry.raw]), { ...limits, maxBytes: Infinity });
  return Object.fromEntries(flashesOf({ flash }));
}

/** Flashes as they were when the content's two views of them last agreed. */
const agreed = new WeakMap<object, Uint8Array>();

/**
 * Rails' flash stands in `data`; `session.flash` and `session.takeFlash` know the content's own. Whichever of the two
 * changed since they last agreed is taken over by the other.
 */
function agreeOnFlash(
  { flash, data }: Content,
  before: Readonly<Record<string, unknown>>,
  limits: RubyLimits,
): void {
  // Only compared here: what is stored is held against the limits, maxBytes among them, when the whole is encoded.
  const loose = { ...limits, maxBytes: Number.MAX_SAFE_INTEGER };
  const bytesOf = (flashes: Readonly<Record<string, unknown>>): Uint8Array =>
    encodeRuby(flashes, loose, "flash");
  const base = agreed.get(flash) ?? bytesOf(before);
  if (!sameBytes(bytesOf(flash), base)) {
    withFlashes(data, Object.entries(flash));
  } else {
    const inData = Object.fromEntries(flashesOf(data));
    if (!sameBytes(bytesOf(inData), base)) {
      for (const name of Object.keys(flash)) delete flash[name];
      Object.assign(flash, inData);
    }
  }
  agreed.set(flash, bytesOf(flash));
}

/**
 * Rails looks for the user in the data alone: a login that is not there would be none at the next request.
 * @throws {ValueError}
 */
function assertUser(
  content: Content,
  before: string | undefined,
  userFound: (data: Readonly<Record<string, unknown>>) => string | undefined,
): void {
  const { user, data } = content;
  if (user === undefined || user === before || user === userFound(data)) return;
  throw new ValueError(
    "user",
    "In Rails mode a login must stand in the session's data, where Rails looks for it: after session.login(user) set what your Rails application sets (session.data.user_id = …), and give railsFormat the `userOf` that reads it.",
  );
}
