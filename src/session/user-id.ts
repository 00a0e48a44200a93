/** The application's id of a user: a non-empty string, a safe integer or a bigint. */
export type UserId = string | number | bigint;

/**
 * Normalizes a user id, so that every API finds the same rows for a user: a non-empty, well-formed string as it is; a safe
 * integer or a bigint as its decimal text.
 * @param from the calling API, for the error message: "session.login"
 * @throws {TypeError} anything else: coercing it could affect the sessions of another user
 */
export function parseUserId(user: unknown, from: string): string {
  if (typeof user === "string" && user !== "" && user.isWellFormed()) return user;
  if (typeof user === "bigint" || Number.isSafeInteger(user)) return String(user);
  throw new TypeError(
    `${from} requires a user id: a non-empty string, a safe integer or a bigint. Received ${kindOf(user)}.`,
  );
}

/** Describes the argument without its value, because an id may be personal data. */
function kindOf(user: unknown): string {
  if (user === "") return "an empty string";
  if (typeof user === "string") return "a string with a lone surrogate";
  if (typeof user === "number") return Number.isInteger(user) ? "an unsafe integer" : `the number ${user}`;
  if (user === null || user === undefined) return String(user);
  if (Array.isArray(user)) return "an array";
  return typeof user === "object" ? "an object" : `a ${typeof user}`;
}
