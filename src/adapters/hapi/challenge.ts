import type { Request, ResponseObject, ResponseToolkit } from "@hapi/hapi";
import type { Challenge, CheckedRequest } from "../fresh.ts";

export function hapiRequest({ method, path, url, headers, info }: Request): CheckedRequest {
  return {
    method: method.toUpperCase(),
    url: path + url.search,
    header: (name) => (name === "host" ? info.host : (headers[name] as string | undefined)),
  };
}

export function sendHapi(h: ResponseToolkit, { status, headers, body }: Challenge): ResponseObject {
  const response = h.response(body ?? "").code(status);
  for (const [name, value] of Object.entries(headers)) response.header(name, value);
  return response.takeover();
}
