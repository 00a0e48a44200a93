import type { Request, ResponseObject, ResponseToolkit } from "@hapi/hapi";
import type { CheckedRequest } from "../fresh.ts";

export function hapiRequest({ method, path, url, headers, info }: Request): CheckedRequest {
  return {
    method: method.toUpperCase(),
    url: path + url.search,
    header: (name) => (name === "host" ? info.host : (headers[name] as string | undefined)),
  };
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | null | undefined;
}

/** Answers in place of a handler. */
export function sendHapi(h: ResponseToolkit, { status, headers, body }: Answer): ResponseObject {
  const response = h.response(body ?? "").code(status);
  for (const [name, value] of Object.entries(headers)) response.header(name, value);
  return response.takeover();
}
