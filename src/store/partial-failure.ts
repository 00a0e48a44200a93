import {
  ClosedError,
  NotMigratedError,
  SessionBusyError,
  StoreError,
  StoreOverloadedError,
  StoreReadOnlyError,
  StoreTimeoutError,
  StoreUnavailableError,
} from "../errors.ts";

const classes = [
  StoreTimeoutError,
  StoreOverloadedError,
  StoreUnavailableError,
  StoreReadOnlyError,
  NotMigratedError,
  SessionBusyError,
  ClosedError,
] as const;

/**
 * The error of an operation of several statements that failed partway: the same class, with outcome `unknown` and the
 * number of affected rows in `changed`. Returns any other error unchanged.
 * @param done past participle for the message, such as "deleted"
 */
export function afterChanges(error: unknown, changed: number, done: string): unknown {
  if (!(error instanceof StoreError)) return error;
  const all = changed + (error.changed ?? 0);
  if (all === 0) return error;
  const Class = classes.find((one) => error instanceof one) ?? StoreError;
  const sessions = all === 1 ? "1 session was" : `${all} sessions were`;
  // One that names shards says more than its cause.
  const isWhole = error.changed === undefined || error.unreachable !== undefined;
  const cause = isWhole ? error : (error.cause ?? error);
  const { message } = cause instanceof Error ? cause : error;
  return new Class(`${sessions} ${done} before the operation failed: ${message}`, {
    cause,
    outcome: "unknown",
    changed: all,
    ...(error.unreachable && { unreachable: error.unreachable }),
  });
}

/**
 * The same for changes that are not sessions, which `changed` does not count.
 * @param done the beginning of the message, such as "Some keys were resealed"
 */
export function unknownOutcome(error: unknown, done: string): unknown {
  if (!(error instanceof StoreError)) return error;
  const Class = classes.find((one) => error instanceof one) ?? StoreError;
  return new Class(`${done} before the operation failed: ${error.message}`, {
    cause: error,
    outcome: "unknown",
  });
}

/** Waits for all promises, so that nothing is still in flight when a failure is reported. */
export async function allAnswered<Value>(
  promises: readonly Promise<Value>[],
): Promise<{ readonly values: readonly Value[]; readonly failure: { readonly error: unknown } | null }> {
  const values: Value[] = [];
  let failure: { readonly error: unknown } | null = null;
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === "fulfilled") values.push(result.value);
    // Prefer an error of unknown outcome to one that changed nothing.
    else if (failure === null || isUnknown(result.reason)) failure = { error: result.reason as unknown };
  }
  return { values, failure };
}

function isUnknown(error: unknown): boolean {
  return error instanceof StoreError && error.outcome === "unknown";
}
