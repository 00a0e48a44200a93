/** What to do about rows under a key that is not in the ring. A key that has leaked must not come back. */
export const missingKeyAdvice =
  'If the key is missing by mistake, add it at the end of STORED_SESSION_KEYS. If you removed it on purpose, such as after a leak, leave it out: the sessions under it can no longer be opened, and "stored-session expire" deletes them when they end. "stored-session revoke --all" deletes every session now, which logs everybody out.';
