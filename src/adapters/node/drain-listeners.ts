import type { AnyFunction } from "./interceptors.ts";

/**
 * Listeners for "drain" that a layer below the guard redirected to its own stream, where they do not hear events that
 * the guard emits.
 */
export class DrainListeners {
  #redirected: AnyFunction[] = [];

  /** Subscribes a listener, and keeps it if it was redirected. */
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

  /** Returns the listeners and forgets them. */
  take(): readonly AnyFunction[] {
    const redirected = this.#redirected;
    this.#redirected = [];
    return redirected;
  }
}
