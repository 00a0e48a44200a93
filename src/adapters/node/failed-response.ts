import type { EarlierHeaders } from "./earlier-headers.ts";
import { forbidStoring, writeSessionHeaders, type SessionEffect } from "../headers.ts";
import { NodeHeaders } from "./node-headers.ts";
import { statusOf, type GuardedResponse } from "./response-calls.ts";

/**
 * A response whose handler's answer was dropped because its session could not be saved. Of what was set on it, only
 * the headers stay that were there when the session was attached; the error handler answers.
 */
export class FailedResponse {
  readonly #response: GuardedResponse;
  readonly #effects: readonly SessionEffect[];
  readonly #earlier: EarlierHeaders;
  /** Stands until the error handler sets another: an answer that was dropped is never a success. */
  readonly #status: number;
  #keepsHeaders = false;
  /** Whether the error handler is at work: it is running, or has set a header or piped something. */
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
    // the handler's own, for its own status; HTTP/2 has none, and warns whoever looks for one
    if (response.stream === undefined && response.statusMessage) response.statusMessage = "";
  }

  /**
   * Headers of the error's answer: at once, for the error handler to see, and again when its answer begins. What the
   * handler said about caching was said about another answer (R12).
   */
  writeHeaders(): void {
    if (this.#keepsHeaders) this.#earlier.keep();
    const target = new NodeHeaders(this.#response);
    for (const effect of this.#effects) writeSessionHeaders(target, effect);
    forbidStoring(target);
  }

  /** From here on a framework, and not the application, removes headers. */
  keepHeaders(): void {
    this.#keepsHeaders = true;
  }

  /** A body that nothing was set for: the dropped answer is still being written, the error handler waits for something. */
  get isStale(): boolean {
    return this.answering === "no" && this.#response.statusCode === this.#status;
  }
}
