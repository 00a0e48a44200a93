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

/**
 * Holds a response's first byte back until the session is committed (promise 4).
 *
 * The first call that would begin the response starts the commit. That call and the ones after it are queued, and
 * made again in order when the commit is done; meanwhile the response looks to the handler as it would without a
 * guard: headers are closed, and `write` asks it to wait for "drain". When the commit fails, the queue is dropped,
 * nothing has been sent, and `onError` answers; that answer passes without another commit, and no cache may keep it.
 *
 * Middleware on either side may have put its own methods over those of the response, as compression does: what was
 * mounted before stands below the guard, and what was mounted after it stands above.
 */
export class ResponseGuard {
  readonly #response: GuardedResponse;
  readonly #onError: (error: unknown) => void;
  readonly #sessions = new GuardedSessions();
  readonly #earlier: EarlierHeaders;
  readonly #held: HeldCalls;
  readonly #outputs: Methods<Output>;
  readonly #emit: AnyFunction;
  readonly #subscribers: Methods<Subscriber> | null;
  /** Null while headers can be set. */
  #mutators: Methods<Mutator> | null = null;
  /**
   * open: nothing was written. headed: `writeHead` is queued, which by itself sends no byte. committing: calls are
   * queued. begun: calls go straight through. failed: the error handler answers. over: it has, and what an older
   * handler still writes is dropped.
   */
  #phase: "open" | "headed" | "committing" | "begun" | "failed" | "over" = "open";
  #status: { code: number; message: string | undefined } | null = null;
  readonly #drains = new DrainListeners();
  #sources: PipedSources | null = null;
  /** Nothing more is to be waited for where the client goes away: the handler is done, or has sent for a file. */
  #answered = false;
  #closed = false;
  /** After a commit that failed, until the error handler's answer begins. */
  #failure: FailedResponse | null = null;
  /** The layers above still hold the dropped answer: what they write, through the first interceptors, is dropped. */
  #layersDropped = false;

  /** The guard of a response, made at the first call. `onError` is that of the first caller. */
  static on(response: object, onError: (error: unknown) => void): ResponseGuard {
    return guardOn(response, () => new ResponseGuard(response as GuardedResponse, onError));
  }

  private constructor(response: GuardedResponse, onError: (error: unknown) => void) {
    this.#response = response;
    this.#onError = onError;
    this.#earlier = new EarlierHeaders(response);
    this.#held = new HeldCalls(response);
    this.#outputs = interceptOutputs(response);
    this.#emit = interceptEmit(response);
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
    if (!isWritable(method, args)) return this.#call(method, args); // throws before anything is begun
    if (method !== "write" && method !== "end" && this.#real("headersSent")) return this.#call(method, args);
    if (method === "writeHead") {
      this.#closeHeaders();
      this.#phase = "headed";
      const answer = this.#enqueue(method, args);
      // in HTTP/2 it sends the headers
      if (this.#outputs["_implicitHeader"] === undefined) this.#begin();
      return answer;
    }
    const effects = this.#sessions.known();
    if (effects !== null) return this.#goOn(effects, method, args);
    this.#closeHeaders();
    this.#begin();
    return this.#enqueue(method, args);
  }

  /** The first byte of a response whose sessions are settled. */
  #goOn(effects: readonly Effect[], method: Output, args: unknown[]): unknown {
    this.#phase = "begun";
    try {
      if (effects.some(({ accessed, setCookie }) => accessed || setCookie !== null))
        this.#writeHeaders(effects);
      return this.#call(method, args);
    } catch (error) {
      // a status that Node refuses: nothing was sent, and the handler may do better
      if (!this.#real("headersSent")) this.#phase = "open";
      throw error;
    }
  }

  /** The call after `writeHead`: with what is written now, its headers leave. */
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
      this.#fail(error, effects); // a header or status that Node refuses
      return answer;
    }
    return this.#call(method, args);
  }

  /** The error handler's answer, after a commit that failed. */
  answer(method: Output, args: unknown[]): unknown {
    // Node's own end() and the implicit header run through here while the answer is under way
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

  /** Listeners of the response: of those for "drain" it must know who will not hear it. */
  subscribe(method: Subscriber, args: unknown[]): unknown {
    if (args[0] !== "drain" || (this.#phase !== "open" && !this.#waits))
      return this.#subscribers![method]!.apply(this.#response, args);
    return this.#drains.add(this.#response, args[1] as AnyFunction, () =>
      this.#subscribers![method]!.apply(this.#response, args),
    );
  }

  /** What is emitted to the listeners of the response, before they hear it. */
  emit(args: unknown[]): unknown {
    switch (args[0]) {
      case "pipe":
        (this.#sources ??= new PipedSources()).add(args[1]);
        if (this.#failure !== null) this.#failure.answering = "yes";
        if (isGone(this.#response)) this.#commitUnheard(); // the source may be destroyed before it writes
        break;
      case "unpipe":
        this.#sources?.delete(args[1]);
        break;
      case "close":
        if (this.#answered || this.#sources?.any) this.#commitUnheard();
        this.#afterwards();
    }
    return this.#emit.apply(this.#response, args);
  }

  #isLate(method: Output): boolean {
    return (method === "write" || method === "end") && this.#real("writableEnded") === true;
  }

  /** To the handler: `setHeader` throws from here on. */
  #closeHeaders(): void {
    const response = this.#response;
    // HTTP/2 has no status message, and warns whoever looks for one
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

  /** What is written after the end goes nowhere, as it does without a guard; who waits for it is told. */
  #drop(method: Output, args: unknown[]): unknown {
    callBack(args, afterEnd());
    return answerOf(this.#response, method);
  }

  /**
   * Commits before the response begins, for frameworks that can still answer with an error in their own way. The
   * headers follow with the first byte. After a failure the framework's answer passes without another commit.
   * @param check throws where the answer that the framework is about to send cannot leave; then nothing is saved
   */
  async commitNow(check: () => void = () => this.#checkHead()): Promise<void> {
    if (this.#phase !== "open") return;
    const committed = await this.#sessions.commitEarly(check);
    // nobody may have begun the response meanwhile: then the guard has committed and answered
    if (committed === null || committed.failure === null || this.#phase !== "open") return;
    const { error } = committed.failure;
    this.#phase = "failed";
    if (!this.#real("headersSent")) this.#failure = this.#failed(error, committed.effects, "yes");
    throw error;
  }

  /** The handler ran to completion. Where the client has gone before a response began, no call may begin one. */
  async handlerDone(): Promise<void> {
    this.#answered = true;
    if (!isGone(this.#response)) return;
    if (this.#phase === "headed") this.#begin();
    else await this.commitNow();
  }

  /** The handler is answering, by a way that never reaches a response whose client has gone. */
  answering(): void {
    this.#answered = true;
    if (isGone(this.#response)) this.#commitUnheard();
  }

  /** Commits although nobody listens, and perhaps nothing will begin the response. */
  #commitUnheard(): void {
    if (this.#phase === "headed") return this.#begin();
    if (this.#phase !== "open") return;
    this.commitNow()
      .catch((error: unknown) => this.#onError(error))
      .catch((failure: unknown) => this.#response.destroy(failure as Error));
  }

  /** After a failure: the framework's own error handling removes all headers, and not because the application says so. */
  keepHeaders(): void {
    this.#failure?.keepHeaders();
  }

  /** Throws where Node would refuse the head of the response. */
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
      this.#fail(error, effects); // a header or status that Node refuses
    }
    const redirected = this.#drains.take();
    if (!drained) return;
    this.#response.emit("drain");
    for (const listener of redirected) listener.call(this.#response);
  }

  /** Answers whether writers wait for a "drain" that nobody but the guard will emit: the last write went through. */
  #replay(effects: readonly Effect[]): boolean {
    const calls = this.#held.take();
    this.#phase = "begun";
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

  /** Nothing was sent: the application answers in place of the handler, with the cookies of what was committed. */
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
      this.#onError(error);
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
   * What middleware put above the guard, such as a compressing stream, belongs to the dropped answer: it would lead
   * the error's answer into itself, and its own bytes to the client.
   */
  #dropLayers(): void {
    this.#layersDropped = true;
    interceptAnswer(this.#response);
    dropSubscriberLayers(this.#response, this.#subscribers);
  }

  /** Once the response is over: tells of changes that came after the commit, and listens for more of them. */
  #afterwards(): void {
    if (this.#phase !== "begun" || this.#closed) return;
    this.#closed = true;
    this.#sessions.tellOfLateChanges();
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
   * `headersSent` and `writableEnded` as a handler expects them after what it called. A complete answer that still
   * waits says that its headers are unsent: error handlers cut the connection of a response that was begun.
   */
  look(property: "headersSent" | "writableEnded"): unknown {
    if (!this.#waits) return this.#real(property);
    return property === "writableEnded" ? this.#held.sealed : !this.#held.sealed || this.#real(property);
  }

  /** Whether calls are in the queue that the handler takes for done. */
  get #waits(): boolean {
    return this.#phase === "headed" || this.#phase === "committing";
  }

  #real(property: "headersSent" | "writableEnded"): unknown {
    if (this.#mutators === null) return this.#response[property]; // not disguised yet
    return Reflect.get(Object.getPrototypeOf(this.#response) as object, property, this.#response);
  }
}
