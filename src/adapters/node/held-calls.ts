import { headersSent, type GuardedResponse, type Output } from "./response-calls.ts";

export interface HeldCall {
  readonly method: Output;
  args: unknown[];
}

/** Calls on a response that wait for the commit, to be made again in order. */
export class HeldCalls {
  readonly #response: GuardedResponse;
  #calls: HeldCall[] = [];
  /** `end` is among them: the response is complete, whatever is called after it. */
  sealed = false;
  /** A `write` was told to wait for "drain". */
  writerWaits = false;

  constructor(response: GuardedResponse) {
    this.#response = response;
  }

  get first(): HeldCall | undefined {
    return this.#calls[0];
  }

  /** Holds a call, and answers what the response would. */
  add(method: Output, args: unknown[]): unknown {
    const begun = this.#calls.length > 0;
    if (method === "writeHead" && begun) throw headersSent("write");
    if (method === "_implicitHeader" && begun) return undefined;
    if (method === "end") this.sealed = true;
    if (method === "write") this.writerWaits = true;
    this.#calls.push({ method, args });
    return answerOf(this.#response, method);
  }

  /** Answers the calls, which are no longer held. */
  take(): HeldCall[] {
    const calls = this.#calls;
    this.#calls = [];
    return calls;
  }

  /** Drops the calls, and answers them. */
  drop(): HeldCall[] {
    this.sealed = false;
    this.writerWaits = false;
    return this.take();
  }
}

/** What a call answers that was not made. */
export function answerOf(response: GuardedResponse, method: Output): unknown {
  if (method === "write") return false;
  return method === "end" || method === "writeHead" ? response : undefined;
}
