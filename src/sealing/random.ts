import { randomFillSync } from "node:crypto";

const POOL_BYTES = 8192;

/**
 * Random bytes from `node:crypto`, buffered 8 KiB at a time, so that drawing 32 bytes costs a copy instead of a system call.
 *
 * Bytes are copied out and wiped from the pool, so no two callers can receive the same bytes.
 */
export class RandomPool {
  readonly #refill: (pool: Uint8Array) => void;
  readonly #pool = Buffer.alloc(POOL_BYTES);
  #used = POOL_BYTES;

  /** @param refill fills the whole array. Default `crypto.randomFillSync` */
  constructor(refill: (pool: Uint8Array) => void = randomFillSync) {
    this.#refill = refill;
  }

  /** Writes `length` (at most 8,192) random bytes into `target` at `offset`. */
  write(target: Uint8Array, offset: number, length: number): void {
    const start = this.#take(length);
    target.set(this.#pool.subarray(start, start + length), offset);
    this.#pool.fill(0, start, start + length);
  }

  /** A new array of `length` (at most 8,192) random bytes. */
  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.write(bytes, 0, length);
    return bytes;
  }

  /** A row version: a random 53-bit integer. */
  version(): number {
    const start = this.#take(8);
    const version = (this.#pool.readUInt32BE(start) >>> 11) * 2 ** 32 + this.#pool.readUInt32BE(start + 4);
    this.#pool.fill(0, start, start + 8);
    return version;
  }

  #take(length: number): number {
    if (length > POOL_BYTES) throw new RangeError(`At most ${POOL_BYTES} random bytes can be drawn at once.`);
    if (this.#used + length > POOL_BYTES) {
      this.#refill(this.#pool);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += length;
    return start;
  }
}

const pool = new RandomPool();

/** Writes `length` (at most 8,192) random bytes into `target` at `offset`. */
export function fillRandom(target: Uint8Array, offset: number, length: number): void {
  pool.write(target, offset, length);
}

/** A new array of `length` (at most 8,192) random bytes. */
export function randomBytes(length: number): Uint8Array {
  return pool.bytes(length);
}

/** A row version: a random integer from 0 to 2^53 - 1, so that no two writes of a row share one. */
export function randomVersion(): number {
  return pool.version();
}
