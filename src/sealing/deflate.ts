import { deflateRawSync, inflateRawSync } from "node:zlib";

/** Raw deflate, level 1; null when that does not make it smaller. */
export function deflate(plaintext: Uint8Array): Uint8Array | null {
  const deflated = deflateRawSync(plaintext, { level: 1 });
  return deflated.length < plaintext.length ? deflated : null;
}

/** Inflates to at most `maxBytes`. @throws {Error} when the bytes are no raw deflate, or come to more (R30) */
export function inflate(deflated: Uint8Array, maxBytes: number): Uint8Array {
  return inflateRawSync(deflated, { maxOutputLength: maxBytes });
}
