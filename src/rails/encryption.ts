import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  pbkdf2Sync,
  type KeyObject,
} from "node:crypto";
import { deflateSync, inflateSync } from "node:zlib";
import { RefusedError } from "../errors.ts";
import { randomBytes } from "../sealing/random.ts";
import {
  BrokenMessage,
  IV_BYTES,
  isShapedAsMessage,
  readMessage,
  TAG_BYTES,
  type Message,
} from "./encrypted-message.ts";
import { decodeRuby } from "./decode.ts";
import { encodeRuby } from "./encode.ts";
import { defaultLimits, type RubyLimits } from "./messagepack.ts";
import { readRailsOptions, type RailsFormatOptions, type RailsScheme } from "./options.ts";
import { RubySymbol } from "./types.ts";

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const ITERATIONS = 65_536;
const COMPRESS_ABOVE = 140;
/** Overhead of a message with an envelope: a few hundred bytes. */
const MESSAGE_OVERHEAD = 4096;
/** Overhead of deflate in the worst case: five bytes per 16 KiB block, plus header and checksum. */
const deflatedAtMost = (bytes: number): number => bytes + 5 * Math.ceil(bytes / 16_384) + 64;

const HEADER = {
  iv: RubySymbol.for("iv"),
  at: RubySymbol.for("at"),
  e: RubySymbol.for("e"),
  k: RubySymbol.for("k"),
  i: RubySymbol.for("i"),
  c: RubySymbol.for("c"),
} as const;

interface DerivedKey {
  /** A KeyObject: creating a cipher with it takes half the time, and keeps the key bytes off the heap. */
  readonly secret: KeyObject;
  /** What `store_key_references` stores: 4 hex characters. */
  readonly reference: string;
}

interface Scheme {
  readonly keys: readonly DerivedKey[];
  readonly newest: DerivedKey;
  readonly envelope: boolean;
}

/** Randomness of one encryption, passed only to reproduce a known message. */
export interface SealRandomness {
  readonly iv: Uint8Array;
  readonly dataKey?: Uint8Array;
  readonly dataKeyIv?: Uint8Array;
}

/**
 * Active Record encryption with the MessagePack message serializer: the format of the gem's `data` column.
 *
 * Keys are derived once, on construction (about 12 ms each). Limits of the format: a row is not bound to its id or its
 * times, and without key references the key is found by trial.
 */
export class RailsEncryption {
  /** Maximum size of a plaintext in bytes. */
  readonly maxBytes: number;
  readonly #storeKeyReferences: boolean;
  readonly #supportUnencryptedData: boolean;
  readonly #compress: boolean;
  readonly #schemes: readonly [Scheme, ...Scheme[]];
  readonly #messageLimits: RubyLimits;
  readonly #sessionLimits: RubyLimits;

  /** @throws {OptionsError} */
  constructor(options: RailsFormatOptions) {
    const read = readRailsOptions(options);
    const derived = new Map<string, DerivedKey>();
    const scheme = (from: RailsScheme): Scheme => readScheme(from, derived);
    this.#schemes = [scheme(read.scheme), ...read.previous.map(scheme)];
    this.#storeKeyReferences = read.storeKeyReferences;
    this.#supportUnencryptedData = read.supportUnencryptedData;
    this.#compress = read.compress;
    this.maxBytes = read.maxBytes;
    const maxBytes = deflatedAtMost(read.maxBytes) + MESSAGE_OVERHEAD;
    this.#sessionLimits = { ...defaultLimits, maxBytes };
    this.#messageLimits = { maxBytes, maxDepth: 8, maxKeys: 64 };
  }

  /** Encrypts a plaintext to `data`, under the newest key of the current scheme. */
  seal(plaintext: Uint8Array, randomness: SealRandomness = { iv: randomBytes(IV_BYTES) }): Uint8Array {
    const { newest, envelope } = this.#schemes[0];
    const deflates = this.#compress && plaintext.length > COMPRESS_ABOVE;
    const clear = deflates ? deflateSync(plaintext, { chunkSize: chunkFor(plaintext.length) }) : plaintext;
    const dataKey = envelope ? (randomness.dataKey ?? randomBytes(KEY_BYTES)) : null;

    const message = encrypt(clear, dataKey ?? newest.secret, randomness.iv);
    const headers = message["h"] as Map<RubySymbol, unknown>;
    if (dataKey !== null) {
      headers.set(HEADER.k, encrypt(dataKey, newest.secret, randomness.dataKeyIv ?? randomBytes(IV_BYTES)));
    }
    if (this.#storeKeyReferences) headers.set(HEADER.i, newest.reference);
    if (deflates) headers.set(HEADER.c, true);
    return encodeRuby(message, this.#messageLimits);
  }

  /**
   * Decrypts a row's `data`.
   * @throws {RefusedError} reason "decode": not a message; "length": a part has the wrong size; "suite": an unknown
   *   encoding; "key": the key reference matches none of the keys; "mode": an envelope where the schemes have none, or
   *   the reverse; "tag": no key decrypts it, or it was modified; "inflate": decompression failed or exceeded the limit
   */
  open(data: Uint8Array): Uint8Array {
    let message: Message;
    try {
      message = readMessage(decodeRuby(data, this.#messageLimits));
    } catch (error) {
      if (!(error instanceof RefusedError) || error instanceof BrokenMessage) throw error;
      if (!this.#supportUnencryptedData) throw error;
      // The limits of a message are stricter than those of a session: bytes that pass them can be either.
      if (!isShapedAsMessage(decodeRuby(data, this.#sessionLimits))) return data;
      throw new BrokenMessage("decode", "The row looks like an encrypted message but is not valid.");
    }
    let refusal: RefusedError | undefined;
    for (const scheme of this.#schemes) {
      const opened = openUnder(scheme, message);
      if (!(opened instanceof RefusedError)) return this.#inflate(message, opened);
      refusal ??= opened;
    }
    throw refusal ?? new RefusedError("key", "No key decrypts the row.");
  }

  /** Whether a row is under the newest key of the current scheme, so that resealing is unnecessary. */
  isCurrent(data: Uint8Array): boolean {
    try {
      const message = readMessage(decodeRuby(data, this.#messageLimits));
      const { newest, envelope } = this.#schemes[0];
      return !(openUnder({ keys: [newest], newest, envelope }, message) instanceof RefusedError);
    } catch (error) {
      if (error instanceof RefusedError) return false;
      throw error;
    }
  }

  #inflate(message: Message, clear: Uint8Array): Uint8Array {
    if (!message.compressed) {
      if (clear.length <= this.maxBytes) return clear;
      throw new RefusedError("length", `The session is more than ${this.maxBytes} bytes (maxBytes).`);
    }
    try {
      return inflateSync(clear, { maxOutputLength: this.maxBytes, chunkSize: chunkFor(4 * clear.length) });
    } catch (cause) {
      const sentence = `The session cannot be decompressed within maxBytes, ${this.maxBytes} bytes.`;
      throw new RefusedError("inflate", sentence, { cause });
    }
  }
}

/** The output buffer size for this many bytes: allocating zlib's default of 16 KiB costs more than the compression. */
function chunkFor(bytes: number): number {
  return Math.min(Math.max(bytes, 1024), 65_536);
}

/** Keys are derived once for all schemes that share them. */
function readScheme(scheme: RailsScheme, derived: Map<string, DerivedKey>): Scheme {
  const keys = scheme.primaryKeys.map((password) => {
    const parts = [scheme.hashDigestClass, scheme.keyDerivationSalt, password];
    const name = JSON.stringify(parts);
    const key = derived.get(name) ?? derive(parts[0] ?? "", parts[1] ?? "", password);
    derived.set(name, key);
    return key;
  });
  return { keys, newest: keys.at(-1) as DerivedKey, envelope: scheme.envelope };
}

function derive(digest: string, salt: string, password: string): DerivedKey {
  const secret = pbkdf2Sync(password, salt, ITERATIONS, KEY_BYTES, digest);
  return {
    secret: createSecretKey(secret),
    reference: createHash("sha1").update(secret).digest("hex").slice(0, 4),
  };
}

/** Returns the plaintext, still compressed, or why this scheme cannot decrypt the message. */
function openUnder(scheme: Scheme, message: Message): Uint8Array | RefusedError {
  if (scheme.envelope !== (message.dataKey !== null)) {
    const [is, expected] = scheme.envelope ? ["without", "with"] : ["with", "without"];
    return new RefusedError(
      "mode",
      `The row is encrypted ${is} an envelope key, but the configuration says ${expected}.`,
    );
  }
  const { reference } = message;
  const keys = reference === null ? scheme.keys : scheme.keys.filter((key) => key.reference === reference);
  if (keys.length === 0)
    return new RefusedError("key", "The row's key reference matches none of the primary keys.");
  for (const { secret } of keys) {
    const key = message.dataKey === null ? secret : decrypt(message.dataKey, secret);
    if (key === null || (key instanceof Uint8Array && key.length !== KEY_BYTES)) continue;
    const plaintext = decrypt(message, key);
    if (plaintext !== null) return plaintext;
  }
  return new RefusedError(
    "tag",
    "None of the keys decrypts the row: it was modified, or encrypted with another key.",
  );
}

function decrypt({ ciphertext, iv, tag }: Message, key: KeyObject | Uint8Array): Uint8Array | null {
  const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(tag);
  const plaintext = decipher.update(ciphertext);
  try {
    decipher.final();
    return plaintext;
  } catch {
    return null;
  }
}

function encrypt(clear: Uint8Array, key: KeyObject | Uint8Array, iv: Uint8Array): Record<string, unknown> {
  const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES });
  const ciphertext = Buffer.concat([cipher.update(clear), cipher.final()]);
  return {
    p: ciphertext,
    h: new Map<RubySymbol, unknown>([
      [HEADER.iv, iv],
      [HEADER.at, cipher.getAuthTag()],
      [HEADER.e, "ASCII-8BIT"],
    ]),
  };
}
