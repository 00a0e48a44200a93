/** V8 copies slices up to this length. A longer slice would keep its whole source string alive. */
export const longestName = 12;

/**
 * Cache of recently read short keys, indexed by a hash of their bytes. Sessions use the same few keys repeatedly, and V8
 * looks up an internalized string faster than a new, equal one.
 */
const names: string[] = Array.from({ length: 1024 }, () => "");

/** The ASCII text in the bytes from `start` to `end`, if it was {@link keepName kept}. There is at least one byte. */
export function keptName(bytes: Uint8Array, start: number, end: number): string | undefined {
  const name = names[slotOf(bytes, start, end)]!;
  if (name.length !== end - start) return undefined;
  for (let at = start; at < end; at++) {
    if (name.charCodeAt(at - start) !== bytes[at]) return undefined;
  }
  return name;
}

/** @param name the ASCII text in these bytes, at most {@link longestName} of them */
export function keepName(name: string, bytes: Uint8Array, start: number, end: number): void {
  names[slotOf(bytes, start, end)] = name;
}

/** Fibonacci hash of the length and of the first, middle and last byte. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const middle = bytes[(start + end) >>> 1]!;
  const mixed = (bytes[start]! << 24) ^ (middle << 16) ^ (bytes[end - 1]! << 8) ^ (end - start);
  return Math.imul(mixed, 0x9e3779b1) >>> 22;
}
