import { warnOfUnheardFailure } from "./drop-in/warnings.ts";

/** As Node's own APIs take one: called exactly once. */
export type Callback<Answer = void> = (error?: unknown, answer?: Answer) => void;

/**
 * Gives an answer to a callback, or as a promise. A callback is called outside the promise, so that what it throws is
 * not taken for an answer's error. A failure that nobody hears of is a process warning, and never ends the process.
 * @param call how the warning names it
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

/** A promise that knows whether anybody waits for it. `await` calls `then` of a subclass, so that it counts too. */
class Heard<Answer> extends Promise<Answer> {
  #heard = false;

  constructor(call: string, promise: Promise<Answer>) {
    super((resolve, reject) => void promise.then(resolve, reject));
    super.then(undefined, (error: unknown) => {
      // Whoever waits for it in the same turn has said so by now.
      setImmediate(() => this.#heard || warnOfUnheardFailure(call, error));
    });
  }

  /** What comes after it is a plain promise, whose failures are its own. */
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
