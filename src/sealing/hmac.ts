import { hash } from "./hash.ts";

const BLOCK_BYTES = { sha256: 64, sha512: 128 } as const;
const DIGEST_BYTES = { sha256: 32, sha512: 64 } as const;
/** The memory of a longer message is not kept for the next. */
const KEPT_BYTES = 4_096;

/**
 * HMAC (RFC 2104) under a key that serves many messages, made of the runtime's one-shot hash: `createHmac` takes
 * three times as long, because it makes an object of OpenSSL's for every message (decisions/0013).
 *
 * Printing or serializing one shows nothing of its key (R28).
 */
export class Hmac {
  readonly #algorithm: "sha256" | "sha512";
  /** The key's inner block, then the message. Grows with the longest message, up to a bound. */
  #inner: Buffer;
  /** As much of `inner` as the last message took: most have the length of the one before. */
  #filled: Buffer;
  /** The key's outer block, then the inner digest. */
  readonly #outer: Buffer;
  readonly #digest: Buffer;

  /** @param key at most one block of the hash: 64 bytes for SHA-256, 128 for SHA-512 */
  constructor(algorithm: "sha256" | "sha512", key: Uint8Array) {
    const block = BLOCK_BYTES[algorithm];
    if (key.length > block)
      throw new TypeError(`A key of HMAC-${algorithm} has at most ${block} bytes here.`);
    this.#algorithm = algorithm;
    this.#inner = Buffer.alloc(block + 160);
    this.#outer = Buffer.alloc(block + DIGEST_BYTES[algorithm]);
    this.#digest = Buffer.alloc(DIGEST_BYTES[algorithm]);
    for (let at = 0; at < block; at++) {
      const byte = key[at] ?? 0;
      this.#inner[at] = byte ^ 0x36;
      this.#outer[at] = byte ^ 0x5c;
    }
    this.#filled = this.#inner.subarray(0, block);
  }

  /** The message's code: 32 or 64 bytes, valid until the next call, which writes over them. */
  of(message: Uint8Array): Uint8Array {
    const block = BLOCK_BYTES[this.#algorithm];
    let filled = this.#filled;
    if (filled.length !== block + message.length) filled = this.#fit(block, message.length);
    filled.set(message, block);
    // As text of a byte a character, which is handed over four times as fast as a buffer.
    this.#outer.write(hash(this.#algorithm, filled, "binary"), block, "latin1");
    this.#digest.write(hash(this.#algorithm, this.#outer, "binary"), 0, "latin1");
    return this.#digest;
  }

  #fit(block: number, length: number): Buffer {
    if (length > KEPT_BYTES) return Buffer.concat([this.#inner.subarray(0, block)], block + length);
    if (this.#inner.length < block + length) {
      const larger = Buffer.alloc(block + 2 * length);
      larger.set(this.#inner.subarray(0, block));
      this.#inner = larger;
    }
    return (this.#filled = this.#inner.subarray(0, block + length));
  }
}
