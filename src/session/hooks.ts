import { parseUserId } from "./user-id.ts";

/** Checks the return value of a hook, which must be synchronous because callers cannot await it. */
export function plainAnswer<Answer>(hook: string, answer: Answer): Answer {
  if (isThenable(answer)) {
    Promise.resolve(answer).catch(() => {}); // avoid an unhandled rejection: this error reports the problem
    throw new TypeError(
      `${hook} must be synchronous, but it returned a promise. Use a function that is not async.`,
    );
  }
  return answer;
}

/** Data may have a key named `then`. Only a function under it makes a thenable. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === "object" && value !== null) || typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function"
  );
}

/**
 * Returns the user that `userOf` derives from a session's data. Undefined if the session is anonymous.
 * @throws {TypeError} the result is a promise or an invalid user id
 */
export function userIn(
  userOf: (data: Readonly<Record<string, unknown>>) => unknown,
  data: Readonly<Record<string, unknown>>,
): string | undefined {
  const user: unknown = plainAnswer("userOf", userOf(data));
  return user === undefined || user === null ? undefined : parseUserId(user, "userOf");
}
