/**
 * What an error says, in one line of text. Not every driver rejects with an Error: a WebSocket's failure arrives as an
 * `ErrorEvent`, and some reject with a text or a plain object.
 */
export function reasonOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return String(error);
  const { message, error: within, type, code } = error as Record<string, unknown>;
  if (typeof message === "string" && message !== "") return message;
  if (within !== undefined && within !== null && within !== error) return reasonOf(within);
  if (typeof code === "string") return code;
  if (typeof type === "string") return `an event of the type "${type}", without a message`;
  return error instanceof Error ? "" : "an object without a message";
}
