/** A user's id as an application gives it. */
export type UserId = string | number | bigint;

/**
 * The one reading of a user's id, so that every way of naming a user finds the same rows: a non-empty, well-formed
 * string as it is; a safe integer or a bigint as its decimal text.
 * @param from who takes it, for the message: "session.login"
 * @throws {TypeError} for anything else. A user id that is guessed at would end a stranger's sessions, or nobody's.
 */
export function parseUserId(user: unknown, from: string): string {
  if (typeof user === "string" && user !== "" && user.isWellFormed()) return user;
  if (typeof user === "bigint" || Number.isSafeInteger(user)) return String(user);
  throw new TypeError(
    `${from} takes the user's id: a non-empty string, a safe integer or a bigint. It was given ${kindOf(user)}.`,
  );
}

/** What was given, without its value: an id may be personal data. */
function kindOf(user: unknown): string {
  if (user === "") return "an empty string";
  if (typeof user === "string") return "a string with a lone surrogate";
  if (typeof user === "number") return Number.isInteger(user) ? "an unsafe integer" : `the number ${user}`;
  if (user === null || user === undefined) return String(user);
  if (Array.isArray(user)) return "an array";
  return typeof user === "object" ? "an object" : `a ${typeof user}`;
}
