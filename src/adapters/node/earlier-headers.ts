import type { GuardedResponse } from "./response-calls.ts";

type HeaderValue = number | string | string[];
export type HeaderFields = Readonly<Record<string, HeaderValue | undefined>>;

/**
 * Headers that describe the body they were set for. `Trailer` announces fields after that body, and Node throws for a
 * response with a fixed length.
 */
export const ofBody: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-length",
  "content-range",
  "transfer-encoding",
  "trailer",
  "etag",
  "last-modified",
]);

/** Copies header fields by lower-case name, without those that describe a body. */
export function copyOfHeaders(fields: HeaderFields): Record<string, HeaderValue> {
  const copy = Object.create(null) as Record<string, HeaderValue>; // a header may be named "constructor"
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined || ofBody.has(name)) continue;
    copy[name] = Array.isArray(value) ? [...value] : value; // Node appends to the list itself
  }
  return copy;
}

/** The headers that a response had when its session was attached. A response that replaces the handler's keeps them. */
export class EarlierHeaders {
  readonly #response: GuardedResponse;
  readonly #fields: HeaderFields;

  constructor(response: GuardedResponse) {
    this.#response = response;
    const fields = response.getHeaders() as Record<string, HeaderValue | undefined>; // a copy, but for the lists
    for (const name in fields) {
      const value = fields[name];
      if (Array.isArray(value)) fields[name] = [...value];
    }
    this.#fields = fields;
  }

  /** Removes headers set since, trailers included, and restores those that were changed or removed. */
  restore(): void {
    const response = this.#response;
    const fields = copyOfHeaders(this.#fields);
    for (const name of response.getHeaderNames()) {
      if (!(name in fields)) response.removeHeader(name);
    }
    for (const [name, value] of Object.entries(fields)) {
      if (String(response.getHeader(name)) !== String(value)) response.setHeader(name, value!);
    }
    dropTrailers(response);
  }

  /** Restores missing headers. */
  keep(): void {
    for (const [name, value] of Object.entries(copyOfHeaders(this.#fields))) {
      if (this.#response.getHeader(name) === undefined) this.#response.setHeader(name, value!);
    }
  }
}

function dropTrailers(response: GuardedResponse): void {
  if (response.stream === undefined)
    response.addTrailers?.({}); // HTTP/1 keeps the trailers of the last call only
  else response.stream.removeAllListeners?.("wantTrailers"); // HTTP/2 keeps them all; without a listener none are sent
}
