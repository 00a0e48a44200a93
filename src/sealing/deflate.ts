import { deflateRawSync, inflateRawSync } from "node:zlib";

/** Raw deflate, level 1. Null if the result is not smaller. */
export function deflate(plaintext: Uint8Array): Uint8Array | null {
  const deflated = deflateRawSync(plaintext, { level: 1 });
  return deflated.length < plaintext.length ? deflated : null;
}

/** Inflates to at most `maxBytes`. @throws {Error} invalid deflate data, or output larger than `maxBytes` (R30) */
export function inflate(deflated: Uint8Array, maxBytes: number): Uint8Array {
  return inflateRawSync(deflated, { maxOutputLength: maxBytes });
}
