/** `L(name)` of the formats: keeps what one hash or key is for apart from every other use. */
export function label(name: string): Buffer {
  return Buffer.from(`stored-session/v1/${name}\0`);
}
