import type { SessionState } from "../session/state.ts";
import { isUnchanged } from "../session/unchanged.ts";

/** Whether a commit would do nothing, known synchronously. */
export function isIdle(state: SessionState): boolean {
  return state.stored === null && !state.accessed && !state.cookieDue;
}

/** Whether the application changed its session after the commit, which nothing saves. */
export function changedSinceCommit(state: SessionState): boolean {
  if (state.ended) return false;
  if (state.stored === null) return !state.isUnused();
  if (state.intent !== "save") return true;
  return !isUnchanged(state);
}

/**
 * @param current the current value of the property in which the adapter put its session
 * @throws {TypeError} null, which ends a session in cookie-session, express-session and koa-session
 */
export function refuseNull(current: unknown): void {
  if (current !== null) return;
  throw new TypeError(
    "The session was set to null, which does not end it. Nothing was saved. Call session.destroy() instead.",
  );
}

/**
 * Comparing a session after its response costs as much as before it. In production only sessions that were accessed in
 * between are compared, so a change of an object that the application took from the session before goes unnoticed.
 */
const comparesAll = process.env["NODE_ENV"] !== "production";

/**
 * Warns about a change made after the commit, and about later ones.
 * @param uses the count of when the commit started. Default: always compare
 */
export function tellOfLateChanges(state: SessionState, uses: number = -1): void {
  if ((comparesAll || state.uses !== uses) && changedSinceCommit(state)) warnOfLateChange();
  else watchLateChanges(state);
}

function warnOfLateChange(): void {
  process.emitWarning(
    "A session was changed after its response had started, so the change was not saved. Change the session before the first byte is written, or use sessions.update().",
    { code: "STORED_SESSION_CHANGED_AFTER_RESPONSE" },
  );
}

/** Warns about changes from now on, because the response is over. */
function watchLateChanges(state: SessionState): void {
  state.onUse = onLateUse;
}

/** Shared by all sessions, so that watching one costs no closure. */
function onLateUse(this: SessionState): void {
  this.onUse = null;
  setImmediate(() => changedSinceCommit(this) && warnOfLateChange());
}

let warnedOfUnsentCookie = false;

/** Warns once per process that a session was saved, but its cookie could not be sent. */
export function warnOfUnsentCookie(): void {
  if (warnedOfUnsentCookie) return;
  warnedOfUnsentCookie = true;
  process.emitWarning(
    "A session cookie could not be sent, because the response headers were sent before the session middleware ran. Mount the session middleware before any middleware that writes or flushes the response.",
    { code: "STORED_SESSION_COOKIE_UNSENT" },
  );
}
