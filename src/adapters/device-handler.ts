/** As much of a request of `node:http` as is used. */
interface ReceivedRequest {
  readonly method?: string | undefined;
  readonly headers: { "content-type"?: string | undefined; readonly [name: string]: unknown };
}

/**
 * Wraps the request handler of a build of SvelteKit or Astro, for a server with the option `deviceBinding`:
 * `createServer(withDeviceBinding(handler))`. Browsers send their proofs without `Origin` and without `Content-Type`. The
 * framework takes such a request for a form of another site and answers 403 before its hooks and middleware run. The wrapper
 * gives these requests a `Content-Type`, so that they reach the endpoint. A page of another site cannot send their headers:
 * one is reserved for browsers, the other takes a CORS preflight.
 */
export function withDeviceBinding<Request extends ReceivedRequest, Rest extends unknown[], Result>(
  handler: (request: Request, ...rest: Rest) => Result,
): (request: Request, ...rest: Rest) => Result {
  return (request, ...rest) => {
    const { method, headers } = request;
    const isOfDevice = "sec-secure-session-id" in headers || "secure-session-response" in headers;
    if (method === "POST" && isOfDevice) headers["content-type"] ??= "application/octet-stream";
    return handler(request, ...rest);
  };
}
