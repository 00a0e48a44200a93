/** Loaded with the first large session, because loading it takes milliseconds of a process that starts. */
const zlib = (): typeof import("node:zlib") => process.getBuiltinModule("node:zlib");

/** Raw deflate, level 1. Null if the result is not smaller. */
export function deflate(plaintext: Uint8Array): Uint8Array | null {
  const deflated = zlib().deflateRawSync(plaintext, { level: 1 });
  return deflated.length < plaintext.length ? deflated : null;
}

/** Inflates to at most `maxBytes`. @throws {Error} invalid deflate data, or output larger than `maxBytes` (R30) */
export function inflate(deflated: Uint8Array, maxBytes: number): Uint8Array {
  return zlib().inflateRawSync(deflated, { maxOutputLength: maxBytes });
}
