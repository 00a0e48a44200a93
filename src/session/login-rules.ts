import type { Content } from "../codec/codec.ts";
import { SessionEndedError } from "../errors.ts";
import type { Settings } from "./settings.ts";

/** How to log in another user when `userOf` finds users in the data. */
export const remedyOfSwitch =
  "Set every key that `userOf` reads, or call session.login(user) before you set them.";

/**
 * Checks the data that another user's session begins with (R42).
 * @param remedy what the application has to do instead
 * @throws {TypeError} `userOf` finds a different user in it
 */
export function assertSameUser(
  userOf: NonNullable<Settings["userOf"]>,
  { data, user }: Content,
  remedy: string,
): void {
  if (userOf(data) === user) return;
  throw new TypeError(
    `The user in the session's data changed. The new user's session starts with only the keys that this request set, and \`userOf\` finds a different user in them. ${remedy}`,
  );
}

/**
 * Checks that the data names the user of `session.login`.
 * @param found the user whom `userOf` finds in the data
 * @param restarted whether the session ended while the user logged in, so that its data is gone
 * @throws {TypeError} they are different users
 * @throws {SessionEndedError} the data that named the user is gone
 */
export function assertLogin(
  { userOf }: Settings,
  user: string | undefined,
  found: string | undefined,
  restarted: boolean,
): void {
  // Without the option, `userOf` belongs to the format, whose rows need no key in the data.
  if (userOf === undefined || found === user) return;
  if (restarted) {
    throw new SessionEndedError(
      "The session ended during the login, and the data that `userOf` reads ended with it. Log in again.",
    );
  }
  throw new TypeError(
    "session.login and `userOf` name different users. Store the user of session.login in the key that `userOf` reads.",
  );
}
