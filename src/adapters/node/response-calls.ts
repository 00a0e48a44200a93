/** The calls on a Node response that a guard intercepts, and their rules. */
import type { NodeHeaderMethods } from "./node-headers.ts";

/** The parts of `http.ServerResponse` and `Http2ServerResponse` that the guard calls. */
export interface GuardedResponse extends NodeHeaderMethods {
  statusCode: number;
  statusMessage: string;
  readonly destroyed?: boolean;
  /** Of HTTP/2. */
  readonly stream?: { readonly destroyed?: boolean; removeAllListeners?(event: string): unknown };
  readonly req?: { readonly method?: string };
  readonly useChunkedEncodingByDefault?: boolean;
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  getHeaders(): Readonly<Record<string, number | string | string[] | undefined>>;
  removeHeader(name: string): void;
  addTrailers?(trailers: Readonly<Record<string, string>>): void;
  once(event: string, listener: (...args: never[]) => void): unknown;
  emit(event: string, ...args: unknown[]): boolean;
  listenerCount(event: string): number;
  destroy(error?: Error): unknown;
}

/** Methods that start a response. Node's own code and old middleware use `_implicitHeader`. */
export type Output = "writeHead" | "write" | "end" | "flushHeaders" | "_implicitHeader";
export type Mutator = "setHeader" | "setHeaders" | "appendHeader" | "removeHeader";
/** What `once` and `prependOnceListener` call too. */
export type Subscriber = "on" | "addListener" | "prependListener";

/**
 * Moves the headers passed to `writeHead` into the response first, as Node does if headers were set before. That makes
 * them visible, and a `Set-Cookie` among them is added to instead of lost.
 */
export function withoutHeaders(response: GuardedResponse, args: unknown[]): unknown[] {
  const [status, reason] = args;
  const hasReason = typeof reason === "string";
  const headers = hasReason ? args[2] : (args[2] ?? reason);
  if (Array.isArray(headers)) {
    const flat = (Array.isArray(headers[0]) ? headers.flat() : headers) as string[];
    if (flat.length % 2 !== 0) return args; // Node refuses it
    for (let n = 0; n < flat.length; n += 2) response.removeHeader(flat[n]!);
    for (let n = 0; n < flat.length; n += 2) response.appendHeader(flat[n]!, flat[n + 1]!);
  } else if (typeof headers === "object" && headers !== null) {
    for (const [name, value] of Object.entries(headers)) {
      if (name !== "") response.setHeader(name, value as string);
    }
  }
  return hasReason ? [status, reason] : [status];
}

/** Headers set later are too late, as without a guard. */
export function setStatus(
  response: GuardedResponse,
  status: { code: number; message: string | undefined },
): void {
  if (response.statusCode !== status.code) response.statusCode = status.code;
  if (status.message !== undefined) response.statusMessage = status.message;
}

/** Node throws at once for a chunk that is neither text nor bytes, before anything has begun. */
export function isWritable(method: Output, args: readonly unknown[]): boolean {
  if (method !== "write" && method !== "end") return true;
  const [chunk] = args;
  if (method === "end" && (!chunk || typeof chunk === "function")) return true;
  return typeof chunk === "string" || chunk instanceof Uint8Array;
}

export function callBack(args: readonly unknown[], error: unknown): void {
  const callback = args.findLast((argument) => typeof argument === "function");
  if (callback !== undefined) process.nextTick(callback as (error: unknown) => void, error);
}

export function headersSent(verb: string): Error {
  return Object.assign(new Error(`Cannot ${verb} headers after they are sent to the client`), {
    code: "ERR_HTTP_HEADERS_SENT",
  });
}

export function afterEnd(): Error {
  return Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" });
}

/** Whether the connection is closed, so that no data arrives. */
export function isGone(response: GuardedResponse): boolean {
  return response.destroyed === true || response.stream?.destroyed === true;
}

/** The HTTP status of an error. 500 if it has none. */
export function statusOf(error: unknown): number {
  const status = (error as { status?: unknown } | null)?.status;
  return typeof status === "number" && status >= 400 && status <= 599 ? status : 500;
}
