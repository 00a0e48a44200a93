import type { SessionState } from "../session/state.ts";
import { writeSessionHeaders, type HeaderTarget, type SessionEffect } from "./headers.ts";
import { changedSinceCommit, isIdle, tellOfLateChanges } from "./state.ts";

/** As much of `http.ServerResponse` and `Http2ServerResponse` as the guard calls. */
export interface GuardedResponse {
  statusCode: number;
  statusMessage: string;
  readonly destroyed?: boolean;
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  readonly writableNeedDrain: boolean;
  getHeader(name: string): number | string | string[] | undefined;
  setHeader(name: string, value: number | string | readonly string[]): unknown;
  appendHeader(name: string, value: string | readonly string[]): unknown;
  removeHeader(name: string): void;
  on(event: string, listener: (...args: never[]) => void): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown;
  emit(event: string, ...args: unknown[]): boolean;
  destroy(error?: Error): unknown;
}

/** One session that the response waits for. */
export interface Guarded {
  readonly state: SessionState;
  commit(): Promise<string | null>;
  /** Called once when a Set-Cookie header is about to be sent. */
  onCookie?(setCookie: string): void;
}

interface Effect extends SessionEffect {
  readonly guarded: Guarded;
}

interface Source {
  unpipe(destination: unknown): void;
  resume?(): void;
  destroy?(): void;
}

type Output = (typeof outputs)[number];
type Mutator = (typeof mutators)[number];
type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

/** Methods that begin a response. `_implicitHeader` is what Node's own code and old middleware begin it with. */
const outputs = ["writeHead", "write", "end", "flushHeaders", "_implicitHeader"] as const;
const mutators = ["setHeader", "setHeaders", "appendHeader", "removeHeader"] as const;

const guardOf = Symbol("stored-session.response-guard");

/**
 * Holds a response's first byte back until the session is committed (promise 4).
 *
 * The first call that would begin the response starts the commit. That call and the ones after it are queued, and
 * made again in order when the commit is done; meanwhile the response looks to the handler as it would without a
 * guard: headers are closed, and `write` asks it to wait for "drain". When the commit fails, the queue is dropped,
 * nothing has been sent, and `onError` answers; that answer passes without another commit.
 */
export class ResponseGuard {
  readonly #response: GuardedResponse;
  readonly #onError: (error: unknown) => void;
  readonly #guarded: Guarded[] = [];
  readonly #own: Partial<Record<Output | Mutator, AnyFunction>> = {};
  /**
   * open: nothing was written. committing: calls are queued. begun: calls go straight through. failed: the error
   * handler answers. over: it has, and what an older handler still writes is dropped.
   */
  #phase: "open" | "committing" | "begun" | "failed" | "over" = "open";
  #queue: { method: Output; args: unknown[] }[] = [];
  #status: { code: number; message: string | undefined } | null = null;
  /** `end` is in the queue: the response is complete, whatever is called after it. */
  #sealed = false;
  #writerWaits = false;
  #sources: Set<Source> | null = null;
  /** What was committed before the response began. */
  #effects: Effect[] | null = null;

  /** The guard of a response, made at the first call. `onError` is that of the first caller. */
  static on(response: object, onError: (error: unknown) => void): ResponseGuard {
    const guarded = response as { [guardOf]?: ResponseGuard };
    return (guarded[guardOf] ??= new ResponseGuard(response as GuardedResponse, onError));
  }

  private constructor(response: GuardedResponse, onError: (error: unknown) => void) {
    this.#response = response;
    this.#onError = onError;
    this.#override(outputs, intercepted);
    response.on("pipe", (source: Source) => (this.#sources ??= new Set()).add(source));
    response.on("unpipe", (source: Source) => this.#sources?.delete(source));
    response.once("close", () => this.#afterwards());
  }

  /** Makes the response wait for one more session. */
  add(guarded: Guarded): void {
    this.#guarded.push(guarded);
  }

  #override(methods: readonly (Output | Mutator)[], replacements: Record<string, AnyFunction>): void {
    const response = this.#response as unknown as Record<string, AnyFunction | undefined>;
    for (const method of methods) {
      const own = response[method];
      if (typeof own !== "function") continue; // HTTP/2 has fewer
      this.#own[method] = own;
      response[method] = replacements[method];
    }
  }

  #call(method: Output | Mutator, args: unknown[]): unknown {
    return this.#own[method]!.apply(this.#response, args);
  }

  output(method: Output, args: unknown[]): unknown {
    switch (this.#phase) {
      case "begun":
        return this.#call(method, args);
      case "failed": {
        if (method === "end") this.#phase = "over";
        return this.#call(method, args);
      }
      case "over":
        // Node's own end() and the implicit header run through here while the error's answer is under way
        return this.#isLate(method) ? this.#drop(method, args) : this.#call(method, args);
      case "committing":
        return this.#enqueue(method, args);
      case "open":
        break;
    }
    if (!isWritable(method, args)) return this.#call(method, args); // throws before anything is begun
    if (this.#guarded.every(({ state }) => isIdle(state))) {
      this.#phase = "begun";
      return this.#call(method, args);
    }
    const effects = this.#effects;
    if (
      effects?.length === this.#guarded.length &&
      !this.#guarded.some(({ state }) => changedSinceCommit(state))
    ) {
      this.#phase = "begun";
      const given = method === "writeHead" ? withoutHeaders(this.#response, args) : args;
      this.#writeHeaders(effects);
      return this.#call(method, given);
    }
    this.#begin();
    return this.#enqueue(method, args);
  }

  #isLate(method: Output): boolean {
    return (method === "write" || method === "end") && this.#real("writableEnded") === true;
  }

  #begin(): void {
    const response = this.#response;
    this.#phase = "committing";
    // HTTP/2 has no status message, and warns whoever looks for one
    const message = this.#own["_implicitHeader"] === undefined ? undefined : response.statusMessage;
    this.#status = { code: response.statusCode, message };
    this.#override(mutators, intercepted);
    Object.defineProperties(this.#response, disguise);
    void this.#commit();
  }

  #enqueue(method: Output, args: unknown[]): unknown {
    if (this.#sealed) return this.#drop(method, args);
    const begun = this.#queue.length > 0;
    switch (method) {
      case "writeHead":
        if (begun) throw headersSent("write");
        break;
      case "_implicitHeader":
        if (begun) return undefined;
        break;
      case "end":
        if (!isWritable(method, args)) return this.#call(method, args);
        this.#sealed = true;
        break;
      case "write":
        if (!isWritable(method, args)) return this.#call(method, args);
        this.#writerWaits = true;
    }
    this.#queue.push({ method, args });
    if (method === "write") return false;
    return method === "end" || method === "writeHead" ? this.#response : undefined;
  }

  /** What is written after the end goes nowhere, as it does without a guard; who waits for it is told. */
  #drop(method: Output, args: unknown[]): unknown {
    callBack(args, afterEnd());
    if (method === "write") return false;
    return method === "end" || method === "writeHead" ? this.#response : undefined;
  }

  /**
   * Commits before the response begins, for frameworks that can still answer with an error in their own way. The
   * headers follow with the first byte. After a failure the framework's answer passes without another commit.
   */
  async commitNow(): Promise<void> {
    if (this.#phase !== "open" || this.#effects !== null) return;
    this.#effects = [];
    const failure = await this.#commitAll(this.#effects);
    // nobody may have begun the response meanwhile: then the guard has committed and answered
    if (failure === null || this.#phase !== "open") return;
    this.#phase = "failed";
    this.#writeHeaders(this.#effects.filter(({ setCookie }) => setCookie !== null));
    throw failure.error;
  }

  async #commit(): Promise<void> {
    const effects: Effect[] = [];
    const failure = await this.#commitAll(effects);
    try {
      if (failure === null) this.#replay(effects);
      else this.#fail(failure.error, effects);
    } catch (error) {
      this.#fail(error, []); // a header or status that Node refuses
    }
  }

  async #commitAll(effects: Effect[]): Promise<{ error: unknown } | null> {
    for (const guarded of this.#guarded) {
      const before = this.#effects?.find((effect) => effect.guarded === guarded);
      try {
        const setCookie = (await guarded.commit()) ?? before?.setCookie ?? null;
        effects.push({ accessed: guarded.state.accessed, setCookie, guarded });
      } catch (error) {
        if (before !== undefined && before.setCookie !== null) effects.push(before);
        return { error };
      }
    }
    return null;
  }

  #replay(effects: readonly Effect[]): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#phase = "begun";
    const response = this.#response;
    if (this.#status !== null) setStatus(response, this.#status);
    const [first] = queue;
    if (first?.method === "writeHead") first.args = withoutHeaders(response, first.args);
    this.#writeHeaders(effects);
    for (const { method, args } of queue) this.#call(method, args);
    if (this.#writerWaits && !response.writableEnded && !response.destroyed && !response.writableNeedDrain) {
      response.emit("drain");
    }
  }

  #writeHeaders(effects: readonly Effect[]): void {
    const target = headersOf(this.#response);
    for (const effect of effects) {
      if (effect.setCookie !== null) effect.guarded.onCookie?.(effect.setCookie);
      writeSessionHeaders(target, effect);
    }
  }

  /** Nothing was sent: the application answers in place of the handler, with the cookies of what was committed. */
  #fail(error: unknown, effects: readonly Effect[]): void {
    const queue = this.#queue;
    const response = this.#response;
    this.#queue = [];
    this.#sealed = false;
    this.#writerWaits = false;
    this.#phase = "failed";
    if (this.#real("headersSent")) {
      response.destroy(error as Error);
      return;
    }
    this.#detachSources();
    for (const { args } of queue) callBack(args, error);
    try {
      this.#writeHeaders(effects.filter(({ setCookie }) => setCookie !== null));
      this.#onError(error);
    } catch (failure) {
      response.destroy(failure as Error);
    }
  }

  /** Streams that were piped into the dropped answer must not flow into the next one. */
  #detachSources(): void {
    const sources = [...(this.#sources ?? [])];
    for (const source of sources) source.unpipe(this.#response);
    if (sources.length === 0) return;
    const { req } = this.#response as { req?: unknown };
    // Destroying them now would make stream.pipeline destroy the response, so they wait for its end.
    this.#response.once("close", () => {
      for (const source of sources) if (source !== req) source.destroy?.();
    });
  }

  /** Once the response is over: tells of changes that came after the commit, and listens for more of them. */
  #afterwards(): void {
    if (this.#phase !== "begun") return;
    for (const { state } of this.#guarded) tellOfLateChanges(state);
  }

  mutate(method: Mutator, args: unknown[]): unknown {
    if (this.#phase === "committing") {
      if (!this.#sealed) throw headersSent(method === "removeHeader" ? "remove" : "set");
      return this.#response;
    }
    if (this.#phase === "over" && this.#real("headersSent")) return this.#response;
    return this.#call(method, args);
  }

  /**
   * `headersSent` and `writableEnded` as a handler expects them after what it called. A complete answer that still
   * waits says that its headers are unsent: error handlers cut the connection of a response that was begun.
   */
  look(property: "headersSent" | "writableEnded"): unknown {
    if (this.#phase !== "committing") return this.#real(property);
    return property === "writableEnded" ? this.#sealed : !this.#sealed;
  }

  #real(property: "headersSent" | "writableEnded"): unknown {
    return Reflect.get(Object.getPrototypeOf(this.#response) as object, property, this.#response);
  }
}

// Shared by all responses, so that guarding one costs no closures.
const intercepted: Record<string, AnyFunction> = Object.fromEntries([
  ...outputs.map((method) => [
    method,
    function (this: { [guardOf]: ResponseGuard }, ...args: unknown[]) {
      return this[guardOf].output(method, args);
    },
  ]),
  ...mutators.map((method) => [
    method,
    function (this: { [guardOf]: ResponseGuard }, ...args: unknown[]) {
      return this[guardOf].mutate(method, args);
    },
  ]),
]);

const disguise: PropertyDescriptorMap = Object.fromEntries(
  (["headersSent", "writableEnded"] as const).map((property) => [
    property,
    {
      configurable: true,
      get(this: { [guardOf]: ResponseGuard }) {
        return this[guardOf].look(property);
      },
    },
  ]),
);

function headersOf(response: GuardedResponse): HeaderTarget {
  return {
    get(name) {
      const value = response.getHeader(name);
      return Array.isArray(value) ? value.join(", ") : value === undefined ? undefined : String(value);
    },
    set: (name, value) => void response.setHeader(name, value),
    append: (name, value) => void response.appendHeader(name, value),
  };
}

/**
 * Moves the headers given to `writeHead` into the response first, as Node does when headers were set before, so that
 * they are seen and a `Set-Cookie` among them is added to and not lost.
 */
function withoutHeaders(response: GuardedResponse, args: unknown[]): unknown[] {
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

/** What the handler set later is too late, as it is without a guard. */
function setStatus(response: GuardedResponse, status: { code: number; message: string | undefined }): void {
  if (response.statusCode !== status.code) response.statusCode = status.code;
  if (status.message !== undefined) response.statusMessage = status.message;
}

/** Node throws at once for a chunk that is neither text nor bytes, before anything has begun. */
function isWritable(method: Output, args: readonly unknown[]): boolean {
  if (method !== "write" && method !== "end") return true;
  const [chunk] = args;
  if (method === "end" && (!chunk || typeof chunk === "function")) return true;
  return typeof chunk === "string" || chunk instanceof Uint8Array;
}

function callBack(args: readonly unknown[], error: unknown): void {
  const callback = args.findLast((argument) => typeof argument === "function");
  if (callback !== undefined) process.nextTick(callback as (error: unknown) => void, error);
}

function headersSent(verb: string): Error {
  return Object.assign(new Error(`Cannot ${verb} headers after they are sent to the client`), {
    code: "ERR_HTTP_HEADERS_SENT",
  });
}

function afterEnd(): Error {
  return Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" });
}
