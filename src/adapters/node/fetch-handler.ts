import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** A request of node:http or node:http2, perhaps after middleware that parsed its body. */
export type NodeRequest = IncomingMessage & {
  /** The whole path, where a framework has cut off the part that the mount stands for. */
  readonly originalUrl?: string;
  readonly body?: unknown;
};

/** What may stand in a URL as its host. Anything else, such as a slash, would move the path. */
const HOST = /^[\w.:[\]-]+$/;

/**
 * The path and query of a request as a URL under a host of no meaning, without touching the body. Null if the path is not
 * one, such as `*`, or is not in normal form, such as `/a/../b`: a guard in front that looks at the path as it was sent
 * would see another one than whoever reads the URL.
 */
export function sentPathOf(request: NodeRequest): URL | null {
  const target = targetOf(request);
  const url = URL.parse(`http://localhost${target}`);
  return url?.pathname === target.split("?", 1)[0] ? url : null;
}

function targetOf({ originalUrl, url }: NodeRequest): string {
  return originalUrl ?? url ?? "/";
}

/** @throws {TypeError} the client sent no valid host or path */
function urlOf(request: NodeRequest): URL {
  const scheme = "encrypted" in request.socket ? "https" : "http";
  const host = request.headers.host ?? String(request.headers[":authority"] ?? "localhost");
  if (!HOST.test(host) || sentPathOf(request) === null)
    throw new TypeError("This is not a valid host or path.");
  // Not `new URL(path, base)`: a path that begins with two slashes would name another host.
  return new URL(`${scheme}://${host}${targetOf(request)}`);
}

/**
 * The same request in the form of fetch. From here on, its body is read by nobody else. A form that middleware has read already is written out again. Its signal aborts when
 * the client leaves.
 * @throws {TypeError} the client sent no valid host or path
 */
export function fetchRequestOf(request: NodeRequest, response: ServerResponse): Request {
  const { method = "GET" } = request;
  const left = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) left.abort();
  });
  const url = urlOf(request);
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name.startsWith(":")) continue;
    for (const one of [value].flat()) headers.append(name, one);
  }
  const hasBody = method !== "GET" && method !== "HEAD";
  return new Request(url, {
    method,
    headers,
    signal: left.signal,
    ...(hasBody && { body: bodyOf(request), duplex: "half" }),
  } as RequestInit);
}

function bodyOf(request: NodeRequest): NonNullable<RequestInit["body"]> {
  const { body } = request;
  if (typeof body === "string" || body instanceof Uint8Array) return body as NonNullable<RequestInit["body"]>;
  if (typeof body !== "object" || body === null || !request.readableEnded) {
    return Readable.toWeb(request) as unknown as NonNullable<RequestInit["body"]>;
  }
  return new URLSearchParams(
    Object.entries(body).flatMap(([name, value]) =>
      [value].flat().flatMap((one): [string, string][] => (typeof one === "string" ? [[name, one]] : [])),
    ),
  ).toString();
}

/** Sends a fetch response. Resolves when it was sent, or the client has left. */
export async function sendFetchResponse(answer: Response, response: ServerResponse): Promise<void> {
  response.statusCode = answer.status;
  for (const [name, value] of answer.headers) if (name !== "set-cookie") response.setHeader(name, value);
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) {
    // Cookies that the application has set already stay.
    const set = response.getHeader("set-cookie");
    response.setHeader("set-cookie", [...(set === undefined ? [] : [set].flat().map(String)), ...cookies]);
  }
  if (answer.body === null) return void response.end();
  await pipeline(Readable.fromWeb(answer.body as never), response).catch((error: unknown) => {
    if (!response.destroyed) throw error;
  });
}
