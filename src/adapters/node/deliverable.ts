import type { HeaderFields } from "./earlier-headers.ts";
import { http } from "./http.ts";
import type { GuardedResponse } from "./response-calls.ts";

/** The status line and headers of a response that is about to start. */
export interface Head {
  readonly status: number;
  readonly message: string | undefined;
  /** Headers that override those set on the response: a `Headers`-like record, or Node's flat or nested lists. */
  readonly headers?: HeaderFields | readonly unknown[] | undefined;
  /** Whether the length of the body is known, so that it is sent with a `Content-Length`. */
  readonly sized?: boolean;
}

/**
 * Returns the head that a response is about to start with.
 * @param args the arguments of `writeHead`, if it was called
 * @param status as it was when the headers were frozen
 */
export function headOf(
  response: GuardedResponse,
  args: readonly unknown[],
  status: { readonly code: number } | null,
): Head {
  const [code, reason, headers] = args;
  const hasReason = typeof reason === "string";
  const http2 = response.stream !== undefined; // has no status message, and warns if it is read
  return {
    status: Number(code ?? status?.code ?? response.statusCode),
    message: hasReason ? reason : http2 ? undefined : response.statusMessage,
    headers: (headers ?? (hasReason ? undefined : reason)) as Head["headers"],
  };
}

/**
 * Throws what Node would throw when it sends this head, so that no session is saved for a response that cannot be sent.
 * Errors that only the body can cause (a wrong length under `strictContentLength`) still occur after the commit; the
 * cookie is then sent with the error response.
 */
export function checkHead(response: GuardedResponse, head: Head): void {
  const { status, message } = head;
  const http2 = response.stream !== undefined;
  const code = Math.trunc(Number(status));
  if (!(code >= (http2 ? 200 : 100) && code <= (http2 ? 599 : 999))) throw invalidStatus(status);
  if (message !== undefined && !http2) http().validateHeaderValue("Status message", message);
  const given = entriesOf(head.headers);
  for (const [name, value] of given) {
    if (name === "") continue;
    http().validateHeaderName(name);
    for (const one of Array.isArray(value) ? value : [value]) http().validateHeaderValue(name, one as string);
  }
  if (!http2)
    checkTrailer(response, code, head.sized === true, new Set(given.map(([name]) => name.toLowerCase())));
}

/** HTTP/1 sends trailers after chunks, and Node throws for a response without chunks. */
function checkTrailer(
  response: GuardedResponse,
  status: number,
  sized: boolean,
  given: ReadonlySet<string>,
): void {
  const has = (name: string) => given.has(name) || response.getHeader(name) !== undefined;
  if (!has("trailer")) return;
  const bodiless = status < 200 || status === 204 || status === 304 || response.req?.method === "HEAD";
  const chunks = response.useChunkedEncodingByDefault !== false && !bodiless;
  if (chunks && (has("transfer-encoding") || !(sized || has("content-length")))) return;
  throw Object.assign(
    new Error(
      "Trailers are invalid with this transfer encoding: a Trailer header requires chunked encoding.",
    ),
    { code: "ERR_HTTP_TRAILER_INVALID" },
  );
}

function entriesOf(headers: Head["headers"]): (readonly [string, unknown])[] {
  if (headers === undefined) return [];
  if (!Array.isArray(headers)) return Object.entries(headers);
  const flat = Array.isArray(headers[0]) ? headers.flat() : headers;
  if (flat.length % 2 !== 0) {
    throw Object.assign(new TypeError("The headers passed to writeHead are not pairs of names and values."), {
      code: "ERR_INVALID_ARG_VALUE",
    });
  }
  return flat.flatMap((name, n) => (n % 2 === 0 ? [[String(name), flat[n + 1]] as const] : []));
}

function invalidStatus(status: unknown): RangeError {
  return Object.assign(new RangeError(`Invalid status code: ${String(status)}`), {
    code: "ERR_HTTP_INVALID_STATUS_CODE",
  });
}
