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
/** What a message adds to its ciphertext, envelope and all, is a few hundred bytes. */
const MESSAGE_OVERHEAD = 4096;
/** deflate's worst case: five bytes for every 16 KiB block, and its own header and checksum. */
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
  /** An object of the key: with it a cipher is made in half the time, and no bytes of it lie on the heap. */
  readonly secret: KeyObject;
  /** What `store_key_references` stores: 4 hex characters. */
  readonly reference: string;
}

interface Scheme {
  readonly keys: readonly DerivedKey[];
  readonly newest: DerivedKey;
  readonly envelope: boolean;
}

/** Randomness of one sealing, given only to reproduce a known message. */
export interface SealRandomness {
  readonly iv: Uint8Array;
  readonly dataKey?: Uint8Array;
  readonly dataKeyIv?: Uint8Array;
}

/**
 * Active Record encryption with the MessagePack message serializer: the bytes of the gem's `data` column.
 *
 * Keys are derived once, when this is made (about 12 ms each). What the format lacks cannot be added here: a row is
 * bound neither to its id nor to its times, and without key references a key is found by trial.
 */
export class RailsEncryption {
  /** Largest plaintext that opens, in bytes. */
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

  /** The `data` of a plaintext, under the newest key of the present scheme. */
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
   * The plaintext of a row's `data`.
   * @throws {RefusedError} "decode" no message, "length" a part of the wrong size, "suite" an unknown encoding,
   * "key" a key reference that names none of the keys, "mode" with an envelope where the schemes say without or
   * the other way round, "tag" no key opens it or it was changed, "inflate" bad or too large compressed data
   */
  open(data: Uint8Array): Uint8Array {
    let message: Message;
    try {
      message = readMessage(decodeRuby(data, this.#messageLimits));
    } catch (error) {
      if (!(error instanceof RefusedError) || error instanceof BrokenMessage) throw error;
      if (!this.#supportUnencryptedData) throw error;
      // The limits of a message are narrower than a session's: what passed them may be either.
      if (!isShapedAsMessage(decodeRuby(data, this.#sessionLimits))) return data;
      throw new BrokenMessage("decode", "The row is shaped as an encrypted message, but is none.");
    }
    let refusal: RefusedError | undefined;
    for (const scheme of this.#schemes) {
      const opened = openUnder(scheme, message);
      if (!(opened instanceof RefusedError)) return this.#inflate(message, opened);
      refusal ??= opened;
    }
    throw refusal ?? new RefusedError("key", "The row is under no key.");
  }

  /** Whether a row is under the newest key of the present scheme, so that it need not be sealed again. */
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
      const sentence = `The session does not inflate, or to more than ${this.maxBytes} bytes (maxBytes).`;
      throw new RefusedError("inflate", sentence, { cause });
    }
  }
}

/** The output's buffer for about so many bytes: zlib's own is 16 KiB, which costs more than the work. */
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

/** The plaintext, still deflated, or why this scheme does not open the message. */
function openUnder(scheme: Scheme, message: Message): Uint8Array | RefusedError {
  if (scheme.envelope !== (message.dataKey !== null)) {
    const [is, expected] = scheme.envelope ? ["without", "with"] : ["with", "without"];
    return new RefusedError("mode", `The row is ${is} an envelope key; the configuration says ${expected}.`);
  }
  const { reference } = message;
  const keys = reference === null ? scheme.keys : scheme.keys.filter((key) => key.reference === reference);
  if (keys.length === 0)
    return new RefusedError("key", "The row's key reference names none of the primary keys.");
  for (const { secret } of keys) {
    const key = message.dataKey === null ? secret : decrypt(message.dataKey, secret);
    if (key === null || (key instanceof Uint8Array && key.length !== KEY_BYTES)) continue;
    const plaintext = decrypt(message, key);
    if (plaintext !== null) return plaintext;
  }
  return new RefusedError("tag", "None of the keys opens the row: it was changed, or is under another key.");
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
