import type { AnyFunction } from "./interceptors.ts";

/** Listeners for "drain" that a layer below a guard took for a stream of its own, where no emit of the guard's is heard. */
export class DrainListeners {
  #redirected: AnyFunction[] = [];

  /** Subscribes a listener, and keeps it where it was led elsewhere. */
  add(
    response: { listenerCount(event: string): number },
    listener: AnyFunction,
    subscribe: () => unknown,
  ): unknown {
    const before = response.listenerCount("drain");
    const answer = subscribe();
    if (response.listenerCount("drain") === before) this.#redirected.push(listener);
    return answer;
  }

  /** Answers the listeners, and keeps them no longer. */
  take(): readonly AnyFunction[] {
    const redirected = this.#redirected;
    this.#redirected = [];
    return redirected;
  }
}
