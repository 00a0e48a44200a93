/**
 * Longer than 300 lines: this is one state machine, and every method reads or changes its phase. What works without the
 * phase is in the other files of this folder.
 */
import { checkHead, headOf } from "./deliverable.ts";
import { DrainListeners } from "./drain-listeners.ts";
import { EarlierHeaders } from "./earlier-headers.ts";
import { FailedResponse } from "./failed-response.ts";
import { GuardedSessions, type Committed, type Effect, type Guarded } from "./guarded-sessions.ts";
import { writeSessionHeaders } from "../headers.ts";
import { answerOf, HeldCalls } from "./held-calls.ts";
import {
  dropSubscriberLayers,
  guardOn,
  guardWith,
  interceptAnswer,
  interceptEmit,
  interceptMutators,
  interceptOutputs,
  interceptSubscribers,
  type AnyFunction,
  type Methods,
} from "./interceptors.ts";
import { NodeHeaders } from "./node-headers.ts";
import { PipedSources } from "./piped-sources.ts";
import {
  afterEnd,
  callBack,
  headersSent,
  isGone,
  isWritable,
  setStatus,
  withoutHeaders,
  type GuardedResponse,
  type Mutator,
  type Output,
  type Subscriber,
} from "./response-calls.ts";
import { warnOfUnsentCookie } from "../state.ts";

/** Answers when a session could not be saved. */
interface Failing {
  onError(error: unknown): void;
}

/**
 * Holds back the first byte of a response until the session is committed (promise 4).
 *
 * The first call that would start the response starts the commit. That call and later ones are queued, and replayed in
 * order after the commit. Meanwhile the response behaves as it would without a guard: headers are frozen, and `write`
 * asks its caller to wait for "drain". If the commit fails, the queue is dropped, nothing has been sent, and `onError`
 * answers. Its response is sent without another commit, and caches must not store it.
 *
 * Other middleware, such as compression, may have replaced methods of the response: middleware mounted earlier is below
 * the guard, middleware mounted later is above it.
 */
export class ResponseGuard {
  readonly #response: GuardedResponse;
  /** Of several sessions, the one that was attached first. */
  readonly #first: Failing;
  readonly #sessions = new GuardedSessions();
  readonly #earlier: EarlierHeaders;
  readonly #held: HeldCalls;
  readonly #outputs: Methods<Output>;
  readonly emitter: AnyFunction;
  readonly #subscribers: Methods<Subscriber> | null;
  /** Null until the headers are frozen. */
  #mutators: Methods<Mutator> | null = null;
  /**
   * open: nothing was written. headed: `writeHead` is queued, which by itself sends no byte. committing: calls are
   * queued. begun: calls pass through. failed: the error handler answers. over: it has answered, and what the old
   * handler still writes is dropped.
   */
  #phase: "open" | "headed" | "committing" | "begun" | "failed" | "over" = "open";
  #status: { code: number; message: string | undefined } | null = null;
  readonly #drains = new DrainListeners();
  #sources: PipedSources | null = null;
  /** Do not wait longer after the client disconnects: the handler is done, or is sending a file. */
  #answered = false;
  /** What the sessions owed to the response that has begun. */
  #effects: readonly Effect[] = [];
  #closed = false;
  /** Set after a failed commit, until the error handler's response starts. */
  #failure: FailedResponse | null = null;
  /**
   * The layers above still contain the dropped response: what they write, through the first interceptors, is dropped.
   */
  #layersDropped = false;

  /** Returns the guard of a response, creating it at the first call. The first caller answers errors. */
  static on(response: object, caller: Failing): ResponseGuard {
    return (
      guardOn<ResponseGuard>(response) ??
      guardWith(response, new ResponseGuard(response as GuardedResponse, caller))
    );
  }

  private constructor(response: GuardedResponse, first: Failing) {
    this.#response = response;
    this.#first = first;
    this.#earlier = new EarlierHeaders(response);
    this.#held = new HeldCalls(response);
    this.#outputs = interceptOutputs(response);
    this.emitter = interceptEmit(response);
    this.#subscribers = interceptSubscribers(response);
  }

  /** Makes the response wait for one more session. */
  add(guarded: Guarded): void {
    this.#sessions.add(guarded);
  }

  #call(method: Output, args: unknown[]): unknown {
    return this.#outputs[method]!.apply(this.#response, args);
  }

  output(method: Output, args: unknown[]): unknown {
    switch (this.#phase) {
      case "begun":
        return this.#call(method, args);
      case "failed":
      case "over":
        return this.#layersDropped ? this.#drop(method, args) : this.answer(method, args);
      case "committing":
        return this.#enqueue(method, args);
      case "headed":
        return this.#afterHead(method, args);
      case "open":
        break;
    }
    if (!isWritable(method, args)) return this.#call(method, args); // throws before anything starts
    if (method !== "write" && method !== "end" && this.#real("headersSent")) return this.#call(method, args);
    if (method === "writeHead") {
      this.#closeHeaders();
      this.#phase = "headed";
      const answer = this.#enqueue(method, args);
      // in HTTP/2, it sends the headers
      if (this.#outputs["_implicitHeader"] === undefined) this.#begin();
      return answer;
    }
    const effects = this.#sessions.known();
    if (effects !== null) return this.#goOn(effects, method, args);
    this.#closeHeaders();
    this.#begin();
    return this.#enqueue(method, args);
  }

  /** Starts a response whose sessions need no commit. */
  #goOn(effects: readonly Effect[], method: Output, args: unknown[]): unknown {
    this.#phase = "begun";
    this.#effects = effects;
    try {
      if (effects.some(({ accessed, setCookie }) => accessed || setCookie !== null))
        this.#writeHeaders(effects);
      return this.#call(method, args);
    } catch (error) {
      // a status that Node rejects: nothing was sent, and the handler may recover
      if (!this.#real("headersSent")) this.#phase = "open";
      throw error;
    }
  }

  /** The call after `writeHead`, which sends its headers. */
  #afterHead(method: Output, args: unknown[]): unknown {
    if (method === "writeHead" || method === "_implicitHeader" || !isWritable(method, args))
      return this.#enqueue(method, args);
    const effects = this.#sessions.known();
    if (effects === null) {
      this.#begin();
      return this.#enqueue(method, args);
    }
    try {
      this.#replay(effects);
    } catch (error) {
      const answer = this.#held.add(method, args);
      this.#fail(error, effects); // a header or status that Node rejects
      return answer;
    }
    return this.#call(method, args);
  }

  /** The error handler's response, after a failed commit. */
  answer(method: Output, args: unknown[]): unknown {
    // Node's own end() and the implicit header pass through here while the response is written
    if (this.#phase === "over")
      return this.#isLate(method) ? this.#drop(method, args) : this.#call(method, args);
    if (!isWritable(method, args)) return this.#call(method, args);
    let given = args;
    const failure = this.#failure;
    if (failure !== null) {
      if (method === "write" && failure.isStale) return this.#drop(method, args);
      this.#failure = null;
      if (method === "writeHead") given = withoutHeaders(this.#response, args);
      if (!this.#real("headersSent")) failure.writeHeaders();
    }
    if (method === "end") this.#phase = "over";
    return this.#call(method, given);
  }

  /** Subscribes listeners of the response. Keeps those for "drain" that would not hear the guard's event. */
  subscribe(method: Subscriber, args: unknown[]): unknown {
    if (args[0] !== "drain" || (this.#phase !== "open" && !this.#waits))
      return this.#subscribers![method]!.apply(this.#response, args);
    return this.#drains.add(this.#response, args[1] as AnyFunction, () =>
      this.#subscribers![method]!.apply(this.#response, args),
    );
  }

  /** Intercepts an event of the response before its listeners. */
  heard(event: string, argument: unknown): void {
    switch (event) {
      case "pipe":
        (this.#sources ??= new PipedSources()).add(argument);
        if (this.#failure !== null) this.#failure.answering = "yes";
        if (isGone(this.#response)) this.#commitUnheard(); // the source may be destroyed before it writes
        break;
      case "unpipe":
        this.#sources?.delete(argument);
        break;
      case "close":
        if (this.#answered || this.#sources?.any) this.#commitUnheard();
        this.#afterwards();
    }
  }

  #isLate(method: Output): boolean {
    return (method === "write" || method === "end") && this.#real("writableEnded") === true;
  }

  /** For the handler, `setHeader` throws from here on. */
  #closeHeaders(): void {
    const response = this.#response;
    // HTTP/2 has no status message, and warns if it is read
    const message = this.#outputs["_implicitHeader"] === undefined ? undefined : response.statusMessage;
    this.#status = { code: response.statusCode, message };
    this.#mutators = interceptMutators(response);
  }

  #begin(): void {
    this.#phase = "committing";
    void this.#commit();
  }

  #enqueue(method: Output, args: unknown[]): unknown {
    if (this.#held.sealed) return this.#drop(method, args);
    if (!isWritable(method, args)) return this.#call(method, args);
    return this.#held.add(method, args);
  }

  /** Writes after the end are dropped, as without a guard. Their callbacks receive the error. */
  #drop(method: Output, args: unknown[]): unknown {
    callBack(args, afterEnd());
    return answerOf(this.#response, method);
  }

  /**
   * Commits before the response starts, for frameworks that can still answer with an error in their own way. The
   * headers follow with the first byte. After a failure, the framework's response is sent without another commit.
   * @param check throws if the response that the framework is about to send cannot be sent; then nothing is saved
   */
  async commitNow(check: () => void = () => this.#checkHead()): Promise<void> {
    if (this.#phase !== "open") return;
    const committed = await this.#sessions.commitEarly(check);
    // something may have started the response meanwhile: then the guard has committed and answered
    if (committed === null || committed.failure === null || this.#phase !== "open") return;
    const { error } = committed.failure;
    this.#phase = "failed";
    if (!this.#real("headersSent")) this.#failure = this.#failed(error, committed.effects, "yes");
    throw error;
  }

  /** The handler has finished. If the client disconnected before a response started, no call may start one. */
  async handlerDone(): Promise<void> {
    this.#answered = true;
    if (!isGone(this.#response)) return;
    if (this.#phase === "headed") this.#begin();
    else await this.commitNow();
  }

  /** The handler is answering in a way that does not reach a response whose client has disconnected. */
  answering(): void {
    this.#answered = true;
    if (isGone(this.#response)) this.#commitUnheard();
  }

  /** Commits although the client has disconnected and nothing may start the response. */
  #commitUnheard(): void {
    if (this.#phase === "headed") return this.#begin();
    if (this.#phase !== "open") return;
    this.commitNow()
      .catch((error: unknown) => this.#first.onError(error))
      .catch((failure: unknown) => this.#response.destroy(failure as Error));
  }

  /** After a failure: the framework's own error handling, not the application, removes all headers. */
  keepHeaders(): void {
    this.#failure?.keepHeaders();
  }

  /** Throws if Node would reject the head of the response. */
  #checkHead(): void {
    if (this.#real("headersSent")) return;
    const { first } = this.#held;
    checkHead(
      this.#response,
      headOf(this.#response, first?.method === "writeHead" ? first.args : [], this.#status),
    );
  }

  #refusal(): Committed | null {
    try {
      this.#checkHead();
      return null;
    } catch (error) {
      return { effects: [], failure: { error } };
    }
  }

  async #commit(): Promise<void> {
    const { effects, failure } = await (this.#refusal() ?? this.#sessions.commit());
    let drained = false;
    try {
      if (failure === null) drained = this.#replay(effects);
      else this.#fail(failure.error, effects);
    } catch (error) {
      this.#fail(error, effects); // a header or status that Node rejects
    }
    const redirected = this.#drains.take();
    if (!drained) return;
    this.#response.emit("drain");
    for (const listener of redirected) listener.call(this.#response);
  }

  /**
   * Replays the queued calls. Returns whether writers wait for a "drain" event that only the guard emits, because the
   * last write was accepted.
   */
  #replay(effects: readonly Effect[]): boolean {
    const calls = this.#held.take();
    this.#phase = "begun";
    this.#effects = effects;
    const response = this.#response;
    if (this.#status !== null) setStatus(response, this.#status);
    const [first] = calls;
    if (first?.method === "writeHead") first.args = withoutHeaders(response, first.args);
    this.#writeHeaders(effects);
    let full = false;
    for (const { method, args } of calls) {
      const answer = this.#call(method, args);
      if (method === "write") full = answer === false;
    }
    return this.#held.writerWaits && !this.#held.sealed && !full && response.destroyed !== true;
  }

  #writeHeaders(effects: readonly Effect[]): void {
    if (this.#real("headersSent")) {
      // flushed before the session was attached
      if (effects.some(({ setCookie }) => setCookie !== null)) warnOfUnsentCookie();
      return;
    }
    const target = new NodeHeaders(this.#response);
    for (const effect of effects) {
      if (effect.setCookie !== null) effect.guarded.onCookie?.(effect.setCookie);
      writeSessionHeaders(target, effect);
    }
  }

  /** Nothing was sent: the application answers in place of the handler, with the cookies of the committed sessions. */
  #fail(error: unknown, effects: readonly Effect[]): void {
    const calls = this.#held.drop();
    const response = this.#response;
    this.#phase = "failed";
    if (this.#real("headersSent")) {
      response.destroy(error as Error);
      return;
    }
    this.#sources?.detachFrom(response);
    for (const { args } of calls) callBack(args, error);
    this.#dropLayers();
    try {
      const failure = this.#failed(error, effects, "running");
      this.#failure = failure;
      this.#first.onError(error);
      if (failure.answering === "running") failure.answering = "no";
    } catch (failure) {
      response.destroy(failure as Error);
    }
  }

  #failed(error: unknown, effects: readonly Effect[], answering: "running" | "yes"): FailedResponse {
    const owed = this.#sessions.owed(effects);
    return new FailedResponse(this.#response, this.#earlier, { error, effects: owed, answering });
  }

  /**
   * Removes what middleware put above the guard, such as a compression stream: it belongs to the dropped response and
   * would swallow the error response, and send its own bytes to the client.
   */
  #dropLayers(): void {
    this.#layersDropped = true;
    interceptAnswer(this.#response);
    dropSubscriberLayers(this.#response, this.#subscribers);
  }

  /** After the response: warns about changes made after the commit, and watches for more. */
  #afterwards(): void {
    if (this.#phase !== "begun" || this.#closed) return;
    this.#closed = true;
    this.#sessions.tellOfLateChanges(this.#effects);
  }

  mutate(method: Mutator, args: unknown[]): unknown {
    if (this.#waits) {
      if (this.look("headersSent")) throw headersSent(method === "removeHeader" ? "remove" : "set");
      return this.#response;
    }
    if (this.#phase === "over" && this.#real("headersSent")) return this.#response;
    if (this.#failure !== null) this.#failure.answering = "yes";
    return this.#mutators![method]!.apply(this.#response, args);
  }

  /**
   * `headersSent` and `writableEnded` as a handler expects them after its calls. A complete response that still waits
   * reports unsent headers, because error handlers cut the connection of a started response.
   */
  look(property: "headersSent" | "writableEnded"): unknown {
    if (!this.#waits) return this.#real(property);
    return property === "writableEnded" ? this.#held.sealed : !this.#held.sealed || this.#real(property);
  }

  /** Whether calls are queued that the handler considers done. */
  get #waits(): boolean {
    return this.#phase === "headed" || this.#phase === "committing";
  }

  #real(property: "headersSent" | "writableEnded"): unknown {
    if (this.#mutators === null) return this.#response[property]; // not disguised yet
    return Reflect.get(Object.getPrototypeOf(this.#response) as object, property, this.#response);
  }
}
