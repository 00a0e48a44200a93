import { warnOfUnheardFailure } from "./drop-in/warnings.ts";

/** A callback as in Node's own APIs: called exactly once. */
export type Callback<Answer = void> = (error?: unknown, answer?: Answer) => void;

/**
 * Delivers a result to a callback, or as a promise. The callback runs outside the promise, so that what it throws is
 * not mistaken for an error of the operation. An unhandled failure emits a process warning and never ends the process.
 * @param call the name of the call in the warning
 */
export function answer<Answer>(
  call: string,
  promise: Promise<Answer>,
  callback: Callback<Answer> | undefined,
): Promise<Answer> | void {
  if (typeof callback !== "function") return new Heard(call, promise);
  promise.then(
    (value) => process.nextTick(callback, null, value),
    (error: unknown) => process.nextTick(callback, error),
  );
}

/** A promise that knows whether its result is handled. `await` calls `then` of a subclass, so it counts too. */
class Heard<Answer> extends Promise<Answer> {
  #heard = false;

  constructor(call: string, promise: Promise<Answer>) {
    super((resolve, reject) => void promise.then(resolve, reject));
    super.then(undefined, (error: unknown) => {
      // By now, a caller that handles the result has called `then`.
      setImmediate(() => this.#heard || warnOfUnheardFailure(call, error));
    });
  }

  /** Derived promises are plain promises, which report their own failures. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a promise has one
  override then<A = Answer, B = never>(
    onAnswer?: ((value: Answer) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#heard = true;
    return super.then(onAnswer, onError);
  }
}
