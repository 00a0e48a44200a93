import type { Records } from "./records.ts";
import type { SessionState } from "./state.ts";

/** Makes the response owe the cookie of the session as it is stored now. Only a confirmed write calls this (R41). */
export function oweCookie(records: Records, state: SessionState): void {
  const { row, token } = state.stored!;
  const { cookie } = records.settings;
  const expiresAt = cookie.rolling ? row.expiresAt : row.absoluteExpiresAt;
  state.owe(cookie.set(token.text, { now: records.now(), expiresAt }));
}
