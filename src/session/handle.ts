/** A row id as text: how events, logs and lists of devices name a session. It opens nothing. */
export function handleOf(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("base64url");
}

/** The row id of a handle; null for text that is none. */
export function idOf(handle: string): Uint8Array | null {
  if (typeof handle !== "string" || handle.length < 16 || handle.length > 256) return null;
  const id = Buffer.from(handle, "base64url");
  return id.toString("base64url") === handle ? new Uint8Array(id) : null;
}
