import type { EarlierHeaders } from "./earlier-headers.ts";
import { forbidStoring, writeSessionHeaders, type SessionEffect } from "../headers.ts";
import { NodeHeaders } from "./node-headers.ts";
import { statusOf, type GuardedResponse } from "./response-calls.ts";

/**
 * A response whose handler's output was dropped because its session could not be saved. It keeps only the headers that
 * were set before the session was attached; the error handler answers.
 */
export class FailedResponse {
  readonly #response: GuardedResponse;
  readonly #effects: readonly SessionEffect[];
  readonly #earlier: EarlierHeaders;
  /** The default until the error handler sets a status: a dropped response is never a success. */
  readonly #status: number;
  #keepsHeaders = false;
  /** Whether the error handler is answering: it is running, or has set a header or piped a stream. */
  answering: "no" | "running" | "yes";

  constructor(
    response: GuardedResponse,
    earlier: EarlierHeaders,
    failure: { error: unknown; effects: readonly SessionEffect[]; answering: "running" | "yes" },
  ) {
    this.#response = response;
    this.#earlier = earlier;
    this.#effects = failure.effects;
    this.#status = statusOf(failure.error);
    this.answering = failure.answering;
    earlier.restore();
    this.writeHeaders();
    response.statusCode = this.#status;
    // the handler's own message, for its own status; HTTP/2 has none, and warns if it is read
    if (response.stream === undefined && response.statusMessage) response.statusMessage = "";
  }

  /**
   * Writes the headers of the error response: immediately, for the error handler to see, and again when its response
   * starts. The handler's caching headers applied to another response (R12).
   */
  writeHeaders(): void {
    if (this.#keepsHeaders) this.#earlier.keep();
    const target = new NodeHeaders(this.#response);
    for (const effect of this.#effects) writeSessionHeaders(target, effect);
    forbidStoring(target);
  }

  /** From here on the framework, not the application, removes headers. */
  keepHeaders(): void {
    this.#keepsHeaders = true;
  }

  /**
   * A body without any header set: the dropped response is still being written, while the error handler waits for
   * something.
   */
  get isStale(): boolean {
    return this.answering === "no" && this.#response.statusCode === this.#status;
  }
}
