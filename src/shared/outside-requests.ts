import { AsyncLocalStorage } from "node:async_hooks";

/**
 * Runs a function in the async context in which this module was loaded. Recurring timers, connections and threads
 * outlive the request that first needs them: in its context, they would retain the values that the application keeps in
 * AsyncLocalStorage for that request, and expose them to others.
 */
export const outsideRequests: <Answer>(task: () => Answer) => Answer = AsyncLocalStorage.snapshot();
