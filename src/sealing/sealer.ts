import { LimitError, type RefusalReason, RefusedError } from "../errors.ts";
import {
  COMMITMENT_BYTES,
  commitmentOf,
  decryptFrom,
  encryptInto,
  isCommitted,
  TAG_BYTES,
} from "./cipher.ts";
import { ContextWriter, isSealable, SALT_BYTES, type SealContext, SUITE } from "./context.ts";
import { deflate, inflate } from "./deflate.ts";
import { Hmac } from "./hmac.ts";
import type { Key, KeyRing } from "./keyring.ts";
import { fillRandom } from "./random.ts";

export type { SealContext } from "./context.ts";

/** The columns that the `client` envelope authenticates. It stays valid across versions and changes of user. */
export type ClientContext = Pick<SealContext, "id" | "createdAt" | "absoluteExpiresAt">;

/** Whether opening requires only the keys, or also the cookie. */
export type SealMode = "keys" | "cookie";

export interface SealerOptions {
  readonly keys: KeyRing;
  /** Authenticated with every envelope, so that rows of one application do not open in another. */
  readonly app: string;
  /** Whether opening needs the keys only, or the cookie too. */
  readonly sealTo: SealMode;
  /** Also open rows sealed this way, while `sealTo` is being changed. Default: `sealTo` only. */
  readonly alsoOpens?: SealMode | undefined;
  /**
   * Compress plaintexts larger than this many bytes, if that makes them smaller; false for never. Compression can leak
   * content through the size of the envelope to an attacker who reads the table and controls part of the content (CRIME).
   */
  readonly compressAbove: number | false;
  /** Maximum size of a plaintext in bytes, for sealing and for inflating. */
  readonly maxBytes: number;
  /** Writes the salt: `length` random bytes at `offset`. For tests only. */
  readonly random?: (target: Uint8Array, offset: number, length: number) => void;
}

const DEFLATED = 1;
const TO_COOKIE = 2;

const KEY_ID_AT = 2;
const SALT_AT = 6;
const COMMITMENT_AT = SALT_AT + SALT_BYTES;
const CIPHERTEXT_AT = COMMITMENT_AT + COMMITMENT_BYTES;
/** Bytes that an envelope adds to its plaintext; also the minimum length of an envelope. */
const OVERHEAD = CIPHERTEXT_AT + TAG_BYTES;

const KEYS_ALONE: ReadonlySet<SealMode> = new Set(["keys"]);

/**
 * Encrypts plaintexts into envelopes that open only in the row they were sealed for, and decrypts them.
 *
 * Each envelope has its own message key and key commitment, derived (HKDF-SHA-512, RFC 5869) from the key, the row's
 * columns and a random salt. The cipher is AES-256-GCM (SP 800-38D). The format is specified in docs/formats.md.
 */
export class Sealer {
  readonly #keys: KeyRing;
  readonly #toCookie: boolean;
  /** The seal modes that may be opened. The configuration decides, never the envelope alone. */
  readonly #opens: ReadonlySet<SealMode>;
  readonly #compressAbove: number;
  readonly #maxBytes: number;
  readonly #random: (target: Uint8Array, offset: number, length: number) => void;
  readonly #row: ContextWriter;
  readonly #client: ContextWriter;

  constructor(options: SealerOptions) {
    this.#keys = options.keys;
    this.#toCookie = options.sealTo === "cookie";
    this.#opens = new Set([options.sealTo, options.alsoOpens ?? options.sealTo]);
    this.#compressAbove = options.compressAbove === false ? Infinity : options.compressAbove;
    this.#maxBytes = options.maxBytes;
    this.#random = options.random ?? fillRandom;
    this.#row = new ContextWriter("row", options.app);
    this.#client = new ContextWriter("client", options.app);
  }

  /**
   * Seals the `data` column under the newest key. `sid` is used when sealing to the cookie. `compress` overrides
   * `compressAbove`.
   *
   * @throws {LimitError} `plaintext` is larger than `maxBytes`
   * @throws {TypeError} `context` or `sid` is invalid
   */
  seal(plaintext: Uint8Array, context: SealContext, sid: Uint8Array, compress?: boolean): Uint8Array {
    if (!this.#toCookie) return this.#seal(this.#row, plaintext, context, null, compress);
    if (sid.length === 0) throw new TypeError("Sealing to the cookie requires a sid, but it is empty.");
    return this.#seal(this.#row, plaintext, context, sid, compress);
  }

  /** Seals the `data` column under the key ring, regardless of `sealTo`. @throws like `seal` */
  sealToKeys(plaintext: Uint8Array, context: SealContext, compress?: boolean): Uint8Array {
    return this.#seal(this.#row, plaintext, context, null, compress);
  }

  /**
   * Opens the `data` column. Rows sealed to a cookie require `sid`.
   *
   * @throws {RefusedError} with the reason, unless the envelope is exactly the one sealed for this row
   */
  open(envelope: Uint8Array, context: SealContext, sid: Uint8Array | null): Uint8Array {
    return this.#open(this.#row, envelope, context, this.#opens, sid);
  }

  /** Seals the `client` column, always under the key ring, so that a user's sessions can be listed. */
  sealClient(plaintext: Uint8Array, context: ClientContext): Uint8Array {
    return this.#seal(this.#client, plaintext, whole(context), null);
  }

  /** Opens the `client` column. @throws {RefusedError} like `open` */
  openClient(envelope: Uint8Array, context: ClientContext): Uint8Array {
    return this.#open(this.#client, envelope, whole(context), KEYS_ALONE, null);
  }

  /** The key id in an envelope, whether or not the key is known. Null if the bytes are not an envelope. */
  static keyId(envelope: Uint8Array): number | null {
    return envelope.length < OVERHEAD || envelope[0] !== SUITE ? null : keyIdOf(envelope);
  }

  /** Whether an envelope is marked as sealed to the cookie. Not authenticated. */
  static isToCookie(envelope: Uint8Array): boolean {
    return envelope.length >= OVERHEAD && (envelope[1]! & TO_COOKIE) !== 0;
  }

  /** Whether an envelope is marked as compressed. Not authenticated. */
  static isDeflated(envelope: Uint8Array): boolean {
    return (envelope[1]! & DEFLATED) !== 0;
  }

  #seal(
    writer: ContextWriter,
    plaintext: Uint8Array,
    context: SealContext,
    sid: Uint8Array | null,
    compress = plaintext.length > this.#compressAbove,
  ): Uint8Array {
    if (plaintext.length > this.#maxBytes) {
      throw new LimitError(
        "bytes",
        `The session is ${plaintext.length} bytes, over the limit of ${this.#maxBytes} (\`maxBytes\`). Store less in it, or raise \`maxBytes\`.`,
      );
    }
    if (!isSealable(context)) {
      throw new TypeError(
        "A row requires a 32-byte id, an integer version, integer times, and a user reference that is 32 bytes or null.",
      );
    }
    const deflated = compress ? deflate(plaintext) : null;
    const content = deflated ?? plaintext;
    const flags = (deflated === null ? 0 : DEFLATED) | (sid === null ? 0 : TO_COOKIE);
    const key = this.#keys.newest;

    const envelope = Buffer.allocUnsafe(OVERHEAD + content.length);
    envelope[0] = SUITE;
    envelope[1] = flags;
    envelope.writeUInt32BE(key.id, KEY_ID_AT);
    this.#random(envelope, SALT_AT, SALT_BYTES);
    writer.write(flags, key.id, context, envelope, SALT_AT);
    const derived = derive(key, sid, writer.block);
    envelope.set(commitmentOf(derived), COMMITMENT_AT);
    encryptInto(envelope, CIPHERTEXT_AT, derived, writer.context, content);
    return envelope;
  }

  #open(
    writer: ContextWriter,
    envelope: Uint8Array,
    context: SealContext,
    opens: ReadonlySet<SealMode>,
    sid: Uint8Array | null,
  ): Uint8Array {
    if (envelope.length < OVERHEAD) throw refused("length");
    if (envelope[0] !== SUITE) throw refused("suite");
    const flags = envelope[1]!;
    if ((flags & ~(DEFLATED | TO_COOKIE)) !== 0) throw refused("flags");
    const key = this.#keys.find(keyIdOf(envelope));
    if (key === undefined) throw refused("key");
    const toCookie = (flags & TO_COOKIE) !== 0;
    if (!opens.has(toCookie ? "cookie" : "keys")) throw refused("mode");
    if (toCookie && sid === null) throw refused("mode");
    if (!isSealable(context)) throw refused("commitment");

    writer.write(flags, key.id, context, envelope, SALT_AT);
    const derived = derive(key, toCookie ? sid : null, writer.block);
    if (!isCommitted(derived, envelope.subarray(COMMITMENT_AT, CIPHERTEXT_AT))) throw refused("commitment");
    let content: Uint8Array;
    try {
      content = decryptFrom(envelope, CIPHERTEXT_AT, derived, writer.context);
    } catch (cause) {
      throw refused("tag", cause);
    }
    if ((flags & DEFLATED) === 0) return content;
    try {
      return inflate(content, this.#maxBytes);
    } catch (cause) {
      throw refused("inflate", cause);
    }
  }
}

/**
 * Derives the message key (32 bytes) and the commitment (16 bytes). The next call overwrites them. HKDF-Expand to at most
 * one block is a single HMAC.
 */
function derive(key: Key, sid: Uint8Array | null, block: Uint8Array): Uint8Array {
  const pseudorandom = sid === null ? key.row : new Hmac("sha512", key.seal.of(sid));
  return pseudorandom.of(block);
}

function keyIdOf(envelope: Uint8Array): number {
  return (
    ((envelope[KEY_ID_AT]! << 24) |
      (envelope[KEY_ID_AT + 1]! << 16) |
      (envelope[KEY_ID_AT + 2]! << 8) |
      envelope[KEY_ID_AT + 3]!) >>>
    0
  );
}

function whole(context: ClientContext): SealContext {
  const { id, createdAt, absoluteExpiresAt } = context;
  return { id, version: 0, createdAt, absoluteExpiresAt, userRef: null };
}

type SealRefusal = Exclude<RefusalReason, "decode" | "times" | "schema">;

const SENTENCES: Record<SealRefusal, string> = {
  length: "The stored session is too short: it was truncated, or another program wrote it.",
  suite:
    "The stored session has an unknown format: a newer version of stored-session wrote it, or it was edited.",
  flags:
    "The stored session has unknown flags: a newer version of stored-session wrote it, or it was edited.",
  key: "The stored session names a key that is not in the key ring. If that key was removed too early, add it back at the end of `keys`.",
  mode: "The stored session was not sealed as `sealTo` requires, or opening it requires its cookie. If `sealTo` was changed, set `alsoOpens` to its previous value until those sessions have ended.",
  commitment:
    "The stored session does not match its row: it was copied from another row, a column was edited, or `app` was changed.",
  tag: "The stored session's ciphertext was modified.",
  inflate:
    "The stored session cannot be decompressed within `maxBytes`. If `maxBytes` was lowered, raise it again.",
};

function refused(reason: SealRefusal, cause?: unknown): RefusedError {
  return new RefusedError(reason, SENTENCES[reason], cause === undefined ? undefined : { cause });
}
