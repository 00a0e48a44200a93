/** Up to here V8 copies a slice of a string. A longer slice would hold on to the whole text for as long as it is kept. */
export const longestName = 12;

/**
 * Short keys that were read lately, each in the slot that its bytes tell. Sessions have the same few again and again,
 * and V8 takes a string that has been a key before as a key faster than an equal one that is new.
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

/** Fibonacci hashing of what tells most keys apart. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const middle = bytes[(start + end) >>> 1]!;
  const mixed = (bytes[start]! << 24) ^ (middle << 16) ^ (bytes[end - 1]! << 8) ^ (end - start);
  return Math.imul(mixed, 0x9e3779b1) >>> 22;
}
