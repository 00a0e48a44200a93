/** `L(name)` in docs/formats.md: domain separation between the uses of hashes and keys. */
export function label(name: string): Buffer {
  return Buffer.from(`stored-session/v1/${name}\0`);
}
