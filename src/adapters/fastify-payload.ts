import type { FastifyReply } from "fastify";
import { checkHead } from "./node/deliverable.ts";
import type { HeaderFields } from "./node/earlier-headers.ts";
import type { GuardedResponse } from "./node/response-calls.ts";

interface Body {
  readonly pipe?: unknown;
  readonly getReader?: unknown;
  readonly locked?: boolean;
}

/**
 * Throws if Fastify or Node would refuse to send this payload, so that no session is saved for a response that cannot
 * be sent.
 */
export function checkPayload(reply: FastifyReply, payload: unknown): void {
  const response = isResponse(payload) ? payload : null;
  const raw = reply.raw as unknown as GuardedResponse;
  checkHead(raw, {
    status: response?.status ?? reply.statusCode,
    message: raw.stream === undefined ? raw.statusMessage : undefined,
    headers: reply.getHeaders() as HeaderFields,
    sized:
      payload === undefined || payload === null || typeof payload === "string" || Buffer.isBuffer(payload),
  });
  const body = (response === null ? payload : response.body) as Body | null;
  if (response?.bodyUsed === true || (typeof body === "object" && body?.locked === true))
    throw new TypeError("This reply cannot be sent: the body of its payload was already read.");
  const sendable =
    body === undefined ||
    body === null ||
    typeof body === "string" ||
    Buffer.isBuffer(body) ||
    typeof body.pipe === "function" ||
    typeof body.getReader === "function";
  if (sendable) return;
  throw new TypeError(
    `This reply cannot be sent: its payload is of type ${typeof body}, but Fastify sends only text, bytes and streams. Set a JSON content type, or serialize it.`,
  );
}

function isResponse(payload: unknown): payload is Response {
  return Object.prototype.toString.call(payload) === "[object Response]";
}
