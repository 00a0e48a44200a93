/** A row id as text. Events, logs and device lists name sessions by it. It is not a credential. */
export function handleOf(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("base64url");
}

/** The row id of a handle; null if the text is not a handle. */
export function idOf(handle: string): Uint8Array | null {
  if (typeof handle !== "string" || handle.length < 16 || handle.length > 256) return null;
  const id = Buffer.from(handle, "base64url");
  return id.toString("base64url") === handle ? new Uint8Array(id) : null;
}
