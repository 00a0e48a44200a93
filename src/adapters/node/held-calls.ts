import { headersSent, type GuardedResponse, type Output } from "./response-calls.ts";

export interface HeldCall {
  readonly method: Output;
  args: unknown[];
}

/** Queues calls on a response until the commit finishes, then replays them in order. */
export class HeldCalls {
  readonly #response: GuardedResponse;
  #calls: HeldCall[] = [];
  /** `end` was queued: the response is complete, whatever is called after it. */
  sealed = false;
  /** A `write` returned false, so its caller waits for "drain". */
  writerWaits = false;

  constructor(response: GuardedResponse) {
    this.#response = response;
  }

  get first(): HeldCall | undefined {
    return this.#calls[0];
  }

  /** Queues a call, and returns what the response would return. */
  add(method: Output, args: unknown[]): unknown {
    const begun = this.#calls.length > 0;
    if (method === "writeHead" && begun) throw headersSent("write");
    if (method === "_implicitHeader" && begun) return undefined;
    if (method === "end") this.sealed = true;
    if (method === "write") this.writerWaits = true;
    this.#calls.push({ method, args });
    return answerOf(this.#response, method);
  }

  /** Returns the calls and empties the queue. */
  take(): HeldCall[] {
    const calls = this.#calls;
    this.#calls = [];
    return calls;
  }

  /** Empties the queue and returns the dropped calls. */
  drop(): HeldCall[] {
    this.sealed = false;
    this.writerWaits = false;
    return this.take();
  }
}

/** The return value of a call that was not made. */
export function answerOf(response: GuardedResponse, method: Output): unknown {
  if (method === "write") return false;
  return method === "end" || method === "writeHead" ? response : undefined;
}
