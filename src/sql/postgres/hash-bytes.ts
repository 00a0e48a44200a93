/**
 * The hash by which PostgreSQL and Citus place a row by its `bytea` key: Bob Jenkins' lookup3 as PostgreSQL has it
 * (src/common/hashfn.c), on little-endian machines. 32-bit integers are kept signed; `| 0` and `>>> 0` convert.
 */

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

/** The internal state after all bytes. */
function state(key: Uint8Array, seed: readonly [high: number, low: number] | null): [b: number, c: number] {
  let a = (0x9e3779b9 + key.length + 3_923_095) | 0;
  let b = a;
  let c = a;
  const mix = (): void => {
    a = (a - c) ^ rotate(c, 4);
    c = (c + b) | 0;
    b = (b - a) ^ rotate(a, 6);
    a = (a + c) | 0;
    c = (c - b) ^ rotate(b, 8);
    b = (b + a) | 0;
    a = (a - c) ^ rotate(c, 16);
    c = (c + b) | 0;
    b = (b - a) ^ rotate(a, 19);
    a = (a + c) | 0;
    c = (c - b) ^ rotate(b, 4);
    b = (b + a) | 0;
  };
  if (seed !== null) {
    a = (a + seed[0]) | 0;
    b = (b + seed[1]) | 0;
    mix();
  }
  const word = (at: number): number =>
    (key[at] ?? 0) | ((key[at + 1] ?? 0) << 8) | ((key[at + 2] ?? 0) << 16) | ((key[at + 3] ?? 0) << 24);
  let at = 0;
  for (; key.length - at >= 12; at += 12) {
    a = (a + word(at)) | 0;
    b = (b + word(at + 4)) | 0;
    c = (c + word(at + 8)) | 0;
    mix();
  }
  a = (a + word(at)) | 0;
  b = (b + word(at + 4)) | 0;
  // The lowest byte of the last word is reserved for the length, which was added at the beginning.
  c = (c + (word(at + 8) << 8)) | 0;
  c = (c ^ b) - rotate(b, 14);
  a = (a ^ c) - rotate(c, 11);
  b = (b ^ a) - rotate(a, 25);
  c = (c ^ b) - rotate(b, 16);
  a = (a ^ c) - rotate(c, 4);
  b = (b ^ a) - rotate(a, 14);
  c = (c ^ b) - rotate(b, 24);
  return [b | 0, c | 0];
}

/** `hashbytea(key)`: what Citus compares with the ranges of its shards. */
export function hashBytes(key: Uint8Array): number {
  return state(key, null)[1];
}

/** HASH_PARTITION_SEED of PostgreSQL. */
const SEED = [0x7a5b2236, 0x7996dcfd | 0] as const;

/** The remainder of the partition of a table with `modulus` partitions by hash of this key. */
export function partitionOf(key: Uint8Array, modulus: number): number {
  const [b, c] = state(key, SEED);
  const hash = (BigInt(b >>> 0) << 32n) | BigInt(c >>> 0);
  // hash_combine64 of one column, which begins with 0.
  const row = BigInt.asUintN(64, hash + 0x49a0f4dd15e5a8e3n);
  return Number(row % BigInt(modulus));
}
