import { parseUserId } from "./user-id.ts";

/** The answer of an application's hook, which must be a plain function: an async one could not be waited for. */
export function plainAnswer<Answer>(hook: string, answer: Answer): Answer {
  if (isThenable(answer)) {
    Promise.resolve(answer).catch(() => {}); // its failure is this error's to tell
    throw new TypeError(`${hook} takes a plain function, not an async one: it must answer at once.`);
  }
  return answer;
}

/** Data may well have a key named `then`: only a function under it makes a promise. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === "object" && value !== null) || typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function"
  );
}

/**
 * The user that `userOf` finds in a session's data; undefined for nobody.
 * @throws {TypeError} a promise, or anything else that is no user's id
 */
export function userIn(
  userOf: (data: Readonly<Record<string, unknown>>) => unknown,
  data: Readonly<Record<string, unknown>>,
): string | undefined {
  const user: unknown = plainAnswer("userOf", userOf(data));
  return user === undefined || user === null ? undefined : parseUserId(user, "userOf");
}
