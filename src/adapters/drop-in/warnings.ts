import { reasonOf } from "../../shared/reason.ts";

/** Warns that a user was logged in to a session whose id someone else may know (session fixation). */
export function warnOfKeptId(): void {
  process.emitWarning(
    "A user was logged in to a session that kept its id, which allows session fixation: an attacker who planted that id is logged in too. A store cannot change the id. Regenerate the session before you set the user (express-session and @fastify/session: req.session.regenerate(); koa-session: await ctx.session.regenerate(); AdonisJS: ctx.session.regenerate() before tag). Passport 0.6 and later does this.",
    { code: "STORED_SESSION_ID_KEPT_AT_LOGIN" },
  );
}

/** Warns about a failed call whose result is not handled: it had no callback, and its promise is not awaited. */
export function warnOfUnheardFailure(call: string, error: unknown): void {
  const reason = reasonOf(error);
  process.emitWarning(
    `${call} failed, and its result is not handled: ${reason} Pass a callback, or await the promise.`,
    { code: "STORED_SESSION_UNHEARD_FAILURE" },
  );
}
