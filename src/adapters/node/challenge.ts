import type { Challenge, CheckedRequest } from "../fresh.ts";
import type { NodeRequest, NodeResponse } from "./request-types.ts";

/** @param url default: the URL before a framework cut a prefix off */
export function nodeRequest(request: NodeRequest): CheckedRequest {
  const { headers, method = "GET" } = request;
  const { originalUrl } = request as { originalUrl?: string };
  return {
    method,
    url: originalUrl ?? request.url ?? "/",
    header(name) {
      const value = name === "host" ? (headers.host ?? headers[":authority"]) : headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
  };
}

export function sendChallenge(response: NodeResponse, { status, headers, body }: Challenge): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(body ?? "");
}
