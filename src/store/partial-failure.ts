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
 * The error of an operation of several statements that failed after some of them took effect: of the same class, with
 * the outcome `unknown` and the number of rows in `changed`. Anything else comes back as it is.
 * @param done what was done, such as "deleted"
 */
export function afterChanges(error: unknown, changed: number, done: string): unknown {
  if (!(error instanceof StoreError)) return error;
  const all = changed + (error.changed ?? 0);
  if (all === 0) return error;
  const Class = classes.find((one) => error instanceof one) ?? StoreError;
  const sessions = all === 1 ? "1 session was" : `${all} sessions were`;
  const cause = error.changed === undefined ? error : (error.cause ?? error);
  const { message } = cause instanceof Error ? cause : error;
  return new Class(`${sessions} ${done} before this failed: ${message}`, {
    cause,
    outcome: "unknown",
    changed: all,
  });
}

/** Waits for all of them, so that nothing is under way any more when one has failed. */
export async function allAnswered<Value>(
  promises: readonly Promise<Value>[],
): Promise<{ readonly values: readonly Value[]; readonly failure: { readonly error: unknown } | null }> {
  const values: Value[] = [];
  let failure: { readonly error: unknown } | null = null;
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === "fulfilled") values.push(result.value);
    // One of unknown outcome says more than one that did nothing.
    else if (failure === null || isUnknown(result.reason)) failure = { error: result.reason as unknown };
  }
  return { values, failure };
}

function isUnknown(error: unknown): boolean {
  return error instanceof StoreError && error.outcome === "unknown";
}
