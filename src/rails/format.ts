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

/** The keys and formats of the Rails application, and where its sessions store the user. */
export interface RailsFormatOptions extends EncryptionOptions {
  /**
   * Derives the user from a session's data: `({ user_id }) => (user_id === undefined ? undefined : String(user_id))`.
   * Rails stores the user only in the data, so `session.user` is the result of this function, and with
   * `session.login(user)` the application must also set the user where Rails looks. Without it, `session.user` is
   * always undefined.
   *
   * Returns a string or a whole number; null, undefined and "" mean anonymous. Must be synchronous.
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
 * The tokens and rows of a Rails application with the `stored_session` gem, for `createSessionManager({ store:
 * railsStore(…), format: railsFormat(…) })`.
 *
 * Derives the keys once, which takes about 12 ms each.
 * @throws {OptionsError} listing every problem
 */
export function railsFormat(options: RailsFormatOptions): SessionFormat {
  const { userOf, ...keys } = { ...options };
  if (userOf !== undefined && typeof userOf !== "function") {
    throw new TypeError(
      "railsFormat: `userOf` must be a function that returns the user of a session's data.",
    );
  }
  const encryption = new RailsEncryption(keys);
  const limits: RubyLimits = { ...defaultLimits, maxBytes: encryption.maxBytes };
  // Rails wrote these sessions too: a value it leaves empty means anonymous.
  const orNobody = (data: Readonly<Record<string, unknown>>): unknown => {
    const user: unknown = userOf?.(data);
    return user === "" ? undefined : user;
  };
  const userOfData = (data: Readonly<Record<string, unknown>>): string | undefined => userIn(orNobody, data);

  // The loaded bytes are needed again at commit. By then the application may have changed the values, so only the raw
  // bytes and the user are used.
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
    // Rails messages are base64.
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
      // Another encoding of the same session is not a change, and is kept.
      return sameBytes(bytes, unchangedSession(before.session, limits) ?? EMPTY) ? loaded : bytes;
    },
    decode: (plaintext) => takeApart(plaintext).content,
    same(a, b) {
      if (Object.is(a, b)) return true;
      try {
        return sameRuby(a, b, limits);
      } catch (error) {
        // Errors of values that cannot be stored are reported by the save: a merge after a confirmed write must not
        // fail.
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

/** Decodes the flash as it was loaded. */
function flashIn(before: Loaded | null, limits: RubyLimits): Record<string, unknown> {
  const entry = before?.session.entries.get(FLASH_KEY);
  if (entry === undefined) return {};
  const flash = decodeRuby(Buffer.concat([SIGNATURE, entry.raw]), { ...limits, maxBytes: Infinity });
  return Object.fromEntries(flashesOf({ flash }));
}

/** The flash when the two views of the content last agreed. */
const agreed = new WeakMap<object, Uint8Array>();

/**
 * Rails stores the flash in `data`; `session.flash` and `session.takeFlash` use the content's own flash. The one that
 * changed since they last agreed overwrites the other.
 */
function agreeOnFlash(
  { flash, data }: Content,
  before: Readonly<Record<string, unknown>>,
  limits: RubyLimits,
): void {
  // Only compared here. The limits, including maxBytes, apply when the whole session is encoded.
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
 * Rails finds the user only in the data: a login that is not there would not exist at the next request.
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
    "In Rails mode, the session's data must contain the user, because Rails looks for it there. After session.login(user), set what your Rails application sets (session.data.user_id = …), and pass railsFormat a `userOf` that reads it.",
  );
}
