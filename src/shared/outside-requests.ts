import { AsyncLocalStorage } from "node:async_hooks";

/**
 * Runs a function in the async context in which this module was loaded. A timer that is set again and again, a
 * connection and a thread live longer than the request that happens to need them first: begun in its context, they
 * would keep what the application holds in AsyncLocalStorage for that request reachable, and show it to others.
 */
export const outsideRequests: <Answer>(task: () => Answer) => Answer = AsyncLocalStorage.snapshot();
