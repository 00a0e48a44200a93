/** Returns the same bytes as a Buffer, as the drivers of servers require. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Returns the same bytes as a plain Uint8Array: `slice` of a Buffer shares memory instead of copying. */
export function asBytes(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Returns the bytes as text, one character each: a key for a Map. */
export function keyOf(bytes: Uint8Array): string {
  return asBuffer(bytes).toString("latin1");
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
