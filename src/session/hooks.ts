/** The answer of an application's hook, which must be a plain function: an async one could not be waited for. */
export function plainAnswer<Answer>(hook: string, answer: Answer): Answer {
  if (typeof answer === "object" && answer !== null && "then" in answer) {
    Promise.resolve(answer).catch(() => {}); // its failure is this error's to tell
    throw new TypeError(`${hook} takes a plain function, not an async one.`);
  }
  return answer;
}

/**
 * A user's id as text; a whole number is its decimal text.
 * @throws {TypeError} anything else, saying that `from` gave it
 */
export function userIdOf(user: unknown, from: string): string {
  if (typeof user === "string" && user !== "" && user.isWellFormed()) return user;
  if (typeof user === "bigint" || Number.isSafeInteger(user)) return String(user);
  throw new TypeError(`${from} takes the user's id: non-empty text, or a whole number.`);
}

/** The user that `userOf` finds in a session's data; undefined for nobody. */
export function userIn(
  userOf: (data: Record<string, unknown>) => unknown,
  data: Record<string, unknown>,
): string | undefined {
  const user: unknown = plainAnswer("userOf", userOf(data));
  return user === undefined || user === null || user === "" ? undefined : userIdOf(user, "userOf");
}
