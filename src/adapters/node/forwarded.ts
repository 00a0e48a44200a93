import type { NodeRequest } from "./request-types.ts";

/** The client's address, of a request that passed this many trusted proxies. */
export function addressOf(request: NodeRequest, hops: number): string | undefined {
  return forwarded(request.headers["x-forwarded-for"], hops) ?? request.socket.remoteAddress;
}

/** Whether the client used HTTPS. */
export function isSecure({ headers, socket }: NodeRequest, hops: number): boolean {
  return "encrypted" in socket || forwarded(headers["x-forwarded-proto"], hops)?.toLowerCase() === "https";
}

/**
 * The entry that the outermost trusted proxy wrote: each proxy appends on the right, and a client can forge everything
 * on the left.
 */
function forwarded(header: string | string[] | undefined, hops: number): string | undefined {
  if (header === undefined || hops < 1) return undefined;
  const values = String(header).split(",");
  return values[Math.max(0, values.length - hops)]!.trim() || undefined;
}
