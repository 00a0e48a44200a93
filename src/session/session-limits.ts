import { TooManySessionsError } from "../errors.ts";
import { trace, type DeleteEvent } from "../telemetry/channels.ts";
import type { ChangeResult } from "../store/audit.ts";
import type { SessionStore } from "../store/contract.ts";
import type { SessionLimit } from "../store/session-limit.ts";
import type { SessionFormat } from "./format.ts";
import { handleOf } from "./handle.ts";
import type { Settings } from "./settings.ts";

/** @param maxSessions the option as the application gave it */
export function limitProblems(
  maxSessions: unknown,
  { store, format }: { readonly store?: SessionStore; readonly format?: SessionFormat | undefined },
): string[] {
  if (maxSessions === undefined) return [];
  const { count, onLimit, ...others } = (maxSessions ?? {}) as Partial<SessionLimit>;
  const problems: string[] = [];
  const isCount = Number.isSafeInteger(count) && count! >= 1;
  if (!isCount || (onLimit !== "endOldest" && onLimit !== "refuse") || Object.keys(others).length > 0)
    problems.push(
      '`maxSessions` must be { count, onLimit }: a whole number of at least 1, and "endOldest" or "refuse".',
    );
  if (format !== undefined)
    problems.push(
      "`maxSessions` cannot be combined with `format`: the rows of Rails mode do not name their user, so nothing finds the sessions of one.",
    );
  else if (store && store.login === undefined)
    problems.push(
      "`maxSessions` requires a store that counts and logs in within one transaction (its method `login`): sqliteStore(…), postgresStore(…), mysqlStore(…), libsqlStore(…), d1Store(…), durableObjectStore(…) or memoryStore().",
    );
  return problems;
}

/** The limit for a row that a user gets; undefined if there is none. */
export function limitOf(settings: Settings, user: string | undefined): SessionLimit | undefined {
  const { maxSessions, format, clock, idleTimeout, absoluteTimeout } = settings;
  if (maxSessions === null || user === undefined) return undefined;
  return { ...maxSessions, userRefs: format.userRefs(user), now: clock(), idleTimeout, absoluteTimeout };
}

/**
 * Publishes what a login ended, and returns whether it was stored.
 * @throws {TooManySessionsError} it was refused
 */
export function afterLogin(settings: Settings, { applied, ended, refused }: ChangeResult): boolean {
  for (const { id } of ended) {
    settings.opened?.drop(id);
    const event = (): DeleteEvent => ({ operation: "evict", handle: handleOf(id), deleted: 1 });
    void trace("delete", event, () => Promise.resolve());
  }
  if (!refused) return applied;
  throw new TooManySessionsError(
    `The login was refused: the user has ${settings.maxSessions!.count} sessions, which is as many as are allowed. End one of them, then log in again.`,
  );
}
