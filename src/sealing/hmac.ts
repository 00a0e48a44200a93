import { hash } from "./hash.ts";

const BLOCK_BYTES = { sha256: 64, sha512: 128 } as const;
const DIGEST_BYTES = { sha256: 32, sha512: 64 } as const;
/** The buffer is not kept for messages longer than this. */
const KEPT_BYTES = 4_096;

/**
 * HMAC (RFC 2104) under a reused key, built on the one-shot `crypto.hash`. `createHmac` takes three times as long because it
 * allocates an OpenSSL object per message (decisions/0013).
 *
 * Printing or serializing an instance does not reveal its key (R28).
 */
export class Hmac {
  readonly #algorithm: "sha256" | "sha512";
  /** The key's inner block followed by the message. Grows with the longest message, up to a bound. */
  #inner: Buffer;
  /** The part of `inner` used by the last message; consecutive messages usually have the same length. */
  #filled: Buffer;
  /** The key's outer block followed by the inner digest. */
  readonly #outer: Buffer;
  readonly #digest: Buffer;

  /** @param key at most one block of the hash: 64 bytes for SHA-256, 128 for SHA-512 */
  constructor(algorithm: "sha256" | "sha512", key: Uint8Array) {
    const block = BLOCK_BYTES[algorithm];
    if (key.length > block)
      throw new TypeError(`An HMAC-${algorithm} key must be at most ${block} bytes long.`);
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

  /** The MAC of the message, 32 or 64 bytes. The next call overwrites it. */
  of(message: Uint8Array): Uint8Array {
    const block = BLOCK_BYTES[this.#algorithm];
    let filled = this.#filled;
    if (filled.length !== block + message.length) filled = this.#fit(block, message.length);
    filled.set(message, block);
    // A latin1 string crosses the native boundary four times as fast as a buffer.
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
