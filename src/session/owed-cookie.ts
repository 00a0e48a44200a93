import type { Records } from "./records.ts";
import type { SessionState } from "./state.ts";

/**
 * Makes the response owe the cookie of the session as it is stored now. Only a confirmed write calls this (R41).
 * @param hasProved a user has just proved who they are: their browser is asked to bind the session to its device
 */
export function oweCookie(records: Records, state: SessionState, hasProved: boolean = false): void {
  const { row, token, plaintext } = state.stored!;
  const { cookie, device, format } = records.settings;
  const expiresAt = cookie.rolling ? row.expiresAt : row.absoluteExpiresAt;
  state.owe(cookie.set(token.text, { now: records.now(), expiresAt }));
  if (device === null) return;
  if (row.userRef === null) state.device.headers = state.device.clear;
  else if (hasProved && format.decode(plaintext!).device === undefined)
    state.device.headers = device.offer(row);
}
