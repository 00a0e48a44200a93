import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { ServerResponse } from "node:http";
import { forbidStoring, writeSessionHeaders, type SessionEffect } from "../headers.ts";
import { NodeHeaders } from "../node/node-headers.ts";

/**
 * The `node:http` response under the code that runs. Next.js gives it to nobody, and drops `Vary` and `Cache-Control` of a
 * route handler or a proxy where it has a value of its own, or next.config.js sets one.
 */
export class CurrentResponse {
  readonly #responses = new AsyncLocalStorage<ServerResponse>();

  constructor() {
    // Published before the listeners of the request run, in their own stack. Every request overwrites what it inherited.
    subscribe("http.server.request.start", (message) =>
      this.#responses.enterWith((message as { response: ServerResponse }).response),
    );
  }

  /** Undefined on platforms without `node:http`, and once the headers have left. */
  get #open(): ServerResponse | undefined {
    const response = this.#responses.getStore();
    return response?.headersSent === false ? response : undefined;
  }

  get address(): string | undefined {
    return this.#responses.getStore()?.req.socket.remoteAddress;
  }

  /** For pages and actions, which have no response of their own to write to. */
  write({ accessed, setCookie, also }: SessionEffect): void {
    const response = this.#open;
    if (response === undefined || !(accessed || setCookie !== null)) return;
    const headers = new NodeHeaders(response);
    writeSessionHeaders(headers, { accessed: true, setCookie: null, ...(also && { also }) });
    if (setCookie !== null) forbidStoring(headers);
  }

  /** For route handlers: Next.js adds to these headers those of the handler's response that are not there yet. */
  forbidStoring(): void {
    const response = this.#open;
    if (response === undefined) return;
    const isFree = !response.hasHeader("cache-control");
    forbidStoring(new NodeHeaders(response));
    if (isFree) response.removeHeader("cache-control");
  }
}
